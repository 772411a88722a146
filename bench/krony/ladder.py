"""Krony-PT's ladder of students on a GPT-2 that is trained on the spot, and whether that teacher may judge them.

Every student starts from the teacher's weights and is trained on the same number of tokens in the same order.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from bench.krony.ngram import KneserNey
from bench.krony.settings import Ladder
from bench.krony.students import STUDENTS
from bench.measure.perplexity import token_losses
from bench.measure.session import Array, Arrays, Lab
from bench.verdict.documents import Interval, crossed_ratio
from compress.distillation.losses import triple_loss
from compress.factorisation.kronecker.method import trained_scalars
from models.data.embedded import documents_of
from models.data.text import Document, read_documents
from models.data.vocabulary import enough_texts, train_tokenizer
from models.errors import InputError
from models.gpt2 import GPT2Shape, build, unique_parameters
from models.training.train import History, Loss, Training, next_token_loss, train, windows_of

NGRAM = 5
CURVE_POINTS = 50
"""Means of a training curve that the evidence keeps."""
AS_GOOD_AS_NEW = 4
"""How often text can be read until new text would be clearly better (Muennighoff et al. 2023, abstract)."""


@dataclass(frozen=True)
class Qualification:
    """Whether the teacher can tell students apart."""

    over_ngram: Interval
    """Perplexity of a 5-gram model over the teacher's."""
    over_half: Interval
    """Perplexity of a half-depth model trained from scratch on the same tokens over the teacher's."""
    doubt: str
    """Empty where it can."""


CLEARLY = 1.05
"""What "clearly" asks of a half-depth model's perplexity over the teacher's."""


class LadderLab:
    """The teacher, its text and its students; what was trained once is kept like every measurement."""

    def __init__(self, lab: Lab, ladder: Ladder) -> None:
        self.lab, self.ladder = lab, ladder
        text, more = lab.settings.text, lab.settings.train_text
        documents = documents_of(text)
        order = sorted(documents, key=lambda document: hashlib.sha256(document.text.encode()).hexdigest())
        self.training_documents, self.scored_documents = order[: -ladder.documents], order[-ladder.documents :]
        if more is not None:
            self.training_documents += read_documents(more)

    @cached_property
    def text(self) -> tuple[Tensor, list[Tensor]]:
        """Training tokens `[tokens]` and each scored document's windows `[windows, context]`."""
        shape, per_document = self.ladder.shape, self.ladder.windows
        tokenizer = train_tokenizer(enough_texts(self.training_documents), shape.vocabulary)

        def tokens(document: Document) -> Tensor:
            return torch.tensor(tokenizer(document.text, verbose=False)["input_ids"])

        need = per_document * shape.positions
        whole = [found for found in map(tokens, self.scored_documents) if len(found) >= need]
        if len(whole) < 2:
            raise InputError(
                f"{len(whole)} of {len(self.scored_documents)} scored documents have the {need} tokens that "
                f"{per_document} windows of {shape.positions} take; give longer documents"
            )
        return self._training_tokens(tokens), [windows_of(found, shape.positions)[:per_document] for found in whole]

    def _training_tokens(self, tokens: Callable[[Document], Tensor]) -> Tensor:
        """As many as the teacher reads, or fewer: what it never sees, no n-gram model counts."""
        most = min(self.read, self.ladder.text or self.read)
        parts, found = [], 0
        for document in self.training_documents:
            if found >= most:
                break
            parts.append(tokens(document))
            found += len(parts[-1])
        return torch.cat(parts)[:most]

    def _reads(self, training: Training) -> int:
        return training.steps * training.batch * self.ladder.shape.positions

    @property
    def read(self) -> int:
        """Tokens that the teacher reads, more than once where its text has fewer."""
        return self._reads(self.ladder.teacher)

    def losses(self, model: PreTrainedModel) -> Array:
        """Mean loss of each scored document, `[documents]`."""
        _, scored = self.text
        return np.array([float(token_losses(model.eval(), windows).double().mean()) for windows in scored])

    def _trained(self, model: PreTrainedModel, name: str, loss: Loss, **changes: object) -> History:
        long = name in ("teacher", "scratch")
        training = replace(self.ladder.teacher if long else self.ladder.student, **changes)
        windows = windows_of(self.text[0], self.ladder.shape.positions)
        folder = self.lab.folder / "training" / f"{name}-{self.lab.fingerprint[:16]}" if long else None
        with self.lab.progress.variant(f"training {name}", self._reads(training)) as advance:
            return train(
                model,
                windows,
                training,
                loss=loss,
                device=self.lab.settings.device,
                folder=folder,
                save_every=self.ladder.save_every,
                watch=lambda count, _loss: advance(count),
            )

    def _fresh(self, shape: GPT2Shape) -> PreTrainedModel:
        scale = self.ladder.initial_scale
        dropout = self.ladder.dropout if self.read > AS_GOOD_AS_NEW * len(self.text[0]) else 0.0
        return build(shape, seed=self.lab.settings.seed, initial_scale=scale, dropout=dropout)

    @cached_property
    def teacher(self) -> PreTrainedModel:
        """Trained, or loaded from where it was kept."""
        model = self._fresh(self.ladder.shape)
        self._trained(model, "teacher", next_token_loss)
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0  # its students start from here and are trained without
        return model.eval().requires_grad_(False)

    def _base(self) -> Arrays:
        """Losses of the teacher, of a half-depth model from scratch and of the n-gram model, `[documents]` each."""
        losses = self.losses(self.teacher)
        half = replace(self.ladder.shape, layers=self.ladder.shape.layers // 2)
        scratch = self._fresh(half)
        history = self._trained(scratch, "scratch", next_token_loss)
        training, scored = self.text
        ngram = KneserNey(training.numpy(), vocabulary=self.ladder.shape.vocabulary, order=NGRAM)
        return {
            "teacher": losses,
            "scratch": self.losses(scratch),
            "ngram": np.array([_ngram_loss(ngram, windows) for windows in scored]),
            "tokens": np.array([history.tokens, len(training), unique_parameters(self.teacher)]),
        }

    @cached_property
    def base(self) -> Arrays:
        """What the qualification rests on."""
        return self.lab.measured(f"ladder base {self.ladder}", self._base)

    @property
    def remedy(self) -> str:
        """What would let a teacher discriminate that does not."""
        if self.lab.settings.effort == "thorough":
            return "give it more text (--text, --train-text), or train it longer: bench/krony/settings.py"
        return "train it longer: --effort=thorough"

    @cached_property
    def qualification(self) -> Qualification:
        """The teacher against an n-gram model and against half its depth, on the scored documents."""
        base = {name: self.base[name][None] for name in ("teacher", "scratch", "ngram")}
        ngram, half = (crossed_ratio(base[name], base["teacher"]) for name in ("ngram", "scratch"))
        missing = []
        if not ngram.low >= 1:
            missing.append(f"a {NGRAM}-gram model's perplexity is {ngram} of the teacher's, needed ≥ 1")
        if not half.low >= CLEARLY:
            missing.append(f"a half-depth model's from scratch is {half}, needed ≥ {CLEARLY}")
        doubt = f"the teacher does not discriminate ({'; '.join(missing)}); {self.remedy}"
        return Qualification(ngram, half, doubt if missing else "")

    def student(self, name: str, seed: int) -> Arrays:
        """Losses `[documents]` before and after training, the training curve, parameters and scalars of a student."""
        rung = STUDENTS[name]

        def run() -> Arrays:
            model = rung.of(self.teacher)
            before = self.losses(model)
            student = self.ladder.student
            warmup = student.steps // 10 if rung.schedule == "cosine" else 0
            changes = {
                "seed": seed,
                "schedule": rung.schedule,
                "warmup": warmup,
                "batch": max(1, student.batch // rung.batch_divisor),
            }
            loss = self._distilled if rung.distilled else next_token_loss
            history = self._trained(model.requires_grad_(True), name, loss, **changes)
            return {
                "before": before,
                "after": self.losses(model),
                "curve": np.array(history.losses),
                "parameters": np.array([unique_parameters(model)]),
                "scalars": trained_scalars(model).numpy(),
                "tokens": np.array([history.tokens]),
                "seconds": np.array([history.seconds]),
            }

        return self.lab.measured(f"ladder student {rung} {seed} {self.ladder}", run)

    def after(self, name: str) -> Array:
        """A student's losses over all seeds, `[seeds, documents]`."""
        return np.stack([self.student(name, seed)["after"] for seed in self.ladder.seeds])

    def origin(self) -> dict:
        """What a row of the ladder was measured on, for its evidence."""
        settings, shape = self.ladder, self.ladder.shape
        read = self.read, self._reads(settings.student)
        seeds = ", ".join(map(str, settings.seeds))
        return {
            "model": f"GPT-2 {shape.layers}x{shape.width}, trained here",
            "model_sha256": hashlib.sha256(repr(settings).encode()).hexdigest(),
            "protocol": (
                f"teacher {read[0]:,} tokens, students {read[1]:,} each, seeds {seeds}; {settings.windows} "
                f"windows of {shape.positions} a document; natural log"
            ),
            "documents": settings.documents,
            "tokens": read[1],
        }

    def described(self, *names: str) -> dict:
        """Every seed's perplexity, sizes and training curves of some students, for the page."""
        found = {}
        for name in names:
            runs = [self.student(name, seed) for seed in self.ladder.seeds]
            points = min(CURVE_POINTS, len(runs[0]["curve"]))
            found[name] = {
                "parameters": int(runs[0]["parameters"][0]),
                "tokens": int(runs[0]["tokens"][0]),
                "perplexity": [round(math.exp(run["after"].mean()), 4) for run in runs],
                "untrained": round(math.exp(min(float(runs[0]["before"].mean()), 99.0)), 4),
                "curves": [[round(float(p.mean()), 4) for p in np.array_split(r["curve"], points)] for r in runs],
            }
        return {"students": found}

    def _distilled(self, model: nn.Module, tokens: Tensor) -> Tensor:
        teacher = self.teacher.to(tokens.device)  # type: ignore[arg-type]
        with torch.no_grad():
            wanted = teacher(input_ids=tokens, output_hidden_states=True)
        found = model(input_ids=tokens, output_hidden_states=True)
        logits = found.logits[:, :-1], wanted.logits[:, :-1]
        hard = functional.cross_entropy(logits[0].flatten(0, 1).float(), tokens[:, 1:].flatten())
        return triple_loss(hard, logits, (found.hidden_states[-1], wanted.hidden_states[-1]))


def _ngram_loss(model: KneserNey, windows: Tensor) -> float:
    """Over the same tokens as the transformer's: all but each window's first, with what the window holds before."""
    text = windows.numpy()
    found = -np.log(np.concatenate([model.probabilities(window)[1:] for window in text]))
    return float(found.mean())


def unsteadiness(curve: Array) -> float:
    """Standard deviation of the second half of a training curve about its own line, nats."""
    half = np.asarray(curve[len(curve) // 2 :], dtype=np.float64)
    line = np.polynomial.polynomial.Polynomial.fit(np.arange(len(half)), half, 1)
    return float(np.std(half - line(np.arange(len(half))), ddof=2))
