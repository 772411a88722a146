"""Thresholds that a checkpoint has to clear, and its rows: one a threshold."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import pytest

from bench.checkpoint.judged import KL, RATIO, TOP1
from bench.verdict.claims import CHECKPOINT
from bench.verdict.documents import Interval
from bench.verdict.grades import LEAST_DEPARTURE, TIMES_MEDIAN
from bench.verdict.needed import what_would_decide
from bench.verdict.regions import Region, Verdict, judge
from bench.verdict.rows import Row

CHANGED_BLOCKS = "blocks"
ANCHOR = "about what llama.cpp's table has for Llama-2-7B at q2_K: ratio 1.108, KL 0.109, same top token 85.6 %"


@dataclass(frozen=True)
class Thresholds:
    """Limits that the bounds of intervals have to clear."""

    max_ratio: float = 1.1
    """Perplexity over the dense model's."""
    max_kl: float = 0.1
    """Mean KL compressed‖dense, nats a token."""
    min_top1: float = 0.85
    """Share of tokens for which both models find the same token likeliest."""

    @classmethod
    def of(cls, config: pytest.Config) -> Thresholds:
        """Thresholds of the command line, and the defaults of those that it leaves out."""
        asked = {name: config.getoption(name) for name in asdict(cls())}
        return cls(**{name: value for name, value in asked.items() if value is not None})

    def rows(self, label: str) -> list[Row]:
        """Rows of one checkpoint; their contestants are its label and the measure."""
        declared = (
            (RATIO, "perplexity over that of the dense model", Region(high=self.max_ratio), self._because("max_ratio")),
            (KL, "KL compressed‖dense, nats a token", Region(high=self.max_kl), self._because("max_kl")),
            (TOP1, "share of tokens with the same top token", Region(low=self.min_top1), self._because("min_top1")),
            (
                CHANGED_BLOCKS,
                "number of blocks that depart where the others do not",
                Region(high=0),
                f"by more than {LEAST_DEPARTURE:g} of what a dense block adds and {TIMES_MEDIAN:g} times the median",
            ),
        )
        return [
            Row(f"{CHECKPOINT}-{label}-{measure}", CHECKPOINT, statistic, region, because, (label, measure))
            for measure, statistic, region, because in declared
        ]

    def _because(self, name: str) -> str:
        option = f"--{name.replace('_', '-')}"
        return f"{option}, by default: {ANCHOR}" if getattr(self, name) == getattr(type(self), name) else option


def rows_of(config: pytest.Config, label: str) -> list[Row]:
    """Rows of one checkpoint, with the thresholds of the command line."""
    return Thresholds.of(config).rows(label)


def would_decide(row: Row, interval: Interval, units: int, *, of: str = "documents", ratio: bool = False) -> str:
    """Words for what would decide a row, such as the number of documents; empty where it is decided."""
    if judge(interval, row.accept) is not Verdict.INCONCLUSIVE:
        return ""
    return what_would_decide(interval, units, row.accept, of=of, ratio=ratio).words
