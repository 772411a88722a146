"""Krony-PT's ladder of students on a GPT-2 that is trained on the spot, and whether that teacher may judge them.

Every student starts from the teacher's weights and is trained on the same number of tokens in the same order.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from filelock import FileLock
from transformers import PreTrainedModel

from bench.krony.kept import FILE, kept_weights
from bench.krony.objectives import loss_of
from bench.krony.qualification import Qualification, base_losses, qualification_of
from bench.krony.readings import Readings, document_losses
from bench.krony.settings import LadderSettings
from bench.krony.students import Phase, Student
from bench.measure.instrument import Instrument
from bench.measure.parted_text import Parts, Tokens, parted, text_digest, tokenized
from bench.verdict.evidence import Arrays, Origin
from models.data.embedded import documents_of
from models.data.text import text_sha256
from models.gpt2 import GPT2Shape, build, unique_parameters
from models.training.checkpoints import steps_done
from models.training.train import History, Training, train, windows_of

AS_GOOD_AS_NEW = 4
"""Epochs after which new text would be clearly better than the same again (Muennighoff et al. 2023, abstract)."""
ANOTHER_ORDER = 1000
"""Added to a seed for the order in which a second phase reads."""


class Ladder(Instrument):
    """The teacher, its text and its students."""

    name: ClassVar[str] = "ladder"
    settings_at: ClassVar[str] = "bench.krony.settings:ladder_at"

    def __init__(self, session: Any, settings: LadderSettings) -> None:
        super().__init__(session, settings)
        self.shape = settings.shape

    @cached_property
    def parts(self) -> Parts:
        """Documents to train on, to hold out and to score; of Wikipedia, where the text is another, to score beside."""
        settings = self.settings
        parts = parted(self.session.documents, held_out=settings.held_out, scored=settings.documents)
        other = documents_of(None) if settings.elsewhere and self.session.settings.text is not None else []
        elsewhere = parted(other, held_out=0, scored=settings.elsewhere).scored
        return replace(parts, training=parts.training + self.session.more_documents, elsewhere=elsewhere)

    @cached_property
    def text_sha256(self) -> str:
        """Identity of all documents, those of `--train-text` among them."""
        return text_sha256(self.session.documents + self.session.more_documents)

    @cached_property
    def text(self) -> Tokens:
        """Tokens to train on, and windows that are held out and scored."""
        most = min(self.read, self.settings.text or self.read)
        return tokenized(self.parts, self.shape, windows=self.settings.windows, most=most)

    def _reads(self, training: Training) -> int:
        return training.steps * training.batch * self.shape.positions

    @property
    def read(self) -> int:
        """Tokens that the teacher reads, more than once where its text has fewer."""
        return self._reads(self.settings.teacher)

    @property
    def shortage(self) -> str:
        """Reason why the text is too little for the teacher, which is then not trained; empty where it is not."""
        most, length = self.settings.passes, len(self.text.training)
        if most is None or self.read <= most * length:
            return ""
        return (
            f"the teacher would read {length:,} tokens {self.read / length:.0f} times and learns little after "
            f"{most}; give it {self.read // most - length:,} tokens more with --train-text"
        )

    def _trained(self, model: PreTrainedModel, name: str, training: Training, folder: Path, **how: Any) -> History:
        """Train in a folder, from where an earlier run left it; of two processes the second waits, and finds it done.

        `how` is what `train` takes besides, and `read`, which is told of the model and the steps done after each.
        """
        folder.mkdir(parents=True, exist_ok=True)
        windows, read = windows_of(self.text.training, self.shape.positions), how.pop("read", None)
        with (
            FileLock(folder / ".lock"),
            self.session.progress.variant(f"training {name}", self._reads(training)) as advance,
        ):
            done = steps_done(folder)
            advance(done * training.batch * self.shape.positions)

            def watch(tokens: int, _loss: float) -> None:
                nonlocal done
                done += 1
                advance(tokens)
                if read is not None:
                    read(model, done)

            every, device = self.settings.save_every, self.session.settings.device
            return train(model, windows, training, device=device, folder=folder, save_every=every, watch=watch, **how)

    def _folder(self, what: str, *code: object) -> Path:
        """Folder for the checkpoints of a training, named by what decides the teacher and by what else is said."""
        s, read = self.settings, text_digest(self.text.training)
        teacher = f"{s.shape} {s.initial_scale} {s.teacher} {s.dropout} {self.session.settings.seed} {read}"
        return self.session.kept("training", f"{what} {teacher}", Ladder._trained, Ladder._fresh, *code)

    def _student_folder(self, rung: Student, training: Training, before: Training | None = None) -> Path:
        """Folder for a student's checkpoints and readings; those that differ in their names alone share it."""
        what = f"{replace(rung, name='')!r} {before} {training} {self.text.read}"
        return self._folder(what, Student.of, Readings, loss_of)

    def _fresh(self, shape: GPT2Shape) -> PreTrainedModel:
        scale = self.settings.initial_scale
        dropout = self.settings.dropout if self.read > AS_GOOD_AS_NEW * len(self.text.training) else 0.0
        return build(shape, seed=self.session.settings.seed, initial_scale=scale, dropout=dropout)

    def _from_scratch(self, name: str, shape: GPT2Shape) -> PreTrainedModel:
        model = self._fresh(shape)
        self._trained(model, name, self.settings.teacher, self._folder(name))
        return model.eval().requires_grad_(False)

    @cached_property
    def teacher(self) -> PreTrainedModel:
        """Teacher, trained here or as an earlier run left it beside the record."""
        path, decided_by = self.session.folder / FILE, self._folder("teacher").name
        train = partial(self._from_scratch, "teacher", self.shape)
        return kept_weights(path, self._fresh(self.shape), decided_by, train)

    def _base(self) -> Arrays:
        """Losses that a teacher is judged by (`base_losses`), and its tokens, its text's and its parameters."""
        half = self._from_scratch("scratch", replace(self.shape, layers=self.shape.layers // 2))
        sizes = np.array([self.read, len(self.text.training), unique_parameters(self.teacher)])
        losses = base_losses({"teacher": self.teacher, "scratch": half}, self.text, self.shape.vocabulary)
        return {"tokens": sizes, **losses}

    @property
    def base(self) -> Arrays:
        """Losses that the qualification rests on, `[documents]` each."""
        return self.measured("base", self._base, label="base")

    @property
    def remedy(self) -> str:
        """Advice for a teacher that does not discriminate."""
        more = "give it more text (--text, --train-text), or train it longer: bench/krony/settings.py"
        return more if self.session.settings.effort == "thorough" else "train it longer: --effort=thorough"

    @property
    def qualification(self) -> Qualification:
        """The teacher against an n-gram model and against half its depth, on the scored documents."""
        return qualification_of(self.base, self.remedy)

    def measure(self, student: Student, seed: int) -> Arrays:
        """Readings of a student while it trains (`Readings.gathered`), losses before it, parameters and seconds."""
        label = f"{student.name}, seed {seed}"
        return self.measured(f"student {student!r} seed {seed}", partial(self._student, student, seed), label=label)

    def _student(self, rung: Student, seed: int) -> Arrays:
        model = rung.of(self.teacher, seed, partial(build, self.shape, initial_scale=self.settings.initial_scale))
        before = document_losses(model, self.text.scored)
        history, readings = self._phase(model, replace(rung, then=None), seed)
        first = 0
        if rung.then is not None:
            first = history.tokens
            history, readings = self._second_phase(model, rung, seed, rung.then)
        return {
            "before": before,
            **readings.gathered(history.tokens, first),
            "parameters": np.array([unique_parameters(model)]),
            "seconds": np.array([history.seconds]),
        }

    def _phase(self, model: PreTrainedModel, rung: Student, seed: int) -> tuple[History, Readings]:
        """First phase; the folder goes by what decides it, so that students which begin alike share it."""
        own, parts = self.settings.student, rung.batch_divisor
        steps = parts * rung.steps(own.steps)
        training = replace(
            own,
            steps=steps,
            batch=max(1, own.batch // parts),
            learning_rate=own.learning_rate * rung.rate,
            schedule=rung.schedule,
            warmup=steps // 10 if rung.schedule == "cosine" else 0,
            seed=seed,
        )
        return self._read(model, rung, training, self._student_folder(rung, training), parts=parts)

    def _second_phase(self, model: PreTrainedModel, rung: Student, seed: int, then: Phase) -> tuple[History, Readings]:
        own = self.settings.student
        training = replace(
            own,
            steps=then.steps(rung.steps(own.steps)),
            batch=own.batch * then.batch_factor,
            accumulation=own.accumulation * then.batch_factor,
            learning_rate=own.learning_rate * rung.rate,
            seed=seed + ANOTHER_ORDER,
        )
        folder = self._student_folder(rung, training, own)
        return self._read(model, rung, training, folder, parts=then.parts)

    def _read(
        self, model: PreTrainedModel, rung: Student, training: Training, folder: Path, *, parts: int
    ) -> tuple[History, Readings]:
        readings = Readings(folder, self.text, training.steps, parts)
        history = self._trained(
            model,
            rung.name,
            training,
            folder,
            loss=loss_of(rung.objective, self.teacher),
            read=readings.take,
            rates={"scalars": rung.scalar_rate},
        )
        return history, readings

    def runs(self, student: Student) -> list[Arrays]:
        """Measurements of a student over all seeds."""
        return [self.measure(student, seed) for seed in self.settings.seeds]

    def doubt(self, *_students: Student) -> str:
        """Reason why the teacher cannot tell students apart; empty where it can."""
        return self.qualification.doubt

    def origin(self) -> Origin:
        """A model that is trained here, and the text that is scored."""
        settings, shape = self.settings, self.shape
        read = self.read, self._reads(settings.student)
        seeds = ", ".join(map(str, settings.seeds))
        protocol = (
            f"teacher {read[0]:,} tokens, students {read[1]:,} at most, seeds {seeds}; {settings.windows} windows of "
            f"{shape.positions} a document; natural log"
        )
        return replace(
            self.session.origin(protocol, documents=settings.documents, tokens=read[1]),
            model=f"GPT-2 {shape.layers}x{shape.width}, trained here",
            text_sha256=self.text_sha256,
            model_sha256=hashlib.sha256(repr(settings).encode()).hexdigest(),
        )
