"""Settings of the training-time methods: how much is trained and measured, by scale and effort."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from models.gpt2 import GPT2Shape
from models.training.plan import Training

SPARSITIES = (0.5, 0.75, 0.9)
"""Rounds of pruning; the last leaves the tenth that the survey names."""


@dataclass(frozen=True)
class TrainedSettings:
    """A dense model trained on the spot, and what is trained after it or in its place."""

    shape: GPT2Shape
    initial_scale: float
    """Standard deviation of the first weights."""
    dense: Training
    after: int
    """Steps of every training that goes on from the dense model."""
    sharing: int
    """Steps for which shared values are trained."""
    domain: int
    """Steps of fine-tuning on another domain."""
    seeds: tuple[int, ...]
    documents: int
    """Scored; none of them is trained on."""
    windows: int
    """Scored windows of a document, each of the model's context."""
    held_out: int
    """Documents that are neither trained on nor scored: rates are chosen on them."""
    reviews: int = 0
    """Long movie reviews that the other domain takes."""
    review_characters: int = 8000
    """Characters of reviews that make one document together."""
    calibration: int = 64
    """Training windows that GPTQ is calibrated on."""
    rates: tuple[float, ...] = (0.3, 1.0)
    """Factors on the dense model's rate that are tried for trainings that go on from it."""
    full_rates: tuple[float, ...] = (0.15, 0.4, 1.0)
    """Those tried for fine-tuning all weights on another domain."""
    adapter_rates: tuple[float, ...] = (0.5, 1.5, 5.0)
    """Those tried for adapters, whose rates are about ten times as high (Hu et al. 2021, table 11)."""
    save_every: int = 200
    """Steps between checkpoints."""

    def decisive(self) -> dict[str, Any]:
        """Settings that decide what one model is; how many seeds there are, and which rates are tried, is no part."""
        counts = {"seeds", "rates", "full_rates", "adapter_rates"}
        return {name: value for name, value in asdict(self).items() if name not in counts}

    @property
    def step_tokens(self) -> int:
        """Tokens of one step."""
        return self.dense.batch * self.shape.positions

    def going_on(self, steps: int, rate: float, seed: int) -> Training:
        """Training that goes on from a trained model: cosine from a share of the dense model's rate."""
        own = self.dense
        return replace(own, steps=steps, learning_rate=own.learning_rate * rate, warmup=max(1, steps // 20), seed=seed)


TINY = GPT2Shape(layers=2, width=32, heads=2, vocabulary=257, positions=32)
"""Every path in seconds; no language model."""
PICO = GPT2Shape(layers=4, width=96, heads=4, vocabulary=257, positions=64)
"""0.48M parameters, and bytes for tokens: with words for them, the first million tokens go into pairs of neighbours."""
SMALL = GPT2Shape(layers=10, width=576, heads=9, vocabulary=4096, positions=512)
"""43M parameters, for one GPU."""


def _dense(steps: int, batch: int, rate: float, *, precision: str = "no") -> Training:
    return Training(steps, batch, rate, schedule="cosine", warmup=max(1, steps // 20), precision=precision)


PROTOCOLS = {
    ("embedded", "quick"): TrainedSettings(
        TINY,
        0.05,
        _dense(8, 2, 4e-3),
        after=4,
        sharing=3,
        domain=3,
        seeds=(0, 1),
        documents=4,
        windows=2,
        held_out=2,
        reviews=60,
        review_characters=3000,
        calibration=2,
        rates=(0.3,),
        full_rates=(0.3,),
        adapter_rates=(1.5,),
        save_every=4,
    ),
    ("embedded", "thorough"): TrainedSettings(
        PICO,
        0.1,
        _dense(900, 8, 4e-3),
        after=300,
        sharing=150,
        domain=180,
        seeds=(0, 1, 2),
        documents=24,
        windows=16,
        held_out=16,
        reviews=2000,
    ),
    ("gpu", "quick"): TrainedSettings(
        SMALL,
        0.02,
        _dense(200, 64, 6e-4, precision="bf16"),
        after=60,
        sharing=30,
        domain=50,
        seeds=(0, 1),
        documents=8,
        windows=2,
        held_out=8,
        reviews=2000,
    ),
    ("gpu", "normal"): TrainedSettings(
        SMALL,
        0.02,
        _dense(3000, 32, 1e-3, precision="bf16"),
        after=1000,
        sharing=500,
        domain=750,
        seeds=(0, 1, 2),
        documents=24,
        windows=4,
        held_out=16,
        reviews=10_000,
        review_characters=24_000,
        save_every=500,
    ),
    ("gpu", "thorough"): TrainedSettings(
        SMALL,
        0.02,
        _dense(12_000, 32, 1e-3, precision="bf16"),
        after=4000,
        sharing=2000,
        domain=3000,
        seeds=(0, 1, 2, 3, 4),
        documents=24,
        windows=4,
        held_out=16,
        reviews=25_000,
        review_characters=24_000,
        save_every=1000,
    ),
}


def at(scale: str, effort: str) -> TrainedSettings | None:
    """Protocol of one scale and effort; None where an effort's models could decide nothing."""
    return PROTOCOLS.get((scale.partition("-")[0], effort))
