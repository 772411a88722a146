"""Instrument of the small T5 models: each kind trained once over seeds, and every seed scored."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property, partial
from itertools import product
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn

from bench.measure.instrument import Instrument
from bench.small_models.settings import FIRST, UNSCORED, SmallModelsSettings
from bench.small_models.tables import HELD_OUT, SHIFTED, TEST
from bench.small_models.trainer import Trainer
from bench.small_models.variants import Chosen, Distilled, Variant
from bench.verdict.documents import Array
from bench.verdict.evidence import Arrays, Origin
from models.data.tasks import Task
from models.data.text import Document, text_sha256
from models.text_to_text import exact_matches

PRETRAINING, TUNING = "pretraining", "tuning"


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
        self.label = label
        self.trainer = Trainer(session, settings, make, lambda: self.text_sha256)

    def on(self, label: str, make: Callable[[], Task]) -> SmallModels:
        """Instrument for another task, with this one's protocol and text."""
        return SmallModels(self.session, self.settings, label, lambda: (self.trainer.read[0], make()))

    @property
    def task(self) -> Task:
        """Task that models are fine-tuned on."""
        return self.trainer.read[1]

    @cached_property
    def text_sha256(self) -> str:
        """Identity of the documents and the task's examples."""
        digest = hashlib.sha256(text_sha256(self.trainer.read[0]).encode())
        for example in (*self.task.train, *self.task.test, *self.task.shifted):
            digest.update("\0".join(example).encode())
        return digest.hexdigest()

    def origin(self) -> Origin:
        """Models that are trained here, on the session's text and a task."""
        training, task, settings, tables = self.settings, self.task, self.session.settings, self.trainer.tables
        protocol = (
            f"{training.pretraining.steps} steps of span corruption, {training.tuning.steps} on {task.name}; percent "
            f"written exactly; {tables.length} tokens are read, {max(tables.cut.values()):.1%} of inputs are longer"
        )
        return Origin(
            settings.scale,
            settings.effort,
            "T5, trained here",
            text=f"{self.session.text_name}, {task.name}",
            text_sha256=self.text_sha256,
            protocol=protocol,
            documents=len(task.test),
            seed=settings.seed,
        )

    def measure(self, variant: Variant, seeds: range) -> Arrays:
        """Accuracy of each seed on the task and on its other distribution, and curves, NaN where a run failed."""
        name = f"{self.label}: {variant}, seeds {seeds[0]} to {seeds[-1]}"
        return self.measured(name, partial(self._measure, variant, seeds, (TEST, SHIFTED)), Trainer)

    def held_out(self, variant: Variant, seeds: range) -> Array:
        """Percent right of each seed on training examples that nobody learned from; nothing else is scored."""
        name = f"{self.label}: {variant}, seeds {seeds[0]} to {seeds[-1]}, held-out examples"
        return 100 * self.measured(name, partial(self._measure, variant, seeds, (HELD_OUT,)), Trainer)[HELD_OUT]

    def _measure(self, variant: Variant, seeds: range, parts: tuple[str, ...]) -> Arrays:
        models, before, curve = self.trainer.tuned(variant, seeds)
        scored = {name: rows for name, rows in self.trainer.tables.rows.items() if name in parts}
        scores = {name: np.array([self._accuracy(model, rows) for model in models]) for name, rows in scored.items()}
        about = {
            "floor": np.array([self.task.floor]),
            "parameters": np.array([self.trainer.shape(variant).parameters(embeddings=False)]),
        }
        return {**scores, PRETRAINING: before, TUNING: curve, **about}

    def _accuracy(self, model: nn.Module, rows: Tensor) -> float:
        device = self.session.settings.device
        right = float(exact_matches(model.to(device), rows.to(device), self.trainer.tables.length).mean())
        model.cpu()  # those of many seeds would fill a GPU
        return right

    def runs(self, variant: Variant, seeds: int) -> dict[str, Array]:
        """Measurements of the first so many seeds: accuracies in percent `[seeds]`, curves `[seeds, points]`.

        A variant with something to choose or to proportion is resolved first.
        """
        return joined([self.measure(variant, chunk) for chunk in self.settings.chunks(seeds)])

    def accuracy(self, variant: Variant, seeds: int, *, part: str = TEST) -> Array:
        """Percent right of the first so many seeds, `[seeds]`."""
        return self.runs(variant, seeds)[part]

    @property
    def floor(self) -> float:
        """Percent right of the commonest answer."""
        return float(self.runs(Variant("mini"), self.settings.looks[0])["floor"][0])

    def teacher_accuracy(self, size: str, *, part: str = TEST) -> float:
        """Percent right of the one model of a size that teaches."""
        return 100 * float(self.measure(Variant(size), range(FIRST, FIRST + 1))[part][0])

    def resolved(self, variant: Variant) -> Variant:
        """Variant with α and T in the place of a choice, and the protocol's own mini in that of Table 3.1's."""
        how, shape = variant.distilled, variant.shape
        if isinstance(how, Chosen):
            how = self.chosen(variant.size, how.teacher)
        return replace(variant, distilled=how, shape=shape and self.settings.proportioned(shape))

    def chosen(self, student: str, teacher: str) -> Distilled:
        """Distillation whose students do best on held-out examples, over seeds never scored; ties to the first."""
        seeds = range(UNSCORED, UNSCORED + self.settings.choosing_seeds)
        grid = product(self.settings.alphas, self.settings.temperatures)
        tried = [Distilled(teacher, alpha, temperature) for alpha, temperature in grid]
        means = [float(self.held_out(Variant(student, distilled=how), seeds).mean()) for how in tried]
        return tried[means.index(max(means))]

    def described(self, variants: dict[str, Variant], seeds: int) -> dict:
        """Accuracy of every seed, what failed, and curves of pre-training, for the page."""
        shown = {}
        for name, variant in variants.items():
            run, how = self.runs(variant, seeds), variant.distilled
            failed = np.isnan(run[PRETRAINING]).any(1) | np.isnan(run[TUNING]).any(1)
            shown[name] = {
                "accuracy": run[TEST].round(3).tolist(),
                "failed": int(failed.sum()),
                "parameters": int(run["parameters"][0]),
                "curves": [[None if np.isnan(x) else round(float(x), 4) for x in own] for own in run[PRETRAINING]],
                "lesson": f"α {how.alpha:g}, T {how.temperature:g}" if isinstance(how, Distilled) else "",
            }
        return {"variants": shown}


def joined(chunks: Sequence[Arrays]) -> dict[str, Array]:
    """Measurements of several chunks of seeds as those of one, accuracies in percent."""
    per_seed = [name for name in (TEST, SHIFTED, PRETRAINING, TUNING) if name in chunks[0]]
    together = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in per_seed}
    scored = {name: 100 * together[name] for name in (TEST, SHIFTED) if name in together}
    return {**together, **scored, "parameters": chunks[0]["parameters"], "floor": 100 * chunks[0]["floor"]}
