"""Instrument of preference distillation: a student that was tuned on its teacher's text, and what moves it further."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache, cached_property, partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from bench.measure.instrument import Instrument
from bench.survey.preferences.pairs import SUM_PROMPT, log_probabilities, ranked, scored_pairs, sums
from bench.survey.preferences.settings import SUMS, PreferenceSettings
from bench.survey.trained.lab import document_losses
from bench.survey.trained.models import Models
from bench.survey.trained.settings import TrainedSettings
from bench.survey.trained.text import Texts
from bench.verdict.crossed import crossed_interval
from bench.verdict.documents import Array, Interval
from bench.verdict.evidence import Arrays, Origin
from compress.distillation.preferences import continuation_log_probability, preference_loss
from models.data.text import text_sha256
from models.gpt2 import build
from models.sampling import continued
from models.training.plan import Training
from models.training.train import train, windows_of

ANOTHER = 5000
"""Added to a seed for what draws prompts, continuations and others of a pair."""


class Task(Enum):
    """Source of the preferences."""

    TEXT = "text"
    """Continuations that the teacher scores."""
    SUMS = "sums"
    """Right sums against wrong ones: preferences that can be verified."""


class Way(Enum):
    """Tuning that follows the distilled supervised one."""

    NONE = "none"
    SUPERVISED = "supervised"
    """As many steps more, on the preferred continuations."""
    PREFERENCES = "preferences"
    """Direct preference optimization on the pairs."""


@dataclass(frozen=True)
class Arm:
    """Student of one task after one way of tuning."""

    task: Task
    way: Way
    rate: float = 1.0

    def __str__(self) -> str:
        return f"{self.task.value}, {self.way.value}" + ("" if self.way is Way.NONE else f", rate {self.rate:g}")


@dataclass(frozen=True)
class World:
    """A student after its supervised tuning, and pairs `[pairs, 2, tokens]` by what they serve."""

    start: PreTrainedModel
    training: Tensor
    held_out: Tensor
    scored: list[Tensor]
    """By document, or by block of sums."""
    prompt: int
    """Tokens of a prompt."""


class Preferences(Instrument):
    """Students over seeds, each from its own teacher."""

    name: ClassVar[str] = "preferences"
    settings_at: ClassVar[str] = "bench.survey.preferences.settings:at"

    def __init__(self, session: Any, settings: PreferenceSettings, trained: TrainedSettings) -> None:
        super().__init__(session, settings)
        self.trained = trained
        self.texts = Texts(session, trained)
        self.models = Models(session, trained, self.texts)
        self._worlds: Callable[[Task, int], World] = cache(self._world)

    def measure(self, arm: Arm, seed: int) -> Arrays:
        """Readings of a student on the pairs of each scored document, `[documents]` each, and on held-out pairs.

        Returns:
            accuracy: share of pairs whose preferred continuation is the likelier one.
            moved: share on which tuning raised the preferred one's log-probability over the other's, the accuracy of
                the implicit reward (Rafailov et al. 2023, §4); a half for the student before it.
            loss: of preferred continuations, nats a token.
            held_out: `moved` on held-out pairs, one number.
        """
        measure = partial(self._measure, arm, seed)
        return self.measured(f"{arm!r} seed {seed}", measure, Models, Texts, label=f"{arm}, seed {seed}")

    def _measure(self, arm: Arm, seed: int) -> Arrays:
        world = self._worlds(arm.task, seed)
        model = copy.deepcopy(world.start)
        if arm.way is not Way.NONE:
            training = self.settings.further
            training = replace(training, learning_rate=training.learning_rate * arm.rate, seed=seed)
            loss: Any = partial(supervised, world.prompt)
            if arm.way is Way.PREFERENCES:
                loss = partial(preferring, world.prompt, world.start)
            self._train(f"{arm}, seed {seed}", model, world.training, training, loss)
        tokens = world.training.shape[-1] - world.prompt
        read = [[log_probabilities(of, pairs, world.prompt) for of in (model, world.start)] for pairs in world.scored]
        held_out = [log_probabilities(of, world.held_out, world.prompt) for of in (model, world.start)]
        return {
            "accuracy": np.array([ranked(own) for own, _ in read]),
            "moved": np.array([ranked(own - before) for own, before in read]),
            "loss": np.array([-float(own[:, 0].mean()) / tokens for own, _ in read]),
            "held_out": np.array(ranked(held_out[0] - held_out[1])),
        }

    def _train(self, label: str, model: nn.Module, windows: Tensor, training: Training, loss: Any) -> None:
        with self.session.progress.variant(label, training.steps) as advance:
            watch: Any = lambda _tokens, _loss: advance(1)  # noqa: E731
            train(model, windows, training, loss=loss, device=self.session.settings.device, watch=watch)
        model.eval()

    def _world(self, task: Task, seed: int) -> World:
        return self._sums_world(seed) if task is Task.SUMS else self._text_world(seed)

    def _text_world(self, seed: int) -> World:
        s, text = self.settings, self.texts.own
        device = self.session.settings.device
        teacher = self.models.dense(seed).eval().to(device)
        student = self._student(seed).to(device)
        generator = torch.Generator().manual_seed(seed + ANOTHER)
        cut = windows_of(text.training, s.prompt)
        drawn = cut[torch.randperm(len(cut), generator=generator)[: 2 * s.prompts]]
        shown, asked = drawn.split(-(-len(drawn) // 2))
        taught = continued(teacher, shown, s.continuation, generator)
        tuning = replace(s.supervised, seed=seed)
        self._train(f"supervised, seed {seed}", student, taught[:, None], tuning, partial(supervised, s.prompt))

        def pairs(prompts: Tensor) -> Tensor:
            how: dict[str, Any] = {"continuation": s.continuation, "own": s.own, "generator": generator}
            return scored_pairs(teacher, student, prompts, **how)

        held_out = windows_of(text.held_out.flatten(), s.prompt)[: s.held_out]
        by_document = [windows_of(windows.flatten(), s.prompt)[: s.per_document] for windows in text.scored]
        return World(student, pairs(asked), pairs(held_out), [pairs(prompts) for prompts in by_document], s.prompt)

    def _student(self, seed: int) -> PreTrainedModel:
        """Student that read the teacher's text for as many steps."""
        shape, trained = self.settings.student(self.trained.shape), self.trained
        model = build(shape, seed=seed + ANOTHER, initial_scale=trained.initial_scale)
        windows = windows_of(self.texts.own.training, shape.positions)
        self._train(f"student, seed {seed}", model, windows, replace(trained.dense, seed=seed), whole)
        return model

    def _sums_world(self, seed: int) -> World:
        s, documents = self.settings, self.trained.documents
        made = sums(torch.Generator().manual_seed(seed + ANOTHER))
        learned, asked, rest = made.split((3000, 4800, 2200))
        model = build(SUMS, seed=seed, initial_scale=0.05).to(self.session.settings.device)
        self._train(f"sums, seed {seed}", model, learned, replace(s.sums, seed=seed), partial(supervised, SUM_PROMPT))
        held_out, scored = rest[: s.held_out], rest[s.held_out :]
        blocks = scored[: documents * (len(scored) // documents)].view(documents, -1, *scored.shape[1:])
        return World(model, asked[: s.prompts], held_out, list(blocks), SUM_PROMPT)

    def _read(self, seed: int) -> Arrays:
        start, teacher = self._worlds(Task.TEXT, seed).start, self.models.dense(seed).eval()
        teacher = teacher.to(self.session.settings.device)
        scored = self.texts.own.scored
        return {"student": document_losses(start, scored), "teacher": document_losses(teacher, scored)}

    @property
    def lead(self) -> Interval:
        """Perplexity of the supervised student on scored text over its teacher's, over seeds and documents."""
        runs = [self.measured(f"text, seed {seed}", partial(self._read, seed), Models, Texts) for seed in self.seeds]
        gaps = np.stack([run["student"] - run["teacher"] for run in runs])
        return crossed_interval(gaps, lambda means: means[..., 0]).map(np.exp)

    def doubt(self, *_variants: Any) -> str:
        """Reason why there is nothing to learn from the teacher; empty where there is."""
        lead = self.lead
        if lead.low > 1:
            return ""
        return f"the teacher does not qualify: its student's perplexity is {lead} of its own; train it longer"

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of teachers, students and pairs."""
        return self.settings.seeds

    def chosen(self, task: Task, way: Way) -> Arm:
        """Arm at the rate that moves most held-out pairs the right way, the mean over seeds; ties to the lowest."""
        arms = [Arm(task, way, rate) for rate in self.settings.rates]
        held_out = [float(self.gathered(arm, "held_out").mean()) for arm in arms]
        return arms[held_out.index(max(held_out))]

    def gathered(self, arm: Arm, name: str) -> Array:
        """Values of an arm over all seeds, `[seeds, ...]`."""
        return np.stack([self.measure(arm, seed)[name] for seed in self.seeds])

    def origin(self) -> Origin:
        """A student that is trained here, and the text that its prompts are from."""
        s, shape = self.settings, self.settings.student(self.trained.shape)
        protocol = (
            f"prompts of {s.prompt} tokens and continuations of {s.continuation}, {2 * s.own} candidates each; "
            f"{s.further.steps} steps of {s.further.batch} pairs after {s.supervised.steps} supervised ones; seeds "
            f"{', '.join(map(str, s.seeds))}"
        )
        documents = self.trained.documents
        return replace(
            self.session.origin(protocol, documents=documents, tokens=documents * s.per_document * s.continuation),
            model=f"GPT-2 {shape.layers}x{shape.width}, student of {self.trained.shape.layers}x"
            f"{self.trained.shape.width}, trained here",
            text_sha256=self._text_sha256,
            model_sha256=hashlib.sha256(f"{s.decisive()!r} {self.trained.decisive()!r}".encode()).hexdigest(),
        )

    @cached_property
    def _text_sha256(self) -> str:
        return text_sha256(self.session.documents + self.session.more_documents)


def whole(model: nn.Module, tokens: Tensor) -> Tensor:
    """Mean loss of every token after the first, `[batch, tokens]`, in nats."""
    return supervised(1, model, tokens[:, None])


def supervised(prompt: int, model: nn.Module, pairs: Tensor) -> Tensor:
    """Mean loss of the tokens of preferred continuations, `[batch, candidates, tokens]`, in nats."""
    tokens = pairs[:, 0]
    own = continuation_log_probability(model(input_ids=tokens).logits, tokens, prompt)
    return -own.mean() / (tokens.shape[1] - prompt)


def preferring(prompt: int, reference: nn.Module, model: nn.Module, pairs: Tensor) -> Tensor:
    """Preference loss of pairs `[batch, 2, tokens]` against the model that tuning started from."""
    flat = pairs.flatten(0, 1)

    def own(of: nn.Module) -> Tensor:
        return continuation_log_probability(of(input_ids=flat).logits, flat, prompt).view(-1, 2)

    with torch.no_grad():
        before = own(reference)
    return preference_loss(own(model), before)
