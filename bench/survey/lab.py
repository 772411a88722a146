"""One-shot methods on the lab's model: each calibrated, applied, scored on whole windows, and undone."""

from __future__ import annotations

import hashlib
import shutil
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench.measure.divergence import NAMES, compare
from bench.measure.harness import LAMBADA as LAST_WORDS
from bench.measure.harness import WIKITEXT, can_read, harness
from bench.measure.perplexity import LAMBADA, passages_of
from bench.measure.session import Array, Arrays, Lab
from bench.survey.settings import SurveySettings
from bench.verdict.documents import Interval, difference_ratio
from compress.method import Method
from compress.quantization.gptq import GPTQ
from compress.swap import Compression, compressed
from models.data.text import calibration_batches, read_documents
from models.errors import InputError

BATCH_TOKENS = 2048
PERCENTILES = (50, 90, 99, 99.9)
HARNESS = (*WIKITEXT, *(f"lambada_{name}" for name in LAST_WORDS))
PASSAGE_WORDS = 60
"""Of a passage cut from the scored documents, where LAMBADA's own are not at hand."""


@dataclass(frozen=True)
class Scored:
    """A variant against the dense model, and what it takes."""

    method: str
    loss: Array
    """Nats a token, `[documents]`."""
    dense_loss: Array
    kl: Array
    """D(compressed‖dense), `[documents]`."""
    agreement: Array
    percentiles: tuple[float, ...]
    """Of the KL of single tokens, at `PERCENTILES`."""
    harness: dict[str, float]
    """lm-evaluation-harness's own figures, where they were asked for."""
    bits_per_weight: float
    packed_bytes: float
    held_bytes: float
    """In memory, as it is simulated."""
    sparsity: float
    noted: int
    """Layers where something did not go as asked."""
    seconds: float

    def against_dense(self) -> Interval:
        """Perplexity over the dense model's."""
        return difference_ratio(self.loss, self.dense_loss)

    def against(self, other: Scored) -> Interval:
        """Perplexity over another variant's, on the same tokens."""
        return difference_ratio(self.loss, other.loss)

    def divergence_against(self, other: Scored) -> Interval:
        """KL over another variant's, geometric means over documents."""
        return difference_ratio(np.log(self.kl), np.log(other.kl))


class SurveyLab:
    """Scores variants; what was scored once is kept like every measurement."""

    def __init__(self, lab: Lab, settings: SurveySettings) -> None:
        self.lab, self.settings = lab, settings
        blocks = lab.decoder.blocks
        self.blocks = blocks if settings.blocks is None else blocks[: settings.blocks]

    @property
    def partial(self) -> str:
        """Why a result says nothing of the whole model; empty where it does."""
        if len(self.blocks) == len(self.lab.decoder.blocks):
            return ""
        return f"only {len(self.blocks)} of {len(self.lab.decoder.blocks)} blocks are compressed; use --effort=thorough"

    @cached_property
    def windows(self) -> Tensor:
        """Scored tokens, `[documents, tokens]`, at most as many as the model can read."""
        length = min(self.settings.tokens, self.lab.decoder.longest_context)
        found = [tokens[:length] for tokens in self.lab.corpus.scored if len(tokens) >= length]
        if len(found) < 2:
            raise InputError(f"{len(found)} scored documents have {length} tokens; give longer documents")
        return torch.stack(found[: self.settings.documents])

    @property
    def off_domain(self) -> bool:
        """Whether there is text of another kind to calibrate on (`--train-text`)."""
        return self.lab.settings.train_text is not None

    def batches(self, *, off_domain: bool) -> list[Tensor]:
        """Calibration tokens, of the lab's own documents that are never scored or of `--train-text`."""
        count, length = self.settings.calibration_sequences, self.settings.calibration_length
        batch = max(1, BATCH_TOKENS // length)
        if not off_domain:
            return calibration_batches(self.lab.corpus, sequences=count, length=length, batch=batch)
        if self.lab.settings.train_text is None:
            raise InputError("calibration on text of another kind needs --train-text")
        tokens: list[int] = []
        for document in read_documents(self.lab.settings.train_text):
            encoded = self.lab.decoder.tokenizer(
                document.text[: 8 * count * length], add_special_tokens=False, verbose=False
            )
            tokens += encoded["input_ids"]
            if len(tokens) >= count * length:
                break
        if len(tokens) < count * length:
            raise InputError(f"--train-text has {len(tokens):,} tokens; calibration asks for {count} x {length}")
        return list(torch.tensor(tokens[: count * length]).view(count, length).split(batch))

    def _hidden(self, name: str) -> Tensor:
        rows = max(1, BATCH_TOKENS // self.windows.shape[1])
        with self.lab.progress.variant(name, self.windows.numel()) as advance, torch.inference_mode():
            parts = []
            for part in self.windows.split(rows):
                parts.append(self.lab.decoder.hidden(part)[:, :-1].cpu())
                advance(part.numel())
        return torch.cat(parts)

    @cached_property
    def dense(self) -> Tensor:
        """The dense model's hidden states `[documents, tokens - 1, width]`, for all variants."""
        return self._hidden("dense, survey")

    @cached_property
    def pages(self) -> list[str]:
        """What lm-evaluation-harness reads: the scored documents' beginnings."""
        tokenizer, count = self.lab.decoder.tokenizer, self.settings.harness_characters
        scored = self.lab.corpus.scored[: self.settings.harness_pages]
        return [str(tokenizer.decode(tokens[:count]))[:count] for tokens in scored]

    @cached_property
    def passages(self) -> list[str]:
        """LAMBADA's, where `--data-dir` has them; else runs of the scored documents' words."""
        folder, wanted = self.lab.settings.data_dir, self.settings.passages
        if folder is not None and (folder / LAMBADA).is_file():
            return passages_of(folder / LAMBADA)[:wanted]
        words = [str(self.lab.decoder.tokenizer.decode(tokens)).split() for tokens in self.lab.corpus.scored]
        starts = range(0, max(map(len, words)), PASSAGE_WORDS)
        found = [" ".join(text[start : start + PASSAGE_WORDS]) for start in starts for text in words]
        return [passage for passage in found if " " in passage][:wanted]

    @property
    def has_harness(self) -> bool:
        """Whether lm-evaluation-harness can read with this tokenizer."""
        return can_read(self.lab.decoder.tokenizer)

    def harness(self) -> dict[str, float]:
        """lm-evaluation-harness's figures of the model as it stands."""
        with torch.inference_mode():
            return harness(self.lab.decoder.model, self.lab.decoder.tokenizer, self.pages, self.passages)

    def dense_harness(self) -> dict[str, float]:
        """Those of the dense model."""
        kept = self.lab.measured(
            f"survey harness {self.settings}", lambda: {name: np.array(x) for name, x in self.harness().items()}
        )
        return _figures(kept)

    def measure(self, method: Method, *, off_domain: bool = False, harness: bool = False) -> Scored:
        """A variant's scores; `harness` asks lm-evaluation-harness too, where it can, as of all that GPTQ gives."""
        harness = (harness or isinstance(method, GPTQ)) and self.has_harness
        what = f"survey {method!r} {self.settings} {off_domain} {harness} {self.lab.settings.train_text}"
        kept = self.lab.measured(what, lambda: self._measure(method, off_domain, harness))
        return Scored(
            method=f"{method}{' (off-domain)' if off_domain else ''}",
            loss=kept["loss"],
            dense_loss=kept["dense_loss"],
            kl=kept["kl"],
            agreement=kept["agreement"],
            percentiles=tuple(kept["percentiles"].tolist()),
            harness=_figures(kept),
            noted=int(kept["noted"]),
            bits_per_weight=float(kept["bits_per_weight"]),
            packed_bytes=float(kept["packed_bytes"]),
            held_bytes=float(kept["held_bytes"]),
            sparsity=float(kept["sparsity"]),
            seconds=float(kept["seconds"]),
        )

    def _measure(self, method: Method, off_domain: bool, harness: bool) -> Arrays:
        dense, decoder = self.dense, self.lab.decoder
        batches = self.batches(off_domain=off_domain) if method.statistic else []
        keep = self._kept_blocks(method, off_domain) if method.statistic else None
        started = time.perf_counter()
        with compressed(method, self.blocks, forward=decoder.hidden, batches=batches, keep=keep) as outcome:
            seconds = time.perf_counter() - started
            found = self._scores(self._hidden(str(method)), dense)
            if harness:
                found |= {name: np.array(value) for name, value in self.harness().items()}
        if keep is not None:
            shutil.rmtree(keep)
        return found | _described(outcome) | {"seconds": np.array(seconds)}

    def _kept_blocks(self, method: Method, off_domain: bool) -> Path:
        """Where a run that is interrupted leaves the blocks it has done; those of an earlier session only to resume."""
        what = f"{method!r} {off_domain} {self.settings} {self.lab.fingerprint}"
        folder = self.lab.folder / "blocks" / hashlib.sha256(what.encode()).hexdigest()[:24]
        if not self.lab.resume:
            shutil.rmtree(folder, ignore_errors=True)
        return folder

    def _scores(self, hidden: Tensor, dense: Tensor) -> Arrays:
        labels = self.windows[:, 1:]
        parts = compare(self.lab.decoder.head, hidden.flatten(0, 1), dense.flatten(0, 1), labels.flatten())
        tokens = {name: getattr(parts, name).view(labels.shape).double().numpy() for name in NAMES}
        means = {name: values.mean(1) for name, values in tokens.items()}
        return means | {"percentiles": np.percentile(tokens["kl"], PERCENTILES)}


def _figures(kept: Arrays) -> dict[str, float]:
    return {name: float(kept[name]) for name in HARNESS if name in kept}


def _described(outcome: Compression) -> Arrays:
    storage = outcome.storage
    values = {
        "bits_per_weight": storage.bits_per_weight,
        "packed_bytes": storage.total_bits / 8,
        "held_bytes": storage.held_bits / 8,
        "sparsity": outcome.sparsity,
        "noted": sum(bool(layer.note) for layer in outcome.compressed),
    }
    return {name: np.array(value) for name, value in values.items()}
