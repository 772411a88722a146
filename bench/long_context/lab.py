"""Divergence from the dense model along context: the instrument of the long-context claims."""

from __future__ import annotations

import resource
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np
import torch

from bench.long_context.curves import Curve, Forward, HiddenStates, curve, hidden_states
from bench.long_context.measured import CacheFormat, Measured, summary_of
from bench.long_context.theory import attention_noise, simulated_noise
from bench.long_context.windows import PairedWindows, paired_windows
from bench.measure.divergence import compare
from bench.measure.frequencies import token_entropy
from bench.measure.instrument import Instrument
from bench.measure.rounding import FLOOR_FACTOR, Rounding
from bench.verdict.documents import Array, Interval, growth, mean
from bench.verdict.evidence import Arrays, Origin
from bench.verdict.regions import GROWS, Region, Verdict, judge
from bench.verdict.simulation import Population, rate_of_reproduced
from compress.method import Method
from compress.quantization.rounding import RoundToNearest
from compress.swap import compressed
from models.first_token import told_first
from models.rounded_cache import hidden_through_cache

TAIL = RoundToNearest(3)
"""The variant whose per-token KL the simulated documents are made of."""


class LongContext(Instrument):
    """Measures variants of a session's model on the same targets under growing contexts."""

    name: ClassVar[str] = "long context"
    settings_at: ClassVar[str] = "bench.measure.settings:at"

    def __init__(self, session: Any) -> None:
        super().__init__(session, session.settings)
        self._tokens: dict[str, Array] = {}

    @property
    def looks(self) -> tuple[int, ...]:
        """Documents at each look; none where all are looked at at once."""
        return ()

    def first(self, _documents: int) -> LongContext:
        """The instrument on so many documents, those of one of its looks."""
        return self

    def tokens_of(self, method: Method | CacheFormat) -> Array | None:
        """KL of a variant token by token, `[documents, contexts, targets]`; None if this session did not measure it."""
        return self._tokens.get(repr(method))

    @cached_property
    def windows(self) -> PairedWindows:
        """Windows of the scored documents."""
        return paired_windows(self.session.corpus.scored, self.settings.contexts, self.settings.targets)

    @cached_property
    def dense(self) -> HiddenStates:
        """The dense model's hidden states, measured once for all variants."""
        with self.session.progress.variant("dense", self.windows.token_count) as advance:
            return hidden_states(self.session.decoder, self.windows, advance=advance)

    def origin(self) -> Origin:
        """The session's model and text, read in pairs."""
        s = self.settings
        protocol = (
            f"paired: {s.targets} targets a document under left contexts {', '.join(map(str, s.contexts))}; "
            f"{told_first(self.session.decoder.model)}; {s.dtype}; natural log; "
            f"calibration {s.calibration_sequences} x {s.calibration_length} tokens of other documents"
        )
        return self.session.origin(protocol, documents=len(self.windows.segments), tokens=self.windows.token_count)

    def measure(self, method: Method | CacheFormat) -> Measured:
        """Curve of the model compressed by `method`, which is undone afterwards, or read through it."""
        kept = dict(self.measured(f"curve {method!r}", partial(self._measure, method), type(method), label=str(method)))
        summary = {name.removeprefix("summary_"): float(x) for name, x in kept.items() if name.startswith("summary_")}
        contexts = tuple(int(context) for context in kept["contexts"])
        means = {name: kept[name] for name in ("kl", "reverse_kl", "agreement", "loss", "dense_loss")}
        return Measured(str(method), contexts, means, kept["positions"], kept["resolved"], summary)

    def _measure(self, method: Method | CacheFormat) -> Arrays:
        measured, summary = self._curve(method)
        self._tokens[repr(method)] = measured.tokens["kl"]
        means = {name: measured.by_document(name) for name in measured.tokens}
        own = {"contexts": np.array(measured.contexts), "positions": measured.positions, "resolved": measured.resolved}
        return own | means | {f"summary_{name}": np.array(value) for name, value in summary.items()}

    def _curve(self, method: Method | CacheFormat) -> tuple[Curve, dict[str, float]]:
        decoder, dense, started = self.session.decoder, self.dense, time.perf_counter()
        if self.settings.device != "cpu":
            torch.cuda.reset_peak_memory_stats()
        with (
            self.session.progress.variant(str(method), self.windows.token_count) as advance,
            self._variant(method) as (forward, summary),
        ):
            states = hidden_states(decoder, self.windows, forward=forward, advance=advance)
            measured = curve(decoder, self.windows, dense, states)
        cost = {"seconds": time.perf_counter() - started, "peak_bytes": float(self._peak())}
        return measured, {**summary, **cost}

    @contextmanager
    def _variant(self, method: Method | CacheFormat) -> Iterator[tuple[Forward, dict[str, float]]]:
        """Way from tokens to hidden states of a variant, and what became of the layers."""
        decoder = self.session.decoder
        if not isinstance(method, Method):
            yield partial(hidden_through_cache, decoder.model, method.rounded), {}
            return
        batches = self.session.calibration if method.statistic else []
        with compressed(
            method, decoder.blocks, forward=decoder.hidden, batches=batches, model=decoder.model
        ) as outcome:
            yield decoder.hidden, summary_of(outcome)

    def _peak(self) -> int:
        if self.settings.device != "cpu":
            return torch.cuda.max_memory_allocated()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def noise_floor(self) -> Array:
        """KL of the dense model against itself, read in other batches: `[2 documents, contexts]`.

        In a format narrower than float32, no less than what that does by itself.
        """
        return np.maximum(self.measured("noise floor", self._noise_floor)["kl"], Rounding(self.session).floor())

    def _noise_floor(self) -> Arrays:
        decoder, windows = self.session.decoder, self.windows
        few = PairedWindows(windows.segments[:2], windows.contexts, windows.targets)
        again = hidden_states(decoder, few, batch_tokens=1 if self.settings.device != "cpu" else 10**6)
        reference = HiddenStates(
            {context: states[:2] for context, states in self.dense.by_context.items()}, self.dense.resolved[:2]
        )
        return {"kl": curve(decoder, few, reference, again).by_document()}

    def forgetting(self) -> Array:
        """KL of the dense model with the shortest context against itself with each: `[documents, contexts]`.

        A positive control: a model that forgets all but the nearest tokens differs more, the longer the context.
        """
        return self.measured("forgetting", self._forgetting)["kl"]

    def _forgetting(self) -> Arrays:
        head, windows = self.session.decoder.head, self.windows
        width, labels = head.weight.shape[1], windows.labels().flatten()
        shortest = self.dense.by_context[windows.contexts[0]].reshape(-1, width)
        columns = []
        for context in windows.contexts:
            states = self.dense.by_context[context].reshape(-1, width)
            kl = compare(head, shortest, states, labels).kl
            columns.append(kl.view(len(windows.segments), -1).mean(1).numpy())
        return {"kl": np.stack(columns, axis=1)}

    def noise(self, attention: str) -> Arrays:
        """Variance of the noise that attention sums, by position: simulated, or with the model's own attention."""
        if attention == "model":
            return self.measured("attention noise", self._attention_noise)
        return self.measured(f"noise {attention}", partial(self._simulated_noise, attention))

    def _attention_noise(self) -> Arrays:
        return attention_noise(self.session.decoder, self.windows)

    def _simulated_noise(self, attention: str) -> Arrays:
        return simulated_noise(attention, seed=self.settings.seed)

    def rate(self, name: str, truth: float, accept: Region, simulations: int) -> tuple[Interval, float]:
        """Rate of "reproduced" on documents made of the model's own KL, and that of BCa intervals on the same draws."""
        what = f"rate {name} {truth} {accept} {simulations} {self.settings.resamples}"
        kept = self.measured(what, partial(self._rate, name, truth, accept, simulations), type(TAIL))["rate"]
        return Interval(*(float(x) for x in kept[:3])), float(kept[3])

    def _rate(self, name: str, truth: float, accept: Region, simulations: int) -> Arrays:
        self.measure(TAIL)
        if repr(TAIL) not in self._tokens:  # its means were on record, without its tokens
            self._tokens[repr(TAIL)] = self._curve(TAIL)[0].tokens["kl"]
        tokens = self._tokens[repr(TAIL)]
        rate, bca = rate_of_reproduced(
            Population.of(tokens),
            documents=len(tokens),
            truth=truth,
            accept=accept,
            simulations=simulations,
            resamples=self.settings.resamples,
            seed=self.settings.seed + zlib.crc32(name.encode()),
        )
        return {"rate": np.array([rate.value, rate.low, rate.high, bca])}

    def no_context(self) -> float:
        """Loss of the scored text's token frequencies, nats a token."""
        return float(self.measured("token frequencies", self._no_context)["loss"])

    def _no_context(self) -> Arrays:
        return {"loss": np.array(token_entropy(self.windows.segments))}

    def doubt(self, *variants: Measured) -> str:
        """Reason why these variants cannot be judged: near the noise floor, ruined, or forgetting is not seen."""
        floor = self.noise_floor().mean(0)
        for one in variants:
            level = one.kl.mean(0)
            if not (level >= FLOOR_FACTOR * floor).all():
                low, high = f"{level.min():.2g}", f"{floor.max():.2g}"
                return f"the instrument does not discriminate: KL {low} is near its noise floor {high}"
        ruined = [one.method for one in variants if not one.loss < self.no_context()]
        if ruined:
            return (
                f"{' and '.join(ruined)} predict worse than the text's token frequencies ({self.no_context():.2f} "
                "nats): what is left is no language model"
            )
        if len(self.settings.contexts) > 2:
            control = growth(self.forgetting()[:, 1:], resamples=self.settings.resamples)
            if judge(control, GROWS) is not Verdict.REPRODUCED:
                return f"the instrument does not discriminate: a model that forgets shows no growth ({control})"
        return ""

    def described(self, measured: Measured) -> dict:
        """Means over documents with intervals, for plots and tables."""
        columns = measured.means | {"loss_change": measured.means["loss"] - measured.means["dense_loss"]}
        series = {name: [self._triple(column) for column in values.T] for name, values in columns.items()}
        cost = {"seconds", "peak_bytes"}
        return {
            "contexts": list(measured.contexts),
            "series": series,
            "summary": {name: value for name, value in measured.summary.items() if name not in cost},
            "positions": measured.positions.tolist(),
            "resolved": measured.resolved.mean(0).round(6).tolist(),
        }

    def _triple(self, values: Array) -> list[float]:
        interval = mean(values, resamples=self.settings.resamples)
        return [interval.value, interval.low, interval.high]
