"""One-shot methods on the lab's model: each calibrated, applied, scored on whole windows, and undone."""

from __future__ import annotations

import shutil
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from bench.measure.blocks_at_work import shown
from bench.measure.harness import LAMBADA as LAST_WORDS
from bench.measure.harness import WIKITEXT, can_read, harness
from bench.measure.instrument import Instrument
from bench.measure.perplexity import LAMBADA, passages_of
from bench.measure.rounding import Rounding
from bench.measure.whole_windows import WholeWindows
from bench.verdict.documents import Array, Interval, difference_ratio
from bench.verdict.evidence import Arrays, Origin
from compress.method import Method
from compress.quantization.gptq import GPTQ
from compress.swap import Compression, compressed
from models.data.text import calibration_batches, text_sha256
from models.errors import InputError, TooLittleText

BATCH_TOKENS = 2048
PERCENTILES = (50, 90, 99, 99.9)
HARNESS = (*WIKITEXT, *(f"lambada_{name}" for name in LAST_WORDS))
PASSAGE_WORDS = 60
"""Words of a passage cut from the scored documents, where LAMBADA's own are not at hand."""


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
    """Percentiles of the KL of single tokens, at `PERCENTILES`."""
    harness: dict[str, float]
    """lm-evaluation-harness's own figures, where they were asked for."""
    bits_per_weight: float
    packed_bytes: float
    held_bytes: float
    """Bytes in memory, as it is simulated."""
    sparsity: float
    noted: int
    """Layers where something did not go as asked."""
    seconds: float

    def against_dense(self) -> Interval:
        """Perplexity over the dense model's."""
        return difference_ratio(self.loss, self.dense_loss)


class Survey(Instrument):
    """Scores one-shot methods on whole windows."""

    name: ClassVar[str] = "survey"
    settings_at: ClassVar[str] = "bench.survey.settings:at"

    @property
    def blocks(self) -> tuple[nn.Module, ...]:
        """Blocks that are compressed: the first ones, or all."""
        return self.session.decoder.blocks[: self.settings.blocks]

    def doubt(self, *variants: Scored) -> str:
        """Reason why a result says nothing of the whole model, or nothing above rounding; empty where it does."""
        if self.settings.blocks is None:
            return Rounding(self.session).doubt(*(variant.kl.mean() for variant in variants))
        return f"only {self.settings.blocks} block(s) are compressed at this effort; use --effort=normal"

    def origin(self) -> Origin:
        """The session's model and text, in whole windows."""
        settings, (documents, tokens) = self.settings, self.windows.tokens.shape
        protocol = (
            f"windows of {tokens} tokens from each document's start, every token but the first; "
            f"calibration {settings.calibration_sequences} x {settings.calibration_length} tokens; "
            f"{self.session.settings.device}"
        )
        return self.session.origin(protocol, documents=documents, tokens=documents * tokens)

    @cached_property
    def windows(self) -> WholeWindows:
        """Scored windows, at most as long as the model can read."""
        length = min(self.settings.tokens, self.session.decoder.longest_context)
        scored = [tokens[:length] for tokens in self.session.corpus.scored if len(tokens) >= length]
        if len(scored) < 2:
            raise TooLittleText(f"{len(scored)} scored documents have {length} tokens; give longer documents")
        return WholeWindows(torch.stack(scored[: self.settings.documents]), BATCH_TOKENS)

    def watching(self, label: str) -> AbstractContextManager[None]:
        """Blocks as a method goes through them; nothing of what is no variant and has no label."""
        if not label:
            return super().watching(label)
        return shown(self.session.progress, f"compressing {label}", self.session.decoder.model.base_model, self.blocks)

    @property
    def off_domain(self) -> bool:
        """True if there is text of another kind to calibrate on (`--train-text`)."""
        return self.session.settings.train_text is not None

    def batches(self, *, off_domain: bool, sample: int = 0) -> list[Tensor]:
        """Calibration tokens, of the lab's own documents that are never scored or of `--train-text`."""
        count, length = self.settings.calibration_sequences, self.settings.calibration_length
        batch = max(1, BATCH_TOKENS // length)
        if not off_domain:
            return calibration_batches(self.session.corpus, sequences=count, length=length, batch=batch, sample=sample)
        start, end = sample * count * length, (sample + 1) * count * length
        tokens: list[int] = []
        for document in self.session.more_documents:
            encoded = self.session.decoder.tokenizer(document.text[: 8 * end], add_special_tokens=False, verbose=False)
            tokens += encoded["input_ids"]
            if len(tokens) >= end:
                break
        if len(tokens) < end:
            raise InputError(
                f"--train-text has {len(tokens):,} tokens; calibration asks for {sample + 1} x {count} x {length}"
            )
        return list(torch.tensor(tokens[start:end]).view(count, length).split(batch))

    def _states(self, name: str) -> Tensor:
        with self.session.progress.variant(name, self.windows.tokens.numel()) as advance:
            return self.windows.states(self.session.decoder.hidden, advance)

    @cached_property
    def dense(self) -> Tensor:
        """The dense model's hidden states `[documents, tokens - 1, width]`, for all variants."""
        return self._states("dense, survey")

    @cached_property
    def pages(self) -> list[str]:
        """Pages that lm-evaluation-harness reads: the scored documents' beginnings."""
        tokenizer, count = self.session.decoder.tokenizer, self.settings.harness_characters
        scored = self.session.corpus.scored[: self.settings.harness_pages]
        return [str(tokenizer.decode(tokens[:count]))[:count] for tokens in scored]

    @cached_property
    def passages(self) -> list[str]:
        """LAMBADA's, where `--data-dir` has them; else runs of the scored documents' words."""
        folder, wanted = self.session.settings.data_dir, self.settings.passages
        if folder is not None and (folder / LAMBADA).is_file():
            return passages_of(folder / LAMBADA)[:wanted]
        words = [str(self.session.decoder.tokenizer.decode(tokens)).split() for tokens in self.session.corpus.scored]
        starts = range(0, max(map(len, words)), PASSAGE_WORDS)
        runs = [" ".join(text[start : start + PASSAGE_WORDS]) for start in starts for text in words]
        return [passage for passage in runs if " " in passage][:wanted]

    @property
    def has_harness(self) -> bool:
        """True if lm-evaluation-harness can read with this tokenizer."""
        return can_read(self.session.decoder.tokenizer)

    def harness(self) -> dict[str, float]:
        """lm-evaluation-harness's figures of the model as it stands."""
        with torch.inference_mode():
            return harness(self.session.decoder.model, self.session.decoder.tokenizer, self.pages, self.passages)

    def dense_harness(self) -> dict[str, float]:
        """lm-evaluation-harness's figures of the dense model."""
        return _figures(self.measured("dense, harness", self._dense_harness))

    def _dense_harness(self) -> Arrays:
        return {name: np.array(x) for name, x in self.harness().items()}

    def over_samples(self, method: Method, *, off_domain: bool = False) -> list[Scored]:
        """Scores of a variant calibrated on each of the samples."""
        return [self.measure(method, off_domain=off_domain, sample=i) for i in range(self.settings.samples)]

    def measure(self, method: Method, *, off_domain: bool = False, sample: int = 0) -> Scored:
        """Scores of a variant; lm-evaluation-harness is asked too, where it can, of what GPTQ gives on one sample."""
        away = f", off-domain {self._off_domain_sha256}" if off_domain else ""
        away += f", calibration sample {sample}" if sample else ""
        label = f"{method}{' (off-domain)' if off_domain else ''}"
        # Here, so that GPTQ's code counts for no other method; extensions are none of the survey's experiment.
        asked = isinstance(method, GPTQ) and method.first_token_weight == 1 and not sample
        kept = self.measured(
            f"{method!r}{away}", partial(self._measure, method, off_domain, sample, asked), type(method), label=label
        )
        return Scored(
            method=label,
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

    @property
    def _off_domain_sha256(self) -> str:
        return text_sha256(self.session.more_documents)[:16]

    def _measure(self, method: Method, off_domain: bool, sample: int, asked: bool) -> Arrays:
        dense, decoder = self.dense, self.session.decoder
        batches = self.batches(off_domain=off_domain, sample=sample) if method.statistic else []
        keep = self._kept_blocks(method, off_domain, sample) if method.statistic and method.resumable else None
        started = time.perf_counter()
        with compressed(method, self.blocks, forward=decoder.hidden, batches=batches, keep=keep) as outcome:
            seconds = time.perf_counter() - started
            scores = self._scores(self._states(str(method)), dense)
            if asked and self.has_harness:
                scores |= {name: np.array(value) for name, value in self.harness().items()}
        if keep is not None:
            shutil.rmtree(keep)
        return scores | _described(outcome) | {"seconds": np.array(seconds)}

    def _kept_blocks(self, method: Method, off_domain: bool, sample: int) -> Path:
        """Folder in which an interrupted run leaves the blocks it has done; cleared unless the session resumes."""
        session = self.session
        what = f"{method!r} {off_domain} {sample} {self.settings} {session.model_sha256} {session.text_sha256}"
        folder = session.kept("blocks", what, Survey._measure, type(method))
        if not session.resume:
            shutil.rmtree(folder, ignore_errors=True)
        return folder

    def _scores(self, states: Tensor, dense: Tensor) -> dict[str, Array]:
        divergences = self.windows.against(self.session.decoder.head, states, dense)
        tokens = {name: values.double().numpy() for name, values in divergences.items()}
        means = {name: values.mean(1) for name, values in tokens.items()}
        return means | {"percentiles": np.percentile(tokens["kl"], PERCENTILES)}


def _figures(kept: Arrays) -> dict[str, float]:
    return {name: float(kept[name]) for name in HARNESS if name in kept}


def _described(outcome: Compression) -> dict[str, Array]:
    storage = outcome.storage
    values = {
        "bits_per_weight": storage.bits_per_weight,
        "packed_bytes": storage.total_bits / 8,
        "held_bytes": storage.held_bits / 8,
        "sparsity": outcome.sparsity,
        "noted": sum(bool(layer.note) for layer in outcome.compressed),
    }
    return {name: np.array(value) for name, value in values.items()}
