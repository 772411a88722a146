"""Settings of Krony-PT's experiments: how much is trained and measured at each scale and effort."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from compress.distillation.heal import Healing
from models.gpt2 import GPT2Shape
from models.training.train import Training


@dataclass(frozen=True)
class LadderSettings:
    """A teacher trained on the spot and the students that start from it."""

    shape: GPT2Shape
    initial_scale: float
    """Standard deviation of the first weights."""
    teacher: Training
    student: Training
    seeds: tuple[int, ...]
    documents: int
    """Scored; none of them is trained on."""
    windows: int
    """Scored windows of a document, each of the model's context."""
    held_out: int
    """Documents that are neither trained on nor scored: learning rates and flatness are read on them."""
    elsewhere: int = 0
    """Articles of the Wikipedia sample that students are scored on besides, where their text is of another kind."""
    save_every: int = 0
    """Steps between checkpoints."""
    dropout: float = 0.0
    """Dropout of the teacher and of models trained from scratch, if they read their text more than four times."""
    passes: int | None = None
    """The most times that the teacher may read its text; None for any number."""
    text: int | None = None
    """The most tokens of text that all train on; None for as many as the teacher reads."""


@dataclass(frozen=True)
class HealedSettings:
    """Fitting and healing of the real model's factorised MLPs."""

    calibration: int
    """Sequences of the lab's calibration text that fit and heal."""
    healing: Healing
    tokens: int
    """Scored tokens of a document."""
    blocks: int | None = None
    """Number of first blocks that are compressed; None for all."""
    end_to_end: Training | None = None
    """Training of the whole compressed model on the calibration text after that, where a GPU makes it possible."""
    batch: int = 1
    """Sequences of one step of healing; a GPU is idle with a single one."""


TINY = GPT2Shape(layers=4, width=48, heads=2, vocabulary=512, positions=64)
"""Every path in seconds; no language model."""
NANO = GPT2Shape(layers=4, width=144, heads=4, vocabulary=1024, positions=128)
SMALL = GPT2Shape(layers=10, width=576, heads=9, vocabulary=4096, positions=512)
"""43M parameters, for one GPU."""


REPEATED: dict[str, Any] = {"dropout": 0.1, "passes": 16}
"""Terms on which a large teacher may read its text again. By then a pass is worth little: the worth falls to 1/e over
15 repetitions (Muennighoff et al. 2023, eq. 5)."""


def _ladder(
    shape: GPT2Shape, teacher: tuple[int, int, float], student: tuple[int, float], **rest: object
) -> LadderSettings:
    steps, batch, rate = teacher
    precision = "bf16" if shape is SMALL else "no"
    return LadderSettings(
        shape,
        0.02 if shape is SMALL else 0.05,
        Training(steps, batch, rate, schedule="cosine", warmup=max(1, steps // 50), precision=precision),
        Training(student[0], batch, student[1], precision=precision),
        **rest,  # type: ignore[arg-type]
    )


LADDERS = {
    ("embedded", "quick"): _ladder(TINY, (20, 4, 4e-3), (8, 1e-3), seeds=(0, 1), documents=4, windows=1, held_out=2),
    # Meant for books (--text books.txt.xz), of which 4 million tokens are read four times. Less text, read more often,
    # hides what depth is good for: on 1.1 million tokens of Wikipedia, 37 times, half the depth came to 1.068 [1.047,
    # 1.090] times the teacher's perplexity. More text, read once, is counted as well as a model this small learns it: a
    # 5-gram model of 16 million tokens came to 1.015 [0.984, 1.047] times. The 32 books that are held out were scored
    # before some regions of today were set; those scored now never were, and neither were these seeds trained.
    # Students read nearly two fifths of what the teacher did; the paper's about an epoch of what GPT-2 read several of
    # (§4.1). At a constant rate a checkpoint on the way is what a shorter training would have ended with.
    ("embedded", "thorough"): _ladder(
        NANO,
        (8_000, 16, 4e-3),
        (3_072, 1e-3),
        seeds=(10, 11, 12),
        documents=32,
        windows=16,
        held_out=32,
        elsewhere=32,
        save_every=384,
        dropout=0.1,
        text=4_096_000,
    ),
    ("gpu", "quick"): _ladder(
        SMALL, (200, 64, 6e-4), (20, 1e-4), seeds=(10, 11), documents=8, windows=2, held_out=8, **REPEATED
    ),
    ("gpu", "normal"): _ladder(
        SMALL,
        (6000, 64, 1e-3),
        (400, 1e-4),
        seeds=(10, 11, 12),
        documents=16,
        windows=8,
        held_out=16,
        save_every=500,
        **REPEATED,
    ),
    ("gpu", "thorough"): _ladder(
        SMALL,
        (20_000, 64, 1e-3),
        (2000, 1e-4),
        seeds=(10, 11, 12, 13, 14),
        documents=16,
        windows=8,
        held_out=16,
        save_every=500,
        **REPEATED,
    ),
}


def _whole(steps: int) -> Training:
    """Training of a whole model, each batch in parts that a GPU holds."""
    return Training(steps, 16, 3e-4, accumulation=4, precision="bf16")


HEALED = {
    ("embedded", "quick"): HealedSettings(2, Healing(1), 96, blocks=1),
    ("embedded", "thorough"): HealedSettings(8, Healing(6), 256),
    ("gpu", "quick"): HealedSettings(8, Healing(1), 256, blocks=6, batch=4),
    ("gpu", "normal"): HealedSettings(128, Healing(8), 1024, end_to_end=_whole(1000), batch=8),
    ("gpu", "thorough"): HealedSettings(96, Healing(8), 1024, end_to_end=_whole(5000), batch=8),
}


def ladder_at(scale: str, effort: str) -> LadderSettings | None:
    """Settings of the ladder; None where an effort's students could decide nothing."""
    return LADDERS.get((scale, effort))


def healed_at(scale: str, effort: str) -> HealedSettings | None:
    """Settings of the healed real model; None where an effort's healing could decide nothing."""
    return HEALED.get((scale, effort))
