"""Krony-PT's ladder of students on a GPT-2 that is trained on the spot, and whether that teacher may judge them.

Every student starts from the teacher's weights and is trained on the same number of tokens in the same order.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from bench.krony.ngram import KneserNey
from bench.krony.qualification import NGRAM, Qualification, ngram_loss, qualification_of
from bench.krony.settings import LadderSettings
from bench.krony.students import Student
from bench.krony.text import tokenized
from bench.measure.instrument import Instrument
from bench.measure.perplexity import token_losses
from bench.verdict.documents import Array
from bench.verdict.evidence import Arrays, Origin
from compress.distillation.losses import triple_loss
from compress.factorisation.kronecker.method import trained_scalars
from models.data.text import Document, text_sha256
from models.gpt2 import GPT2Shape, build, unique_parameters
from models.training.train import History, Loss, Training, next_token_loss, train, windows_of

CURVE_POINTS = 50
"""Means of a training curve that the evidence keeps."""
AS_GOOD_AS_NEW = 4
"""Epochs after which new text would be clearly better than the same again (Muennighoff et al. 2023, abstract)."""


class Ladder(Instrument):
    """The teacher, its text and its students."""

    name: ClassVar[str] = "ladder"
    settings_at: ClassVar[str] = "bench.krony.settings:ladder_at"

    def __init__(self, session: Any, settings: LadderSettings) -> None:
        super().__init__(session, settings)
        self.shape = settings.shape

    @cached_property
    def documents(self) -> tuple[list[Document], list[Document]]:
        """Documents to train on, and those that are scored and never trained on."""
        order = sorted(self.session.documents, key=lambda document: hashlib.sha256(document.text.encode()).hexdigest())
        count = self.settings.documents
        return order[:-count] + self.session.more_documents, order[-count:]

    @cached_property
    def text_sha256(self) -> str:
        """Identity of all documents, those of `--train-text` among them."""
        return text_sha256(self.session.documents + self.session.more_documents)

    @cached_property
    def text(self) -> tuple[Tensor, list[Tensor]]:
        """Training tokens `[tokens]` and each scored document's windows `[windows, context]`."""
        most = min(self.read, self.settings.text or self.read)
        return tokenized(*self.documents, self.shape, windows=self.settings.windows, most=most)

    def _reads(self, training: Training) -> int:
        return training.steps * training.batch * self.shape.positions

    @property
    def read(self) -> int:
        """Tokens that the teacher reads, more than once where its text has fewer."""
        return self._reads(self.settings.teacher)

    @property
    def shortage(self) -> str:
        """Reason why the text is too little for the teacher, which is then not trained; empty where it is not."""
        most, length = self.settings.passes, len(self.text[0])
        if most is None or self.read <= most * length:
            return ""
        return (
            f"the teacher would read {length:,} tokens {self.read / length:.0f} times and learns little after "
            f"{most}; give it {self.read // most - length:,} tokens more with --train-text"
        )

    def losses(self, model: PreTrainedModel) -> Array:
        """Mean loss of each scored document, `[documents]`."""
        _, scored = self.text
        return np.array([float(token_losses(model.eval(), windows).double().mean()) for windows in scored])

    def _trained(self, model: PreTrainedModel, name: str, loss: Loss, **changes: object) -> History:
        long = name in ("teacher", "scratch")
        training = replace(self.settings.teacher if long else self.settings.student, **changes)
        windows = windows_of(self.text[0], self.shape.positions)
        folder = self._training_folder(name) if long else None
        with self.session.progress.variant(f"training {name}", self._reads(training)) as advance:
            return train(
                model,
                windows,
                training,
                loss=loss,
                device=self.session.settings.device,
                folder=folder,
                save_every=self.settings.save_every,
                watch=lambda count, _loss: advance(count),
            )

    def _training_folder(self, name: str) -> Path:
        """Folder for the checkpoints of a long training, named by all that decides it."""
        what = f"{name} {self.settings} {self.text_sha256} {self.session.settings.seed}"
        return self.session.kept("training", what, Ladder._trained, Ladder._fresh)

    def _fresh(self, shape: GPT2Shape) -> PreTrainedModel:
        scale = self.settings.initial_scale
        dropout = self.settings.dropout if self.read > AS_GOOD_AS_NEW * len(self.text[0]) else 0.0
        return build(shape, seed=self.session.settings.seed, initial_scale=scale, dropout=dropout)

    @cached_property
    def teacher(self) -> PreTrainedModel:
        """Teacher, trained here or loaded from where it was kept."""
        model = self._fresh(self.shape)
        self._trained(model, "teacher", next_token_loss)
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0  # its students start from here and are trained without
        return model.eval().requires_grad_(False)

    def _base(self) -> Arrays:
        """Losses of the teacher, of a half-depth model from scratch and of the n-gram model, `[documents]` each."""
        losses = self.losses(self.teacher)
        half = replace(self.shape, layers=self.shape.layers // 2)
        scratch = self._fresh(half)
        history = self._trained(scratch, "scratch", next_token_loss)
        training, scored = self.text
        ngram = KneserNey(training.numpy(), vocabulary=self.shape.vocabulary, order=NGRAM)
        return {
            "teacher": losses,
            "scratch": self.losses(scratch),
            "ngram": np.array([ngram_loss(ngram, windows) for windows in scored]),
            "tokens": np.array([history.tokens, len(training), unique_parameters(self.teacher)]),
        }

    @property
    def base(self) -> Arrays:
        """Losses that the qualification rests on, `[documents]` each."""
        return self.measured("base", self._base)

    @property
    def remedy(self) -> str:
        """Advice for a teacher that does not discriminate."""
        if self.session.settings.effort == "thorough":
            return "give it more text (--text, --train-text), or train it longer: bench/krony/settings.py"
        return "train it longer: --effort=thorough"

    @property
    def qualification(self) -> Qualification:
        """The teacher against an n-gram model and against half its depth, on the scored documents."""
        return qualification_of(self.base, self.remedy)

    def measure(self, student: Student, seed: int = 0) -> Arrays:
        """Losses `[documents]` before and after training, the training curve, parameters and scalars of a student."""
        return self.measured(f"student {student!r} seed {seed}", partial(self._student, student, seed))

    def _student(self, rung: Student, seed: int) -> Arrays:
        model = rung.of(self.teacher)
        before = self.losses(model)
        student = self.settings.student
        warmup = student.steps // 10 if rung.schedule == "cosine" else 0
        loss = self._distilled if rung.distilled else next_token_loss
        history = self._trained(
            model.requires_grad_(True),
            rung.name,
            loss,
            seed=seed,
            schedule=rung.schedule,
            warmup=warmup,
            batch=max(1, student.batch // rung.batch_divisor),
        )
        return {
            "before": before,
            "after": self.losses(model),
            "curve": np.array(history.losses),
            "parameters": np.array([unique_parameters(model)]),
            "scalars": trained_scalars(model).numpy(),
            "tokens": np.array([history.tokens]),
            "seconds": np.array([history.seconds]),
        }

    def runs(self, student: Student) -> list[Arrays]:
        """Measurements of a student over all seeds."""
        return [self.measure(student, seed) for seed in self.settings.seeds]

    def after(self, student: Student) -> Array:
        """Losses of a student over all seeds, `[seeds, documents]`."""
        return np.stack([run["after"] for run in self.runs(student)])

    def doubt(self, *_students: Student) -> str:
        """Reason why the teacher cannot tell students apart; empty where it can."""
        return self.qualification.doubt

    def origin(self) -> Origin:
        """A model that is trained here, and the text that is scored."""
        settings, shape = self.settings, self.shape
        read = self.read, self._reads(settings.student)
        seeds = ", ".join(map(str, settings.seeds))
        protocol = (
            f"teacher {read[0]:,} tokens, students {read[1]:,} each, seeds {seeds}; {settings.windows} "
            f"windows of {shape.positions} a document; natural log"
        )
        return replace(
            self.session.origin(protocol, documents=settings.documents, tokens=read[1]),
            model=f"GPT-2 {shape.layers}x{shape.width}, trained here",
            text_sha256=self.text_sha256,
            model_sha256=hashlib.sha256(repr(settings).encode()).hexdigest(),
        )

    def described(self, *students: Student) -> dict:
        """Perplexity of every seed, sizes and training curves of some students, for the page."""
        shown = {}
        for student in students:
            runs = self.runs(student)
            points = min(CURVE_POINTS, len(runs[0]["curve"]))
            shown[student.name] = {
                "parameters": int(runs[0]["parameters"][0]),
                "tokens": int(runs[0]["tokens"][0]),
                "distilled": student.distilled,
                "perplexity": [round(math.exp(run["after"].mean()), 4) for run in runs],
                "untrained": round(math.exp(min(float(runs[0]["before"].mean()), 99.0)), 4),
                "curves": [[round(float(p.mean()), 4) for p in np.array_split(r["curve"], points)] for r in runs],
            }
        return {"students": shown}

    def _distilled(self, model: nn.Module, tokens: Tensor) -> Tensor:
        teacher = self.teacher.to(tokens.device)  # type: ignore[arg-type]
        with torch.no_grad():
            wanted = teacher(input_ids=tokens, output_hidden_states=True)
        output = model(input_ids=tokens, output_hidden_states=True)
        logits = output.logits[:, :-1], wanted.logits[:, :-1]
        hard = functional.cross_entropy(logits[0].flatten(0, 1).float(), tokens[:, 1:].flatten())
        return triple_loss(hard, logits, (output.hidden_states[-1], wanted.hidden_states[-1]))


def unsteadiness(curve: Array) -> float:
    """Standard deviation of the second half of a training curve about its own line, nats."""
    half = np.asarray(curve[len(curve) // 2 :], dtype=np.float64)
    line = np.polynomial.polynomial.Polynomial.fit(np.arange(len(half)), half, 1)
    return float(np.std(half - line(np.arange(len(half))), ddof=2))
