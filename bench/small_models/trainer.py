"""Training of small T5 models: span corruption, then a task, by labels or by a teacher that is asked once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from filelock import FileLock
from torch import Tensor, nn

from bench.small_models.kept import trained_once
from bench.small_models.settings import FIRST, SmallModelsSettings
from bench.small_models.stacked import trained
from bench.small_models.tables import TRAIN, Tables, tables_of
from bench.small_models.variants import Chosen, Distilled, DistilledLoss, Variant
from bench.verdict.documents import Array
from compress.distillation.teacher_cache import cached_logits
from models.data.tasks import Task
from models.data.text import Document, text_sha256
from models.data.vocabulary import enough_texts, train_tokenizer
from models.memory import room
from models.t5 import T5Shape, build
from models.text_to_text import TargetLoss, Vocabulary, corrupted_table, logits_of, written
from models.training.plan import Training
from models.training.stacks import StackedLoss

BESIDE = 1 / 8
"""Largest share of a GPU's room that a teacher's logits may take beside a training; more come batch by batch."""


class Trainer:
    """Trains models of a protocol on documents and a task."""

    def __init__(
        self,
        session: Any,
        settings: SmallModelsSettings,
        make: Callable[[], tuple[list[Document], Task]],
        task_sha256: Callable[[], str],
    ) -> None:
        """Prepare; nothing is read or trained yet.

        Args:
            session: whose device computes, and whose folder keeps what is shared.
            settings: of the protocol.
            make: reads the documents to pre-train on and the task.
            task_sha256: gives the identity of both.
        """
        self.session, self.settings, self._make, self._sha256 = session, settings, make, task_sha256

    @cached_property
    def read(self) -> tuple[list[Document], Task]:
        """Documents and task, read when first asked for."""
        return self._make()

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Vocabulary of a tokenizer trained on the documents."""
        return Vocabulary(train_tokenizer(enough_texts(self.read[0]), self.settings.vocabulary))

    @cached_property
    def corrupted(self) -> Tensor:
        """The table that models are pre-trained on."""
        texts = self.vocabulary.tokens([document.text for document in self.read[0]])
        tokens = [token for text in texts for token in text]
        corrupted, _ = corrupted_table(
            torch.tensor(tokens), self.vocabulary, self.settings.input_length, seed=self.session.settings.seed
        )
        return corrupted

    @cached_property
    def tables(self) -> Tables:
        """The task's parts in tokens."""
        return tables_of(self.read[1], self.vocabulary, self.settings, self.session.settings.seed)

    def shape(self, variant: Variant) -> T5Shape:
        """A variant's sizes with this vocabulary."""
        return replace(variant.shape or self.settings.shapes[variant.size], vocabulary=self.vocabulary.size)

    def schedule(self, variant: Variant) -> Training:
        """A variant's pre-training."""
        own = self.settings.pretraining
        return replace(
            own,
            steps=round(own.steps * variant.pretraining_factor),
            learning_rate=own.learning_rate * variant.rate_factor,
            schedule=variant.schedule or own.schedule,
            warmup=max(1, round(own.warmup * variant.warmup_factor)),
        )

    def tuning(self, size: str) -> Training:
        """Fine-tuning of a size."""
        own = self.settings.tuning
        return replace(own, learning_rate=own.learning_rate * self.settings.tuning_factors.get(size, 1.0))

    def pretrained(self, variant: Variant, seeds: range) -> tuple[list[nn.Module], Array]:
        """Models that span corruption gives, one a seed, and their training curves.

        Those that are as the protocol has them are kept in a file, for students that are taught in several ways.
        """
        shape, training = self.shape(variant), self.schedule(variant)
        models: list[nn.Module] = [build(shape, seed=seed) for seed in seeds]
        loss, name = TargetLoss(self.settings.input_length), f"pre-training {variant.size}"

        def train() -> Array:
            return trained(self.session, models, seeds, [self.corrupted], training, loss, name)

        if replace(variant, distilled=None) != Variant(variant.size):
            return models, train()
        what = f"{shape} {training} {self.settings.input_length} {seeds} {text_sha256(self.read[0])}"
        return models, trained_once(self.session.kept("pretrained", what, Trainer.pretrained), models, train)

    def tuned(self, variant: Variant, seeds: range) -> tuple[list[nn.Module], Array, Array]:
        """Models fine-tuned on the task, one a seed, with the curves of pre-training and fine-tuning.

        The one model of a size that teaches is kept in a file.
        """
        models, before = self.pretrained(variant, seeds)
        data, loss = self._lessons(variant.distilled)

        def train() -> Array:
            how, name = self.tuning(variant.size), f"fine-tuning {variant.size}"
            return trained(self.session, models, seeds, data, how, loss, name)

        if variant != Variant(variant.size) or seeds != range(FIRST, FIRST + 1):
            return models, before, train()
        path = self.session.kept("teachers", f"{variant.size} {self.settings} {self._sha256()}", Trainer.tuned)
        return models, before, trained_once(path, models, train)

    def _lessons(self, how: Distilled | Chosen | None) -> tuple[list[Tensor], StackedLoss]:
        """Training examples with what a student is given of them, and its loss.

        Raises:
            ValueError: α and T are yet to be chosen.
        """
        rows, length = self.tables.rows[TRAIN], self.tables.length
        if how is None:
            return [rows], TargetLoss(length)
        if isinstance(how, Chosen):
            raise ValueError(f"α and T with the teacher {how.teacher} are not chosen yet; resolve the variant first")
        if how.divergence == "written":
            return [self._written(how.teacher)], TargetLoss(length)
        return [rows, self.teacher_logits(how.teacher)], DistilledLoss(length, how)

    def teacher(self, size: str) -> nn.Module:
        """The first seed of a size, fine-tuned on labels, on the CPU."""
        return self.tuned(Variant(size), range(FIRST, FIRST + 1))[0][0]

    def _written(self, size: str) -> Tensor:
        """Training rows with a teacher's answers, written on the session's device."""
        device = self.session.settings.device
        return written(self.teacher(size).to(device), self.tables.rows[TRAIN].to(device), self.tables.length).cpu()

    def teacher_logits(self, size: str) -> Tensor:
        """A teacher's logits on every training example, computed once for all students and seeds.

        They are mapped from a file. Where they take a small part of a GPU's room they go there as a whole; otherwise a
        training brings those of each batch.
        """
        rows, length, device = self.tables.rows[TRAIN], self.tables.length, self.session.settings.device
        what = f"{size} {self.settings} {self._sha256()}"
        path = self.session.kept("logits", what, Trainer.tuned, Trainer.teacher_logits)
        path.parent.mkdir(parents=True, exist_ok=True)
        teachers: list[nn.Module] = []

        def logits(part: slice) -> Tensor:
            if not teachers:
                teachers.append(self.teacher(size).to(device))
            return logits_of(teachers[0], rows[part].to(device), length)[0]

        with FileLock(path.with_suffix(".lock")):
            kept = cached_logits(path, len(rows), logits)
        return kept.to(device) if kept.nbytes <= BESIDE * room(self.session.settings.gpu_memory) else kept
