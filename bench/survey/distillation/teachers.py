"""Teachers of classifiers: MiniLM fine-tuned, several of it together, and MPNet read by a linear layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from bench.survey.distillation.fitting import SCORED_TOGETHER, correct
from bench.survey.distillation.lessons import Lesson, LessonLoss
from bench.survey.distillation.settings import DistillationSettings, training
from bench.survey.distillation.tables import Tables
from compress.distillation.classifiers import ensemble_logits
from models.encoders import EncoderClassifier, minilm, mpnet
from models.folders import written_aside
from models.training.train import train

MAIN, ENSEMBLE, MPNET = "minilm-0", "ensemble", "mpnet"
"""The first MiniLM, all of them together, and MPNet."""
SAVE_EVERY = 50
"""Steps between checkpoints of a teacher."""
HEAD = training(1000, 1e-3, batch=64)
"""Training of the linear layer on MPNet's states."""


@dataclass
class Teachers:
    """Teachers of one task, each trained once and kept, with what they say of the texts."""

    session: Any
    settings: DistillationSettings
    tables: Tables
    classes: int
    task: str
    """Name and hash of the task."""

    def fine_tuned(self, number: int) -> nn.Module:
        """MiniLM fine-tuned on labels under a seed; a training that was interrupted goes on."""
        settings, name = self.settings, f"minilm-{number}"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(number)
            model = EncoderClassifier(minilm(settings.teacher_layers), self.classes)
        model.encoder.embeddings.requires_grad_(False)
        how = replace(settings.teaching, seed=number)
        with self.session.progress.variant(f"teacher {name}", how.steps) as advance:
            train(
                model,
                self.tables.rows(),
                how,
                loss=LessonLoss(Lesson(), self._labels()),
                device=self.session.settings.device,
                folder=self._kept(f"{name} checkpoints"),
                save_every=SAVE_EVERY,
                watch=lambda _tokens, _loss: advance(1),
            )
        return model

    def _labels(self) -> Tensor:
        return self.tables.labels.to(self.session.settings.device)

    def correct(self, number: int) -> dict[str, Tensor]:
        """Scored texts that a fine-tuned MiniLM has right, true or false, by distribution."""
        model, device = self.fine_tuned(number), self.session.settings.device
        return {name: correct(model, getattr(self.tables, name), device) for name in ("test", "shifted")}

    def logits(self, teacher: str, *, more: bool = False) -> Tensor:
        """Teacher's logits on the training texts, `[texts, classes]`; with `more` those on augmented ones follow."""
        if teacher == ENSEMBLE:
            members = [self.logits(f"minilm-{number}", more=more) for number in range(self.settings.ensemble)]
            return ensemble_logits(torch.stack(members))
        if teacher == MPNET:
            return self.read_by_mpnet()["train"]
        parts = ["train", "augmented"] if more else ["train"]
        return torch.cat([self._said(int(teacher.rpartition("-")[2]), part)["logits"] for part in parts])

    def states(self, teacher: str) -> Tensor:
        """States of the texts' first token after every layer of a fine-tuned MiniLM, `[texts, layers, width]`."""
        return self._said(int(teacher.rpartition("-")[2]), "train")["states"]

    def _said(self, number: int, part: str) -> dict[str, Tensor]:
        """Logits on a part, and on the training texts the states too: computed once for all students and seeds."""
        tokens = getattr(self.tables, part).tokens
        return self._tensors(
            f"minilm-{number} {part}", lambda: said(self.fine_tuned(number), tokens, self._device, part == "train")
        )

    @property
    def _device(self) -> str:
        return self.session.settings.device

    def read_by_mpnet(self) -> dict[str, Tensor]:
        """Logits `train` and `test` of a linear layer on MPNet's mean states, trained on labels."""
        return self._tensors("mpnet", self._read_by_mpnet)

    def _read_by_mpnet(self) -> dict[str, Tensor]:
        encoder = EncoderClassifier(mpnet(), self.classes, mean=True)
        parts = {"train": self.tables.train.tokens, "test": self.tables.test.tokens}
        read = {name: said(encoder, tokens, self._device, last=True)["states"] for name, tokens in parts.items()}
        labels, head = self.tables.train.labels, nn.Linear(read["train"].shape[1], self.classes)
        nn.init.zeros_(head.weight)
        scale = read["train"].std()

        def loss(model: nn.Module, numbers: Tensor) -> Tensor:
            chosen = numbers[:, 0].cpu()
            states = (read["train"][chosen] / scale).to(numbers.device)
            return functional.cross_entropy(model(states), labels[chosen].to(numbers.device))

        numbers = torch.arange(len(labels))[:, None]
        train(head, numbers, HEAD, loss=loss, device=self._device, watch=lambda _tokens, _loss: None)
        head.cpu().requires_grad_(False)
        return {name: head(states / scale) for name, states in read.items()}

    def _tensors(self, name: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        path = self._kept(name).with_suffix(".safetensors")
        if not path.is_file():
            with written_aside(path) as beside:
                save_file({key: value.contiguous() for key, value in make().items()}, beside)
        return load_file(path)

    def _kept(self, name: str) -> Any:
        """Place of what is kept of a teacher, by all that decides it."""
        s = self.settings
        decides = (
            s.teaching,
            s.teacher_layers,
            s.length,
            s.test,
            s.held_out,
            s.most,
            s.copies,
            self.session.settings.seed,
        )
        code = (Teachers.fine_tuned, Teachers.read_by_mpnet, said)
        return self.session.kept("teachers", f"{name} {self.task} {decides}", *code)


@torch.no_grad()
def said(
    model: EncoderClassifier | nn.Module, tokens: Tensor, device: str, states: bool = False, *, last: bool = False
) -> dict[str, Tensor]:
    """Output of a teacher on texts, in evaluation: logits, and the states of every layer or of the last alone.

    Args:
        model: classifier.
        tokens: `[texts, length]`.
        device: cpu or cuda.
        states: whether the states of every layer are wanted, `[texts, layers, width]`.
        last: whether that of the last layer is, `[texts, width]`.
    """
    model.eval().to(device)
    outputs = [model(part.to(device), states=states or last) for part in tokens.split(SCORED_TOGETHER)]
    given = {"logits": torch.cat([out.logits.float().cpu() for out in outputs])}
    if states or last:
        layers = torch.cat([(out.states[:, -1] if last else out.states).float().cpu() for out in outputs])
        given["states"] = layers
    return given
