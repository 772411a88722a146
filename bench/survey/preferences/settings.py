"""Settings of preference distillation: prompts, continuations and steps, by scale and effort."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from models.gpt2 import GPT2Shape
from models.training.plan import Training

SUMS = GPT2Shape(layers=2, width=64, heads=2, vocabulary=12, positions=9)
"""Model of sums: ten digits, plus and equals; 12+34=046 has nine tokens."""


@dataclass(frozen=True)
class PreferenceSettings:
    """A student of the dense model of the training-time methods, and what it learns of its teacher's preferences."""

    layers: int
    """Blocks of the student."""
    width: int
    heads: int
    supervised: Training
    """Distilled supervised tuning, on the teacher's continuations."""
    further: Training
    """What comes after it: one epoch of preferences, as Zephyr's, or of supervised tuning on the preferred ones."""
    prompts: int
    """To learn from."""
    held_out: int
    """To choose rates on."""
    per_document: int
    """Scored prompts of a document."""
    sums: Training
    """First training of the model of sums, after which it can add some and not all."""
    seeds: tuple[int, ...] = (10, 11, 12)
    prompt: int = 32
    """Tokens."""
    continuation: int = 24
    own: int = 2
    """Candidates of a prompt that the teacher continues, and as many that the student does: four, as Zephyr's."""
    rates: tuple[float, ...] = (0.03, 0.1, 0.3, 1.0)
    """Factors on the rate of `further` that are tried."""

    def decisive(self) -> dict[str, Any]:
        """Settings that decide what one student is; how many seeds there are, and which rates are tried, is no part."""
        return {name: value for name, value in asdict(self).items() if name not in {"seeds", "rates"}}

    def student(self, teacher: GPT2Shape) -> GPT2Shape:
        """Shape of the student, with the teacher's vocabulary and context."""
        return replace(teacher, layers=self.layers, width=self.width, heads=self.heads)


def _cosine(steps: int, batch: int, rate: float) -> Training:
    return Training(steps, batch, rate, schedule="cosine", warmup=max(1, steps // 20), weight_decay=0.0)


PROTOCOLS = {
    ("embedded", "quick"): PreferenceSettings(
        1,
        16,
        2,
        _cosine(2, 4, 1e-3),
        _cosine(2, 4, 1e-3),
        prompts=8,
        held_out=4,
        per_document=2,
        sums=_cosine(3, 8, 3e-3),
        seeds=(0, 1),
        prompt=8,
        continuation=4,
        rates=(1.0,),
    ),
    # By held-out pairs of a seed that is not scored: with half the teacher's width and a quarter of its depth the
    # student's perplexity is a sixth above the teacher's; 150 first steps leave it a wrong sum in eight.
    ("embedded", "thorough"): PreferenceSettings(
        1,
        48,
        2,
        _cosine(150, 32, 1e-3),
        _cosine(150, 32, 1e-3),
        prompts=4800,
        held_out=256,
        per_document=48,
        sums=_cosine(150, 64, 3e-3),
    ),
    ("gpu", "quick"): PreferenceSettings(
        4, 256, 4, _cosine(10, 32, 3e-4), _cosine(10, 32, 3e-4), 256, 64, 4, _cosine(50, 64, 3e-3), seeds=(0, 1)
    ),
    ("gpu", "normal"): PreferenceSettings(
        5, 384, 6, _cosine(150, 64, 3e-4), _cosine(150, 64, 3e-4), 9600, 1024, 48, _cosine(150, 64, 3e-3)
    ),
    ("gpu", "thorough"): PreferenceSettings(
        5,
        384,
        6,
        _cosine(500, 64, 3e-4),
        _cosine(500, 64, 3e-4),
        32_000,
        1024,
        48,
        _cosine(150, 64, 3e-3),
        seeds=(0, 1, 2, 3, 4),
    ),
}


def at(scale: str, effort: str) -> PreferenceSettings | None:
    """Protocol of one scale and effort; None where an effort's models could decide nothing."""
    return PROTOCOLS.get((scale.partition("-")[0], effort))
