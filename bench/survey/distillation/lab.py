"""Instrument of distillation: students of a pretrained encoder, each taught in several ways, scored text by text."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from bench.measure.instrument import Instrument
from bench.survey.distillation.fitting import correct, fit
from bench.survey.distillation.lessons import Lesson, LessonLoss, Student
from bench.survey.distillation.settings import DistillationSettings
from bench.survey.distillation.tables import Tables, tables_of
from bench.survey.distillation.teachers import Teachers
from bench.verdict.documents import Array
from bench.verdict.evidence import Arrays, Origin
from models.data.encoder_files import MINILM_WEIGHTS
from models.data.tasks import Task
from models.encoders import EncoderClassifier, minilm
from models.students import BiLSTMClassifier, small_encoder

BILSTM, ENCODER, FIRST_LAYERS = "bilstm", "encoder", "first-layers"
"""Kinds of students: Tang et al.'s, a small encoder from a random start, and MiniLM's first layers."""
UNSCORED = 1000
"""First of the seeds by which a lesson is chosen, and whose students are never scored."""
POSITIONS, VOCABULARY, HEADS, LAYERS = 512, 30_522, 4, 2
"""Sizes of the small encoder and of what all students read."""


class Distillation(Instrument):
    """The protocol on one task."""

    name: ClassVar[str] = "distillation"
    settings_at: ClassVar[str] = "bench.survey.distillation.settings:at"
    rests_on: ClassVar[tuple[object, ...]] = ()

    def __init__(self, session: Any, settings: DistillationSettings, label: str, make: Callable[[], Task]) -> None:
        """Prepare the protocol; nothing is read or trained yet.

        Args:
            session: whose device, seed and store are used.
            settings: of the protocol.
            label: the task's name on record.
            make: reads the task.
        """
        super().__init__(session, settings)
        self.label, self._make = label, make

    @cached_property
    def task(self) -> Task:
        """Task, read when first asked for."""
        return self._make()

    @cached_property
    def text_sha256(self) -> str:
        """Identity of the task's examples."""
        task, digest = self.task, hashlib.sha256()
        for example in (*task.train, *task.test, *task.shifted):
            digest.update("\0".join(example).encode())
        return digest.hexdigest()

    def origin(self) -> Origin:
        """Students of MiniLM, on a task."""
        s, session = self.settings, self.session.settings
        protocol = (
            f"{s.teaching.steps} steps for a teacher, {s.bilstm.steps}, {s.encoder.steps} and {s.first_layers.steps} "
            f"for students; {s.length} tokens, and {s.long_length} of another distribution"
        )
        return Origin(
            session.scale,
            session.effort,
            "MiniLM and students",
            model_sha256=MINILM_WEIGHTS.sha256,
            text=self.task.name,
            text_sha256=self.text_sha256,
            protocol=protocol,
            documents=s.test,
            seed=session.seed,
        )

    @cached_property
    def tables(self) -> Tables:
        """The task's texts in tokens."""
        return tables_of(self.task, self.settings, self.session.settings.seed)

    @cached_property
    def teachers(self) -> Teachers:
        """The task's teachers."""
        classes, what = len(self.task.labels), f"{self.label} {self.text_sha256}"
        return Teachers(self.session, self.settings, self.tables, classes, what)

    def scored(self, student: Student, *, part: str = "test", seeds: int = 0) -> Array:
        """Texts that each seed has right, 0 or 1, `[seeds, texts]`; by default of the seeds of the first look."""
        runs = [self._student(student, seed) for seed in range(seeds or self.settings.seeds)]
        return _unpacked([run[part] for run in runs], getattr(self.settings, part))

    def parameters(self, student: Student) -> int:
        """Number of a student's weights."""
        return int(self._student(student, 0)["parameters"])

    def accuracy(self, student: Student, *, part: str = "test", seeds: int = 0) -> Array:
        """Percent right of each seed, `[seeds]`."""
        return 100 * self.scored(student, part=part, seeds=seeds).mean(1)

    def teacher_scored(self, *, part: str = "test") -> Array:
        """Texts that each of the fine-tuned MiniLM has right, `[teachers, texts]`."""
        runs = [self._teacher(number) for number in range(self.settings.ensemble)]
        return _unpacked([run[part] for run in runs], getattr(self.settings, part))

    def _teacher(self, number: int) -> Arrays:
        measure = partial(self._measure_teacher, number)
        return self.measured(f"{self.label}: teacher, seed {number}", measure, Teachers, label=f"teacher {number}")

    @property
    def floor(self) -> float:
        """Percent right of the commonest answer."""
        return 100 * float(self._teacher(0)["floor"])

    def teacher_accuracy(self, *, part: str = "test") -> Array:
        """Percent right of each fine-tuned MiniLM, `[teachers]`."""
        return 100 * self.teacher_scored(part=part).mean(1)

    def chosen(self, kind: str, lessons: Sequence[Lesson]) -> Lesson:
        """The lesson whose students do best on held-out examples, over seeds that are never scored; ties to the first.

        Raises:
            ValueError: no lesson to choose from.
        """
        if not lessons:
            raise ValueError(f"there is no lesson to choose from for {kind}; give one")
        seeds = range(UNSCORED, UNSCORED + self.settings.choosing_seeds)
        runs = [[self._student(Student(kind, lesson), seed, score=False) for seed in seeds] for lesson in lessons]
        means = [float(np.mean([run["held_out"] for run in of_lesson])) for of_lesson in runs]
        return lessons[means.index(max(means))]

    def _student(self, student: Student, seed: int, *, score: bool = True) -> Arrays:
        name = f"{self.label}: {student}, seed {seed}{'' if score else ', held-out only'}"
        measure = partial(self._measure, student, seed, score)
        return self.measured(name, measure, label=f"{student.kind}, seed {seed}")

    def _measure(self, student: Student, seed: int, score: bool) -> Arrays:
        model, device = self._built(student.kind, seed), self.session.settings.device
        how = getattr(self.settings, student.kind.replace("-", "_"))
        with self.session.progress.variant(f"{student.kind}, seed {seed}", how.steps) as advance:
            held_out = fit(
                model,
                self.tables.rows(more=student.lesson.augmented),
                how,
                loss=self._loss(student.lesson),
                held_out=self.tables.held_out,
                evaluations=self.settings.evaluations,
                seed=seed,
                device=device,
                advance=advance,
            )
        about = {"held_out": np.array(held_out), "parameters": np.array(sum(p.numel() for p in model.parameters()))}
        parts = {name: correct(model, getattr(self.tables, name), device) for name in ("test", "shifted") if score}
        return {**about, **_packed(parts)}

    def _measure_teacher(self, number: int) -> Arrays:
        return {**_packed(self.teachers.correct(number)), "floor": np.array(self.task.floor)}

    def _loss(self, lesson: Lesson) -> LessonLoss:
        device = self.session.settings.device
        labels = self.tables.labels.to(device)
        if not lesson.teacher:
            return LessonLoss(lesson, labels)
        logits = self.teachers.logits(lesson.teacher, more=lesson.augmented).to(device)
        states = self.teachers.states(lesson.teacher).to(device) if lesson.beta else None
        return LessonLoss(lesson, labels, logits, states)

    def _built(self, kind: str, seed: int) -> nn.Module:
        """A student before it learns."""
        s, classes = self.settings, len(self.task.labels)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            if kind == BILSTM:
                return BiLSTMClassifier(VOCABULARY, classes, embedding=s.width, hidden=s.hidden)
            if kind == ENCODER:
                return small_encoder(
                    VOCABULARY, classes, layers=LAYERS, width=s.width, heads=HEADS, positions=POSITIONS
                )
            model = EncoderClassifier(minilm(s.student_layers), classes)
        model.encoder.embeddings.requires_grad_(False)
        return model

    def lessons(self, match: str, *, teacher: str, augmented: bool = False) -> list[Lesson]:
        """Lessons of one kind that are tried on held-out examples: each α with each temperature."""
        s, plain = self.settings, Lesson(teacher, match, augmented=augmented)
        temperatures = (1.0,) if match == "logits" else s.temperatures
        return [replace(plain, alpha=alpha, temperature=t) for alpha in s.alphas for t in temperatures]


def _packed(right: dict[str, Tensor]) -> Arrays:
    """Texts that are right, `[texts]`, eight to a byte: a record keeps them all."""
    packed: dict[str, Any] = {name: np.packbits(each.numpy()) for name, each in right.items()}
    return packed


def _unpacked(runs: Sequence[Any], texts: int) -> Array:
    """Right or not, 1 or 0, `[runs, texts]`."""
    return np.stack([np.unpackbits(run, count=texts) for run in runs]).astype(np.float64)
