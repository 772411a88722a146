"""One model, one text and one setting: everything that the claims of a session are measured with."""

from __future__ import annotations

import hashlib
import json
import resource
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from bench.long_context.curves import Array, Curve, HiddenStates, curve, hidden_states
from bench.long_context.windows import PairedWindows, paired_windows
from bench.measure.divergence import compare
from bench.measure.settings import Settings
from bench.verdict.evidence import code_sha256
from compress.method import Method
from compress.swap import Compression, compressed
from models.data.embedded import documents_of
from models.data.text import Corpus, calibration_batches, read_documents, split
from models.errors import InputError
from models.load import Decoder, check_device, load

Arrays = dict[str, Array]


class Progress(Protocol):
    """What shows how far the session is."""

    def variant(self, name: str, tokens: int) -> AbstractContextManager[Callable[[int], None]]:
        """Open a stretch of work of that many tokens; what it gives is told of tokens as they are done."""
        ...


@dataclass(frozen=True)
class Measured:
    """A curve with what it cost and what was compressed."""

    method: str
    curve: Curve
    seconds: float
    peak_bytes: int
    summary: dict[str, float]


@dataclass
class Lab:
    """Measures variants of one model; what was measured once is kept, in memory and in a folder."""

    settings: Settings
    decoder: Decoder
    corpus: Corpus
    windows: PairedWindows
    folder: Path
    """Where measurements are kept."""
    resume: bool
    """Whether those of an earlier session may be used."""
    progress: Progress
    _measured: dict[str, Arrays] = field(default_factory=dict)

    @classmethod
    def build(cls, settings: Settings, folder: Path, *, resume: bool, progress: Progress) -> Lab:
        """Load the model and the text that the settings name.

        Raises:
            InputError: they do not exist or do not fit the settings.
        """
        check_device(settings.device)
        if settings.text is not None and not settings.text.is_file():
            read_documents(settings.text)  # says so before a model is loaded
        decoder = load(settings.model, device=settings.device)
        needed = settings.contexts[-1] + settings.targets
        if needed - 1 > decoder.longest_context:
            raise InputError(
                f"context {settings.contexts[-1]:,} and {settings.targets} targets need {needed - 1:,} positions and "
                f"{decoder.name} has {decoder.longest_context:,}; give --contexts that end lower"
            )
        documents = documents_of(settings.text)
        corpus = split(
            documents,
            decoder.tokenizer,
            scored_tokens=needed,
            calibration_tokens=settings.calibration_sequences * settings.calibration_length,
            most_scored=settings.documents,
        )
        windows = paired_windows(corpus.scored, settings.contexts, settings.targets)
        return cls(settings, decoder, corpus, windows, folder / "measurements", resume, progress)

    @cached_property
    def dense(self) -> HiddenStates:
        """The dense model's hidden states, measured once for all variants."""
        with self.progress.variant("dense", self.windows.token_count) as advance:
            return hidden_states(self.decoder, self.windows, advance=advance)

    @cached_property
    def calibration(self) -> list[Tensor]:
        """Token batches from documents that are never scored."""
        return calibration_batches(
            self.corpus,
            sequences=self.settings.calibration_sequences,
            length=self.settings.calibration_length,
            batch=4 if self.settings.device == "cpu" else 32,
        )

    def measure(self, method: Method) -> Measured:
        """The curve of the model compressed by `method`, which is undone afterwards."""
        kept = self.measured(f"curve {method!r}", lambda: self._measure(method))
        summary = {name.removeprefix("summary_"): float(x) for name, x in kept.items() if name.startswith("summary_")}
        seconds, peak = summary.pop("seconds"), int(summary.pop("peak_bytes"))
        return Measured(str(method), Curve.from_arrays(kept), seconds, peak, summary)

    def _measure(self, method: Method) -> Arrays:
        dense = self.dense
        started = time.perf_counter()
        if self.settings.device != "cpu":
            torch.cuda.reset_peak_memory_stats()
        with (
            self.progress.variant(str(method), self.windows.token_count) as advance,
            compressed(
                method,
                self.decoder.blocks,
                forward=self.decoder.hidden,
                batches=self.calibration,
                model=self.decoder.model,
            ) as outcome,
        ):
            found = hidden_states(self.decoder, self.windows, advance=advance)
            result = curve(self.decoder, self.windows, dense, found).arrays()
        summary = {**_summary(outcome), "seconds": time.perf_counter() - started, "peak_bytes": float(self._peak())}
        return {**result, **{f"summary_{name}": np.array(value) for name, value in summary.items()}}

    def _peak(self) -> int:
        if self.settings.device != "cpu":
            return torch.cuda.max_memory_allocated()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def measured(self, what: str, measure: Callable[[], Arrays]) -> Arrays:
        """The arrays that `measure` gives, or gave under the same name, code, model, text and settings."""
        key = hashlib.sha256(f"{what} {self.fingerprint}".encode()).hexdigest()[:24]
        path = self.folder / f"{key}.npz"
        if key not in self._measured and self.resume and path.exists():
            with np.load(path, allow_pickle=False) as stored:
                self._measured[key] = dict(stored)
        if key not in self._measured:
            self._measured[key] = measure()
            path.parent.mkdir(parents=True, exist_ok=True)
            beside = path.with_suffix(".part.npz")
            np.savez_compressed(beside, **self._measured[key])  # type: ignore[arg-type]
            beside.replace(path)
        return self._measured[key]

    @cached_property
    def fingerprint(self) -> str:
        """Of everything that decides a measurement."""
        chosen = json.dumps(asdict(self.settings), default=str, sort_keys=True)
        parts = (code_sha256(), self.decoder.sha256, self.corpus.sha256, chosen, torch.__version__)
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()

    def noise_floor(self) -> Array:
        """KL of the dense model against itself, read in other batches: `[2 documents, contexts]`."""

        def run() -> Arrays:
            few = PairedWindows(self.windows.segments[:2], self.windows.contexts, self.windows.targets)
            again = hidden_states(self.decoder, few, batch_tokens=1 if self.settings.device != "cpu" else 10**6)
            reference = HiddenStates(
                {context: states[:2] for context, states in self.dense.by_context.items()}, self.dense.resolved[:2]
            )
            return {"kl": curve(self.decoder, few, reference, again).by_document()}

        return self.measured("noise floor", run)["kl"]

    def forgetting(self) -> Array:
        """KL of the dense model with the shortest context against itself with each: `[documents, contexts]`.

        A positive control: a model that forgets all but the nearest tokens differs more, the longer the context.
        """
        width = self.decoder.head.weight.shape[1]
        shortest = self.dense.by_context[self.settings.contexts[0]].reshape(-1, width)
        labels = self.windows.labels().flatten()
        columns = []
        for context in self.settings.contexts:
            states = self.dense.by_context[context].reshape(-1, width)
            kl = compare(self.decoder.head, shortest, states, labels).kl
            columns.append(kl.view(len(self.windows.segments), -1).mean(1).numpy())
        return np.stack(columns, axis=1)

    @property
    def protocol(self) -> str:
        """How text was read, in one line."""
        s = self.settings
        return (
            f"paired: {s.targets} targets a document under left contexts {', '.join(map(str, s.contexts))}; "
            f"no BOS; float32; natural log; calibration {s.calibration_sequences} x {s.calibration_length} tokens "
            "of other documents"
        )


def _summary(outcome: Compression) -> dict[str, float]:
    storage = outcome.storage
    return {
        "layers": len(outcome.compressed),
        "skipped": len(outcome.skipped),
        "noted": sum(bool(layer.note) for layer in outcome.compressed),
        "sparsity": outcome.sparsity,
        "bits_per_weight": storage.bits_per_weight,
        "packed_bytes": storage.total_bits / 8,
        "held_bytes": storage.held_bits / 8,
        "simulated": float(storage.simulated),
    }
