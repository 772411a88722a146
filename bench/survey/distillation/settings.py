"""Settings of the distillation of classifiers: how much is learned, by what students, at each scale and effort."""

from __future__ import annotations

from dataclasses import dataclass

from models.training.train import Training


@dataclass(frozen=True)
class DistillationSettings:
    """One protocol: a teacher fine-tuned on labels, and students taught by labels, by it, or both."""

    test: int
    """Short reviews that are scored."""
    shifted: int
    """Long reviews that are scored."""
    held_out: int
    """Training examples that are not learned from: weights, α, T and β are chosen on them."""
    most: int | None
    """Training examples, with those held out; None for all."""
    copies: int
    """Augmented copies of each training text that a teacher labels."""
    teaching: Training
    bilstm: Training
    encoder: Training
    first_layers: Training
    seeds: int
    ensemble: int
    """Teachers that differ by their seed."""
    teacher_layers: int = 6
    student_layers: int = 2
    """Layers of MiniLM that the student of its first layers has."""
    choosing_seeds: int = 1
    """Seeds, none of them scored, by which α, T and β are chosen."""
    length: int = 48
    """Tokens of a short review; 97 % are shorter."""
    long_length: int = 192
    """Tokens read of a long review."""
    width: int = 128
    """Width of the BiLSTM's word vectors, and of the small encoder."""
    hidden: int = 96
    """Width of the BiLSTM's states, in each direction."""
    evaluations: int = 6
    """Times that a student is scored on held-out examples while it learns; the best weights are kept."""
    alphas: tuple[float, ...] = (0.0, 0.5)
    """Weights of the labels that are tried."""
    temperatures: tuple[float, ...] = (2.0, 4.0)
    """Temperatures that are tried; 1 is a control."""
    betas: tuple[float, ...] = (1.0, 10.0, 100.0)
    """Weights of the hidden states that are tried; the paper's range is 10 to 1000 (Sun et al. 2019, §4.2)."""
    larger: bool = True
    """Whether MPNet teaches too; it takes 440 MB and minutes to read the texts."""


def training(steps: int, learning_rate: float, *, batch: int = 32) -> Training:
    """Adam along half a cosine, after a tenth of the steps."""
    return Training(
        steps, batch, learning_rate, schedule="cosine", warmup=steps // 10, betas=(0.9, 0.999), weight_decay=0.01
    )


def _protocol(steps: float, *, seeds: int, ensemble: int, shifted: int, copies: int) -> DistillationSettings:
    return DistillationSettings(
        test=2000,
        shifted=shifted,
        held_out=800,
        most=None,
        copies=copies,
        teaching=training(round(300 * steps), 1e-4),
        bilstm=training(round(600 * steps), 2e-3),
        encoder=training(round(300 * steps), 1e-3),
        first_layers=training(round(270 * steps), 1e-4),
        seeds=seeds,
        ensemble=ensemble,
    )


QUICK = DistillationSettings(
    test=40,
    shifted=20,
    held_out=20,
    most=60,
    copies=1,
    teaching=training(2, 1e-4, batch=4),
    bilstm=training(2, 1e-3, batch=4),
    encoder=training(2, 1e-3, batch=4),
    first_layers=training(2, 1e-4, batch=4),
    seeds=2,
    ensemble=2,
    teacher_layers=4,
    length=16,
    long_length=24,
    width=16,
    hidden=8,
    evaluations=1,
    alphas=(0.5,),
    betas=(1.0, 10.0),
    larger=False,
)
PROTOCOLS = {
    ("embedded", "quick"): QUICK,
    ("embedded", "thorough"): _protocol(1, seeds=5, ensemble=3, shifted=800, copies=4),
    ("gpu", "quick"): QUICK,
    ("gpu", "normal"): _protocol(1, seeds=5, ensemble=3, shifted=4000, copies=4),
    ("gpu", "thorough"): _protocol(2, seeds=20, ensemble=5, shifted=20_000, copies=20),
}


def at(scale: str, effort: str) -> DistillationSettings | None:
    """Protocol of one scale and effort; None where an effort's models could decide nothing."""
    return PROTOCOLS.get((scale.partition("-")[0], effort))
