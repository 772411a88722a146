"""Settings of the small T5 models: their sizes, and how long they are trained, at each scale and effort."""

from __future__ import annotations

from dataclasses import dataclass, replace

from models.t5 import TABLE_3_1, T5Shape
from models.training.train import Training

SIZES = ("tiny", "mini", "small", "base")
"""Students are the first two, teachers the last two, as in Table 4.6; the networks of mini are varied."""


@dataclass(frozen=True)
class SmallModelsSettings:
    """One protocol: pre-training by span corruption, then fine-tuning on one task."""

    shapes: dict[str, T5Shape]
    """Shapes by the names of `SIZES`; their vocabulary is set when the tokenizer is."""
    vocabulary: int
    """Tokens of the tokenizer, without sentinels."""
    input_length: int
    """Tokens that the encoder reads."""
    pretraining: Training
    tuning: Training
    seeds: int
    """Seeds from which means are taken."""
    spread_seeds: int
    """Seeds from which the spread is taken."""
    classes: int = 16
    """Articles that a sentence may come from."""
    arithmetic: int = 4000
    """Sums to learn from, where rationales are asked about."""


def _nano(width: int, layers: int) -> T5Shape:
    """Table 3.1's proportions, far smaller: d_ff is four times d_model, and heads fill it."""
    return T5Shape(
        layers, layers, inner=4 * width, width=width, head_width=max(4, width // 4), heads=min(4, width // 4)
    )


NANO = {"tiny": _nano(12, 2), "mini": _nano(20, 2), "small": _nano(28, 2), "base": _nano(40, 2)}
"""Shapes so small that their size limits them, and not the amount of embedded text."""


def _corruption(steps: int, batch: int, warmup: int) -> Training:
    return Training(steps, batch, 3e-3, schedule="inverse-sqrt-flat", warmup=max(1, warmup), weight_decay=0.0)


def _embedded(pretraining: int, tuning: int, seeds: int, spread_seeds: int, batch: int = 32) -> SmallModelsSettings:
    return SmallModelsSettings(
        NANO,
        1024,
        24,
        _corruption(pretraining, batch, pretraining // 10),
        Training(tuning, batch, 2e-3, weight_decay=0.0),
        seeds,
        spread_seeds,
    )


def _large(pretraining: int, tuning: int, seeds: int, spread_seeds: int, vocabulary: int) -> SmallModelsSettings:
    """Table 3.1's own sizes, §4.1's batch of 128, constant 1e-3 in fine-tuning."""
    return SmallModelsSettings(
        TABLE_3_1,
        vocabulary,
        128,
        _corruption(pretraining, 128, pretraining // 20),
        Training(tuning, 128, 1e-3, weight_decay=0.0),
        seeds,
        spread_seeds,
    )


PAPER = _large(524_288, 262_144, 5, 5, 32_000)
PROTOCOLS = {
    ("embedded", "quick"): _embedded(3, 4, 2, 4, batch=8),
    ("embedded", "thorough"): _embedded(500, 700, 5, 10),
    ("gpu", "quick"): _large(20, 20, 2, 4, 8192),
    ("gpu", "normal"): _large(600, 400, 5, 10, 8192),
    ("gpu", "thorough"): _large(6000, 2000, 5, 10, 8192),
    ("paper", "quick"): _embedded(3, 4, 2, 4, batch=8),  # the path alone, as far as C4 and GLUE
    ("paper", "normal"): PAPER,
    ("paper", "thorough"): replace(PAPER, seeds=10, spread_seeds=10),
}


def at(scale: str, effort: str) -> SmallModelsSettings | None:
    """Protocol of one scale and effort; None where an effort's models could decide nothing."""
    return PROTOCOLS.get((scale.partition("-")[0], effort))
