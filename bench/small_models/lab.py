"""Trains small T5 models of every kind that the claims ask for, once each, and scores every seed."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.measure.session import Array, Arrays, Lab
from bench.small_models.settings import SmallModels
from compress.distillation.losses import mixed_loss, reverse_kl, soft_cross_entropy
from compress.distillation.teacher_cache import cached_logits
from models.data.tasks import Task
from models.data.text import Document
from models.data.vocabulary import enough_texts, train_tokenizer
from models.t5 import T5Shape, build
from models.text_to_text import (
    PAD,
    TargetLoss,
    Vocabulary,
    corrupted_table,
    exact_matches,
    logits_of,
    table,
    written,
)
from models.training.train import Loss, Training
from models.training.train_many import train_many

CURVE_POINTS = 40
DIVERGENCES: dict[str, Callable[..., Tensor]] = {"forward": soft_cross_entropy, "reverse": reverse_kl}


@dataclass(frozen=True)
class Distilled:
    """How a student is taught while it is fine-tuned (eq. 3.2)."""

    teacher: str
    """One of `SIZES`."""
    alpha: float
    """Of the loss on labels."""
    temperature: float
    divergence: str = "forward"
    """One of `DIVERGENCES`, or written: labels are what the teacher writes."""


@dataclass(frozen=True)
class Variant:
    """One kind of model, of which every seed gives one accuracy."""

    size: str
    shape: T5Shape | None = None
    """None for the size's own."""
    pretraining_factor: float = 1.0
    """Times the protocol's steps."""
    schedule: str | None = None
    warmup: int | None = None
    distilled: Distilled | None = None


@dataclass(frozen=True)
class DistilledLoss:
    """Labels and a teacher's logits, found by the examples' numbers (eq. 3.1–3.3)."""

    input_length: int
    teacher: Tensor
    how: Distilled

    def __call__(self, model: nn.Module, rows: Tensor) -> Tensor:
        """Of a model on rows of a table."""
        logits, targets = logits_of(model, rows, self.input_length)
        hard = functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), ignore_index=PAD)
        counted = (targets != PAD).to(logits.dtype)
        soft = DIVERGENCES[self.how.divergence](logits, self.teacher[rows[:, -1]], self.how.temperature, counted)
        return mixed_loss(hard, soft, self.how.alpha)


class SmallModelsLab:
    """The protocol on one text and one task; accuracies are kept like every measurement."""

    def __init__(self, lab: Lab, protocol: SmallModels, documents: list[Document], task: Task) -> None:
        self.lab, self.protocol, self.documents, self.task = lab, protocol, documents, task
        self._pretrained: dict[str, list[nn.Module]] = {}
        self._curves: dict[str, Array] = {}
        self._teachers: dict[str, nn.Module] = {}

    def share(self, other: SmallModelsLab) -> None:
        """Take over another lab's pre-trained models: the text and the protocol must be the same."""
        self._pretrained, self._curves = other._pretrained, other._curves

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Of a tokenizer trained on the documents."""
        return Vocabulary(train_tokenizer(enough_texts(self.documents), self.protocol.vocabulary))

    @cached_property
    def corrupted(self) -> Tensor:
        """The table that models are pre-trained on."""
        texts = self.vocabulary.tokens([document.text for document in self.documents])
        tokens = [token for text in texts for token in text]
        found, _ = corrupted_table(
            torch.tensor(tokens), self.vocabulary, self.protocol.input_length, seed=self.lab.settings.seed
        )
        return found

    @cached_property
    def rows(self) -> dict[str, Tensor]:
        """The tables of the task's parts, those that have examples, with room for its longest answer."""
        parts = {"train": self.task.train, "test": self.task.test, "shifted": self.task.shifted}
        answers = {target for part in parts.values() for _, target in part}
        longest = max(map(len, self.vocabulary.tokens(sorted(answers)))) + 1
        length = self.protocol.input_length
        return {name: table(part, self.vocabulary, length, longest) for name, part in parts.items() if part}

    def shape(self, variant: Variant) -> T5Shape:
        """A variant's sizes with this vocabulary."""
        return replace(variant.shape or self.protocol.shapes[variant.size], vocabulary=self.vocabulary.size)

    def pretrained(self, variant: Variant, seeds: int) -> tuple[list[nn.Module], Array]:
        """Copies of the models that span corruption gave, one a seed, and their training curves."""
        factor, own = variant.pretraining_factor, self.protocol.pretraining
        training = replace(
            own,
            steps=round(own.steps * factor),
            schedule=variant.schedule or own.schedule,
            warmup=own.warmup if variant.warmup is None else variant.warmup,
        )
        shape = self.shape(variant)
        key = f"{shape} {training} {seeds}"
        if key not in self._pretrained:
            models: list[nn.Module] = [build(shape, seed=seed) for seed in range(seeds)]
            name = f"pre-training {variant.size}"
            self._curves[key] = self._train(
                models, self.corrupted, training, TargetLoss(self.protocol.input_length), name
            )
            self._pretrained[key] = [model.cpu() for model in models]
        return copy.deepcopy(self._pretrained[key]), self._curves[key]

    def _train(self, models: list[nn.Module], rows: Tensor, training: Training, loss: Loss, name: str) -> Array:
        """Train, and give every model's curve `[models, points]`; NaN from where a model failed."""
        tokens = training.steps * training.batch * rows.shape[1] * len(models)
        with self.lab.progress.variant(name, tokens) as advance:
            histories = train_many(
                models,
                rows,
                training,
                range(len(models)),
                loss=loss,
                device=self.lab.settings.device,
                watch=lambda count, _loss: advance(count),
            )
        steps = training.steps
        losses = np.array([history.losses + [np.nan] * (steps - len(history.losses)) for history in histories])
        return np.stack([part.mean(1) for part in np.array_split(losses, min(CURVE_POINTS, steps), axis=1)], axis=1)

    def tuned(self, variant: Variant, seeds: int) -> tuple[list[nn.Module], Array, Array]:
        """Models fine-tuned on the task, one a seed, with the curves of pre-training and fine-tuning."""
        models, before = self.pretrained(variant, seeds)
        rows = self.rows["train"]
        loss: Loss = TargetLoss(self.protocol.input_length)
        how = variant.distilled
        if how is not None and how.divergence == "written":
            rows = written(self.teacher(how.teacher), rows, self.protocol.input_length)
        elif how is not None:
            loss = DistilledLoss(self.protocol.input_length, self.teacher_logits(how.teacher), how)
        curve = self._train(models, rows, self.protocol.tuning, loss, f"fine-tuning {variant.size}")
        return models, before, curve

    def teacher(self, size: str) -> nn.Module:
        """The first seed of a size, fine-tuned on labels."""
        if size not in self._teachers:
            self._teachers[size] = self.tuned(Variant(size), 1)[0][0]
        return self._teachers[size].cpu()

    def teacher_logits(self, size: str) -> Tensor:
        """A teacher's logits on every example, computed once for all students and seeds."""
        rows, length = self.rows["train"], self.protocol.input_length
        key = hashlib.sha256(f"{size} {self.named} {self.lab.fingerprint}".encode()).hexdigest()[:24]
        path = self.lab.folder / f"teacher-{key}.npy"
        found = cached_logits(path, len(rows), lambda part: logits_of(self.teacher(size), rows[part], length)[0])
        return found.to(self.lab.settings.device)

    @property
    def named(self) -> str:
        """What tells the measurements of one task and protocol from those of another."""
        return f"{self.task.name} {len(self.task.train)} {self.protocol}"

    def measured(self, variant: Variant, seeds: int) -> Arrays:
        """Each seed's accuracy on the task and on its other distribution, and curves; NaN curves where a run failed."""

        def run() -> Arrays:
            models, before, curve = self.tuned(variant, seeds)
            scored = {name: rows for name, rows in self.rows.items() if name != "train"}
            scores = {
                name: np.array([self._accuracy(model, rows) for model in models]) for name, rows in scored.items()
            }
            return {**scores, "pretraining": before, "tuning": curve}

        return self.lab.measured(f"small models {variant} {seeds} {self.named}", run)

    def _accuracy(self, model: nn.Module, rows: Tensor) -> float:
        device = self.lab.settings.device
        return float(exact_matches(model.to(device), rows.to(device), self.protocol.input_length).mean())

    def accuracy(self, variant: Variant, *, spread: bool = False) -> Array:
        """Percent right on the task, `[seeds]`; with `spread` over the seeds for what is said of spread."""
        seeds = self.protocol.spread_seeds if spread else self.protocol.seeds
        return 100 * self.measured(variant, seeds)["test"]

    def described(self, variants: dict[str, tuple[Variant, int]]) -> dict:
        """Every seed's accuracy, what failed, and curves of pre-training, for the page."""
        found = {}
        for name, (variant, seeds) in variants.items():
            run = self.measured(variant, seeds)
            failed = np.isnan(run["pretraining"]).any(1) | np.isnan(run["tuning"]).any(1)
            found[name] = {
                "accuracy": (100 * run["test"]).round(3).tolist(),
                "failed": int(failed.sum()),
                "parameters": self.shape(variant).parameters(embeddings=False),
                "curves": [[None if np.isnan(x) else round(float(x), 4) for x in run_] for run_ in run["pretraining"]],
            }
        return {"variants": found}
