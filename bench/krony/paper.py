"""Krony-PT at the paper's own scale: GPT-2 and DistilGPT2, OpenWebText, WikiText and LAMBADA.

Everything comes from the hub, or from one folder (`--data-dir`) with `openwebtext.jsonl`, `wikitext-103-v1-test.txt`,
`wikitext-2-v1-test.txt`, `wikitext-2-raw-test.txt` and `lambada-openai-test.jsonl`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bench.measure.harness import WIKITEXT, harness
from bench.measure.hub import RAW_WIKITEXT, hub_rows, wikitext_lines
from bench.measure.instrument import Instrument
from bench.measure.perplexity import (
    HUGGINGFACE,
    KRONY,
    LAMBADA,
    Perplexity,
    last_words,
    passages_of,
    perplexity,
)
from bench.measure.session import Session
from bench.verdict.evidence import Arrays, Origin
from compress.factorisation.kronecker.method import KroneckerFactorisation, Start
from compress.swap import apply
from models.data.text import END_OF_TEXT, read_documents
from models.errors import InputError
from models.gpt2 import unique_parameters
from models.load import find_blocks, load, mlp_width
from models.packages import needed
from models.training.train import Training, train

TEXTS = {"wikitext-103": "wikitext-103-v1", "wikitext-2": "wikitext-2-v1"}
CONTEXT = 1024
TRAINING = {
    # §4.1: 128 sequences of 1,024 tokens a step as 4 parts of 32, a constant 6e-5. OpenWebText has about 9e9 tokens.
    "quick": Training(4, 4, 6e-5, accumulation=2),
    "normal": Training(2000, 128, 6e-5, accumulation=4, precision="bf16"),
    "thorough": Training(68_000, 128, 6e-5, accumulation=4, precision="bf16"),
}
MODELS = {
    "81M": KroneckerFactorisation((4, 1)),
    "95M-pruned": KroneckerFactorisation((2, 1), start=Start.PRUNED),
    "95M-van-loan": KroneckerFactorisation((2, 1)),
    "4-terms-scalars": KroneckerFactorisation((3, 3), terms=4, scalars=True),
}
SAVE_EVERY = 200
PAGES = 20
"""Pages of WikiText-2 that lm-eval reads."""


@dataclass(frozen=True)
class Scores:
    """One model's perplexities, by text, and what lm-eval says."""

    parameters: int
    perplexity: dict[str, Perplexity]
    lambada_accuracy: float
    lm_eval: dict[str, float]


class PaperModels(Instrument):
    """Trains and scores the paper's models; every training run resumes."""

    name: ClassVar[str] = "Krony-PT's models"
    settings_at: ClassVar[str] = "bench.krony.paper:training_at"

    @classmethod
    def of(cls, session: Session) -> PaperModels:
        """The paper's models at the session's effort.

        Raises:
            InputError: the session's model is no GPT-2.
        """
        if session.decoder.model.config.model_type != "gpt2":
            name = session.decoder.name
            raise InputError(f"{name} is no GPT-2; Krony-PT's tables are about GPT-2, give --model gpt2")
        return cls(session, TRAINING[session.settings.effort])

    def _file(self, name: str) -> Path | None:
        return None if self.session.settings.data_dir is None else self.session.settings.data_dir / name

    @cached_property
    def texts(self) -> dict[str, list[str]]:
        """Lines of each WikiText test set, and LAMBADA's passages as the lines of a text."""
        folder = self.session.settings.data_dir
        texts = {name: wikitext_lines(config, folder) for name, config in TEXTS.items()}
        if folder is not None:
            return texts | {"lambada": passages_of(folder / LAMBADA)}
        return texts | {"lambada": [row["text"] for row in hub_rows("EleutherAI/lambada_openai", "default", "test")]}

    def raw_perplexity(self) -> float:
        """The dense model's on raw WikiText-2 under the Hugging Face protocol."""
        return float(self.measured("raw WikiText-2", self._raw_perplexity)["token"][0])

    def _raw_perplexity(self) -> Arrays:
        lines, decoder = wikitext_lines(RAW_WIKITEXT, self.session.settings.data_dir), self.session.decoder
        return {"token": np.array([perplexity(decoder.model, decoder.tokenizer, lines, HUGGINGFACE).token])}

    @cached_property
    def windows(self) -> Any:
        """Training windows, memory-mapped: as many as the run reads, in the text's order."""
        datasets = needed("datasets", "reading the training text")  # the paper's scale alone needs it
        wanted = self.settings.steps * self.settings.batch
        kept = self.session.kept("training-tokens", self._decided(str(wanted)), _cut)
        if not kept.exists():
            beside = kept.with_name(f"{kept.name}.part")
            source = {
                "path": self._file("openwebtext.jsonl"),
                "tokenizer": self.session.decoder.tokenizer,
                "wanted": wanted,
            }
            if not any(True for _ in _cut(**{**source, "wanted": 1})):
                raise InputError(f"the training text has fewer than {CONTEXT} tokens; give more")
            # Two bytes a token where they suffice: an epoch of OpenWebText then takes 18 GB.
            width = datasets.Value("uint16" if self.session.decoder.model.config.vocab_size <= 2**16 else "int32")
            features = datasets.Features({"input_ids": datasets.Sequence(width)})
            cache = f"{beside}.cache"
            made = datasets.Dataset.from_generator(_cut, features=features, gen_kwargs=source, cache_dir=cache)
            made.save_to_disk(str(beside))
            beside.rename(kept)
        return datasets.load_from_disk(str(kept)).with_format("torch")

    def _decided(self, what: str) -> str:
        """Description of everything that decides a training run or its tokens."""
        return f"{what} {self.settings} {self.session.model_sha256} {self.session.settings.data_dir}"

    def _trained(self, name: str) -> PreTrainedModel:
        model = copy.deepcopy(self.session.decoder.model)
        width = mlp_width(model.config)
        apply(MODELS[name], find_blocks(model), chosen=lambda _name, layer: width in layer.weight.shape)
        folder = self.session.kept("training", self._decided(name), PaperModels._trained)
        model.requires_grad_(True)
        train(
            model,
            self.windows,
            self.settings,
            device=self.session.settings.device,
            folder=folder,
            save_every=SAVE_EVERY,
        )
        return model.eval().requires_grad_(False)

    def scores(self, name: str) -> Scores:
        """Scores of one of `MODELS`, or of `dense` or `peer`."""
        peer = f" {self.session.settings.peer}" if name == "peer" else ""
        kept = self.measured(f"{name}{peer}", partial(self._measure, name))
        perplexities = {}
        for text in (*TEXTS, "lambada"):
            token, word, byte = (float(x) for x in kept[f"{text} units"])
            windows = kept[f"{text} losses"], kept[f"{text} lengths"]
            perplexities[text] = Perplexity(str(KRONY), token, word, byte, *windows)
        lm_eval = {name: float(value) for name, value in zip(WIKITEXT, kept["lm_eval"], strict=True)}
        return Scores(int(kept["parameters"][0]), perplexities, float(kept["lambada"][0]), lm_eval)

    def _measure(self, name: str) -> Arrays:
        tokenizer = self.session.decoder.tokenizer
        make: dict[str, Callable[[], PreTrainedModel]] = {
            "dense": lambda: self.session.decoder.model,
            "peer": lambda: load(self.session.settings.peer, device=self.session.settings.device).model,
        }
        model = make[name]() if name in make else self._trained(name)
        if model.config.vocab_size != self.session.decoder.model.config.vocab_size:
            raise InputError(
                f"{name} has {model.config.vocab_size} tokens and {self.session.decoder.name} "
                f"{self.session.decoder.model.config.vocab_size}; perplexities of different vocabularies cannot be "
                "compared"
            )
        arrays: Arrays = {"parameters": np.array([unique_parameters(model)])}
        for text, lines in self.texts.items():
            score = perplexity(model, tokenizer, lines, KRONY)
            arrays |= {
                f"{text} units": np.array([score.token, score.word, score.byte]),
                f"{text} losses": score.losses,
                f"{text} lengths": score.lengths,
            }
        arrays["lambada"] = np.array([last_words(model, tokenizer, self.texts["lambada"]).accuracy])
        pages = "".join(self.texts["wikitext-2"]).split("\n = ")[:PAGES]
        words = harness(model, tokenizer, [page for page in pages if page.strip()])
        return arrays | {"lm_eval": np.array([words[name] for name in WIKITEXT])}

    def origin(self) -> Origin:
        """The session's model, scored under the paper's protocol."""
        t = self.settings
        read = t.steps * t.batch * CONTEXT
        protocol = f"{KRONY}; students trained on {read:,} tokens, seed {t.seed}"
        return replace(self.session.origin(protocol, tokens=read), text="", text_sha256="")

    def origin_on(self, text: str, protocol: str = "") -> Origin:
        """Origin of a row about one text."""
        own, windows = self.origin(), len(self.scores("dense").perplexity[text].losses)
        return replace(own, text=text, documents=windows, protocol=protocol or own.protocol)


def training_at(_scale: str, effort: str) -> Training:
    """Training of the paper's models at an effort."""
    return TRAINING[effort]


def _training_texts(path: Path | None) -> Iterator[str]:
    if path is not None:
        yield from (document.text for document in read_documents(path))
    else:
        yield from (row["text"] for row in hub_rows("Skylion007/openwebtext", None, "train", streaming=True))


def _cut(path: Path | None, tokenizer: PreTrainedTokenizerBase, wanted: int) -> Iterator[dict[str, list[int]]]:
    """The first windows of 1,024 tokens across documents, with an end-of-text token between two of them."""
    end = tokenizer.convert_tokens_to_ids(END_OF_TEXT)
    held: list[int] = []
    for text in _training_texts(path):
        held += tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        if isinstance(end, int) and end != tokenizer.unk_token_id:
            held.append(end)
        while len(held) >= CONTEXT:
            yield {"input_ids": held[:CONTEXT]}
            held, wanted = held[CONTEXT:], wanted - 1
            if not wanted:
                return
