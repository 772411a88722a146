"""Trains small T5 models of every kind that the claims ask for, once each, and scores every seed."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from bench.measure.instrument import Instrument
from bench.small_models.settings import SmallModelsSettings
from bench.small_models.stacked import trained
from bench.small_models.variants import DistilledLoss, Variant
from bench.verdict.documents import Array
from bench.verdict.evidence import Arrays, Origin
from compress.distillation.teacher_cache import cached_logits
from models.data.tasks import Task
from models.data.text import Document, text_sha256
from models.data.vocabulary import enough_texts, train_tokenizer
from models.memory import room
from models.t5 import T5Shape, build
from models.text_to_text import (
    TargetLoss,
    Vocabulary,
    corrupted_table,
    exact_matches,
    logits_of,
    table,
    written,
)
from models.training.stacks import StackedLoss

BESIDE = 1 / 8
"""Largest share of a GPU's room that a teacher's logits may take beside a training; more come batch by batch."""


class SmallModels(Instrument):
    """The protocol on one text and one task."""

    name: ClassVar[str] = "small models"
    settings_at: ClassVar[str] = "bench.small_models.settings:at"

    def __init__(
        self,
        session: Any,
        settings: SmallModelsSettings,
        label: str,
        make: Callable[[], tuple[list[Document], Task]],
    ) -> None:
        """Prepare the protocol; nothing is read or trained yet.

        Args:
            session: whose text is learned from.
            settings: of the protocol.
            label: the task's name on record.
            make: reads the documents to pre-train on and the task.
        """
        super().__init__(session, settings)
        self.label, self._make = label, make
        self._pretrained: dict[str, list[nn.Module]] = {}
        self._curves: dict[str, Array] = {}
        self._teachers: dict[str, nn.Module] = {}

    def on(self, label: str, make: Callable[[], Task]) -> SmallModels:
        """Instrument for another task, with this one's protocol, text and pre-trained models."""
        other = SmallModels(self.session, self.settings, label, lambda: (self.documents, make()))
        other._pretrained, other._curves = self._pretrained, self._curves
        return other

    @cached_property
    def read(self) -> tuple[list[Document], Task]:
        """Documents and task, read when first asked for."""
        return self._make()

    @property
    def documents(self) -> list[Document]:
        """Documents that models are pre-trained on."""
        return self.read[0]

    @property
    def task(self) -> Task:
        """Task that models are fine-tuned on."""
        return self.read[1]

    def origin(self) -> Origin:
        """Models that are trained here, on the session's text and a task."""
        training, task, settings = self.settings, self.task, self.session.settings
        digest = hashlib.sha256(text_sha256(self.documents).encode())
        for example in (*task.train, *task.test, *task.shifted):
            digest.update("\0".join(example).encode())
        protocol = (
            f"{training.pretraining.steps} steps of span corruption, {training.tuning.steps} on {task.name}; percent "
            "written exactly"
        )
        return Origin(
            settings.scale,
            settings.effort,
            "T5, trained here",
            text=f"{self.session.text_name}, {task.name}",
            text_sha256=digest.hexdigest(),
            protocol=protocol,
            documents=len(task.test),
            seed=settings.seed,
        )

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Vocabulary of a tokenizer trained on the documents."""
        return Vocabulary(train_tokenizer(enough_texts(self.documents), self.settings.vocabulary))

    @cached_property
    def corrupted(self) -> Tensor:
        """The table that models are pre-trained on."""
        texts = self.vocabulary.tokens([document.text for document in self.documents])
        tokens = [token for text in texts for token in text]
        corrupted, _ = corrupted_table(
            torch.tensor(tokens), self.vocabulary, self.settings.input_length, seed=self.session.settings.seed
        )
        return corrupted

    @cached_property
    def rows(self) -> dict[str, Tensor]:
        """The tables of the task's parts, those that have examples, with room for its longest answer."""
        parts = {"train": self.task.train, "test": self.task.test, "shifted": self.task.shifted}
        answers = {target for part in parts.values() for _, target in part}
        longest = max(map(len, self.vocabulary.tokens(sorted(answers)))) + 1
        length = self.settings.input_length
        return {name: table(part, self.vocabulary, length, longest) for name, part in parts.items() if part}

    def shape(self, variant: Variant) -> T5Shape:
        """A variant's sizes with this vocabulary."""
        return replace(variant.shape or self.settings.shapes[variant.size], vocabulary=self.vocabulary.size)

    def pretrained(self, variant: Variant, seeds: int) -> tuple[list[nn.Module], Array]:
        """Copies of the models that span corruption gave, one a seed, and their training curves."""
        factor, own = variant.pretraining_factor, self.settings.pretraining
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
            loss, name = TargetLoss(self.settings.input_length), f"pre-training {variant.size}"
            self._curves[key] = trained(self.session, models, [self.corrupted], training, loss, name)
            self._pretrained[key] = models
        return copy.deepcopy(self._pretrained[key]), self._curves[key]

    def tuned(self, variant: Variant, seeds: int) -> tuple[list[nn.Module], Array, Array]:
        """Models fine-tuned on the task, one a seed, with the curves of pre-training and fine-tuning."""
        models, before = self.pretrained(variant, seeds)
        data, length = [self.rows["train"]], self.settings.input_length
        loss: StackedLoss = TargetLoss(length)
        how = variant.distilled
        if how is not None and how.divergence == "written":
            data = [self._written(how.teacher)]
        elif how is not None:
            loss = DistilledLoss(length, how)
            data.append(self.teacher_logits(how.teacher))
        name = f"fine-tuning {variant.size}"
        return models, before, trained(self.session, models, data, self.settings.tuning, loss, name)

    def teacher(self, size: str) -> nn.Module:
        """The first seed of a size, fine-tuned on labels, on the CPU."""
        if size not in self._teachers:
            self._teachers[size] = self.tuned(Variant(size), 1)[0][0]
        return self._teachers[size]

    def _written(self, size: str) -> Tensor:
        """Training rows with a teacher's answers, written on the session's device."""
        teacher, device = self.teacher(size), self.session.settings.device
        rows = written(teacher.to(device), self.rows["train"].to(device), self.settings.input_length)
        teacher.cpu()
        return rows.cpu()

    def teacher_logits(self, size: str) -> Tensor:
        """A teacher's logits on every training example, computed once for all students and seeds.

        They are mapped from a file. Where they take a small part of a GPU's room they go there as a whole; otherwise a
        training brings those of each batch.
        """
        rows, length = self.rows["train"], self.settings.input_length
        what = f"{size} {self.settings} {self.origin().text_sha256}"
        path = self.session.kept("teachers", what, SmallModels.tuned, SmallModels.teacher_logits)
        path.parent.mkdir(parents=True, exist_ok=True)

        device = self.session.settings.device

        def logits(part: slice) -> Tensor:
            return logits_of(self.teacher(size).to(device), rows[part].to(device), length)[0]

        kept = cached_logits(path, len(rows), logits)
        if size in self._teachers:
            self._teachers[size].cpu()
        return kept.to(device) if kept.nbytes <= BESIDE * room(self.session.settings.gpu_memory) else kept

    def measure(self, variant: Variant, seeds: int) -> Arrays:
        """Accuracy of each seed on the task and on its other distribution, and curves, NaN where a run failed."""
        return self.measured(f"{self.label}: {variant}, {seeds} seeds", partial(self._measure, variant, seeds))

    def _measure(self, variant: Variant, seeds: int) -> Arrays:
        models, before, curve = self.tuned(variant, seeds)
        scored = {name: rows for name, rows in self.rows.items() if name != "train"}
        scores = {name: np.array([self._accuracy(model, rows) for model in models]) for name, rows in scored.items()}
        about = {
            "floor": np.array([self.task.floor]),
            "parameters": np.array([self.shape(variant).parameters(embeddings=False)]),
        }
        return {**scores, "pretraining": before, "tuning": curve, **about}

    def _accuracy(self, model: nn.Module, rows: Tensor) -> float:
        device = self.session.settings.device
        right = float(exact_matches(model.to(device), rows.to(device), self.settings.input_length).mean())
        model.cpu()  # those of many seeds would fill a GPU
        return right

    def accuracy(self, variant: Variant, *, spread: bool = False) -> Array:
        """Percent right on the task, `[seeds]`; with `spread` over the seeds for what is said of spread."""
        seeds = self.settings.spread_seeds if spread else self.settings.seeds
        return 100 * self.measure(variant, seeds)["test"]

    @property
    def floor(self) -> float:
        """Percent right of the commonest answer."""
        return 100 * float(self.measure(Variant("mini"), self.settings.seeds)["floor"][0])

    def described(self, variants: dict[str, tuple[Variant, int]]) -> dict:
        """Accuracy of every seed, what failed, and curves of pre-training, for the page."""
        shown = {}
        for name, (variant, seeds) in variants.items():
            run = self.measure(variant, seeds)
            failed = np.isnan(run["pretraining"]).any(1) | np.isnan(run["tuning"]).any(1)
            shown[name] = {
                "accuracy": (100 * run["test"]).round(3).tolist(),
                "failed": int(failed.sum()),
                "parameters": int(run["parameters"][0]),
                "curves": [[None if np.isnan(x) else round(float(x), 4) for x in own] for own in run["pretraining"]],
            }
        return {"variants": shown}
