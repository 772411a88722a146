"""Recipes: what is made of the dense model, or trained in its place; each gives a model to score.

A recipe stands on others (a ticket on the round before it, all on the dense model), which are trained once and kept.
Those of one family differ in their rate, of which the best is chosen on held-out text.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from torch import nn
from transformers import PreTrainedModel

from compress.method import Method
from compress.pruning.retrained import CubicSchedule, by_magnitude, hold, masks_of, release, shuffled
from compress.quantization.aware import LearnedRounding, make_aware
from compress.trained_coding import TrainedSharing, share_values
from models.load import find_blocks

RISING, CHANGES = 0.75, 25
"""Share of a training over which gradual pruning goes on, and times that its masks change (Zhu & Gupta 2017, §3)."""


def layers_of(model: PreTrainedModel) -> dict[str, nn.Linear]:
    """Linear layers of a model's blocks by name: all that is compressed."""
    named = (
        (f"{index}.{name}", module)
        for index, block in enumerate(find_blocks(model))
        for name, module in block.named_modules()
    )
    return {name: module for name, module in named if isinstance(module, nn.Linear)}


def pruned(model: PreTrainedModel, sparsity: float) -> PreTrainedModel:
    """A model whose smallest weights are held at zero from now on."""
    layers = layers_of(model)
    hold(layers, by_magnitude(layers, sparsity))
    return model


def share_of_steps(lab: Any, of_training: float | None) -> float:
    """Steps over those that all have that go on from the dense model.

    Args:
        lab: a `Models`.
        of_training: the steps over those of the dense model's training; None for as many as all have.
    """
    return 1.0 if of_training is None else of_training * lab.settings.dense.steps / lab.settings.after


@dataclass(frozen=True)
class Recipe:
    """One way to a model; as it stands, the dense model's own training."""

    elsewhere: ClassVar[bool] = False
    """True if it is scored on the other domain's text."""

    def made(self, lab: Any, seed: int) -> PreTrainedModel:
        """Model of one seed, in evaluation.

        Args:
            lab: a `Trained`. A fingerprint follows annotations, and what loads and keeps things decides nothing.
            seed: of the first weights and of the order of the text.
        """
        return lab.dense(seed)

    def __str__(self) -> str:
        return "dense"


@dataclass(frozen=True)
class Longer(Recipe):
    """The dense model, trained for as many steps more as others are after it."""

    rate: float = 0.1
    """Factor on the dense model's rate."""
    of_training: float | None = None
    """Steps over those of the dense model's training; None for as many as all have that go on from it."""

    def made(self, lab: Any, seed: int) -> PreTrainedModel:
        """Dense model that went on."""
        return lab.going_on(self, seed, lab.dense(seed), share=share_of_steps(lab, self.of_training))

    def __str__(self) -> str:
        return "dense, trained longer"


@dataclass(frozen=True)
class OneShot(Recipe):
    """A method without training, on the dense model or on the one that was trained longer."""

    method: Method
    longer: Longer | None = None

    def made(self, lab: Any, seed: int) -> PreTrainedModel:
        """Compressed model."""
        return lab.compressed((self.longer or Recipe()).made(lab, seed), self.method)

    def __str__(self) -> str:
        return f"{self.method}{', trained longer before' if self.longer else ''}"


@dataclass(frozen=True)
class Pruned(Recipe):
    """The dense model without its smallest weights, not retrained."""

    sparsity: float

    def made(self, lab: Any, seed: int) -> PreTrainedModel:
        """Pruned model."""
        return pruned(lab.dense(seed), self.sparsity)

    def __str__(self) -> str:
        return f"pruned-{self.sparsity:g}"


@dataclass(frozen=True)
class Retrained(Recipe):
    """Pruned in rounds, retrained after each with an equal share of the steps (Han et al. 2015, §3); or in one."""

    rounds: tuple[float, ...]
    """Sparsity after each round so far."""
    of: int
    """Rounds over which the steps are spread."""
    rate: float = 0.1
    """Factor on the dense model's rate."""
    of_training: float | None = None
    """Steps of all rounds over those of the dense model's training; None for as many as all have that go on from it."""

    def made(self, lab: Any, seed: int) -> PreTrainedModel:
        """Retrained model that holds its zeros."""
        before = replace(self, rounds=self.rounds[:-1]) if len(self.rounds) > 1 else Recipe()
        return lab.going_on(
            self,
            seed,
            pruned(before.made(lab, seed), self.rounds[-1]),  # pyright: ignore[reportGeneralTypeIssues]
            share=share_of_steps(lab, self.of_training) / self.of,
        )

    def __str__(self) -> str:
        return f"retrained-{self.rounds[-1]:g}{f'-round-{len(self.rounds)}-of-{self.of}' if self.of > 1 else ''}"


@dataclass(frozen=True)
class Gradual(Recipe):
    """Pruned while it trains, on the cubic schedule of Zhu & Gupta (2017)."""

    sparsity: float
    rate: float = 0.1
    """Factor on the dense model's rate."""

    def made(self, lab: Any, seed: int) -> PreTrainedModel:
        """Pruned model that holds its zeros."""
        model, steps = lab.dense(seed), lab.settings.after
        layers, rising = layers_of(model), max(1, round(RISING * steps))
        schedule = CubicSchedule(self.sparsity, rising, max(1, rising // CHANGES))
        hold(layers, masks_of(layers))
        return lab.going_on(self, seed, model, read=lambda done: schedule.prune(layers, done))

    def __str__(self) -> str:
        return f"gradual-{self.sparsity:g}"


@dataclass(frozen=True)
class Aware(Recipe):
    """Quantization-aware training with learned steps (LSQ), from the dense model."""

    bits: int
    activation_bits: int | None = None
    rate: float = 0.1
    """Factor on the dense model's rate."""

    def made(self, lab: Any, seed: int) -> PreTrainedModel:
        """Model with its weights on their grids."""
        model = lab.dense(seed)
        make_aware(layers_of(model).values(), self.bits, activation_bits=self.activation_bits)
        return lab.compressed(lab.going_on(self, seed, model), LearnedRounding(self.bits))

    def __str__(self) -> str:
        return f"qat-w{self.bits}" + (f"a{self.activation_bits}" if self.activation_bits else "")


@dataclass(frozen=True)
class Ticket(Recipe):
    """A subnetwork trained from its first weights, found by magnitude in rounds (Frankle & Carbin 2019)."""

    rounds: tuple[float, ...]
    """Sparsity after each round; each finds its mask in the ticket before it, the first in the dense model."""
    early: bool = False
    """Rewinding to the end of the dense model's warm-up (Frankle et al. 2020) and not to its first weights."""
    random: bool = False
    """Random masks in the last round, of the same sparsity in each layer."""

    def made(self, lab: Any, seed: int) -> PreTrainedModel:
        """Trained ticket that holds its zeros."""
        before = replace(self, rounds=self.rounds[:-1], random=False) if len(self.rounds) > 1 else Recipe()
        found = layers_of(before.made(lab, seed))
        masks = by_magnitude(found, self.rounds[-1])  # pyright: ignore[reportGeneralTypeIssues]
        model = lab.start(seed, early=self.early)
        hold(layers_of(model), shuffled(masks, seed) if self.random else masks)
        return lab.from_start(self, seed, model, early=self.early)

    def __str__(self) -> str:
        kind = "random" if self.random else "late" if self.early else "winning"
        return f"{kind}-ticket-{self.rounds[-1]:g}"


@dataclass(frozen=True)
class Shared(Recipe):
    """Deep Compression: pruned and retrained in rounds, then shared values, trained, then Huffman codes."""

    pruned: Retrained
    bits: int
    rate: float = 0.1
    """Factor on the dense model's rate."""

    def made(self, lab: Any, seed: int) -> PreTrainedModel:
        """Model with coded layers."""
        model = self.pruned.made(lab, seed)
        release(layers_of(model))
        share_values(layers_of(model), self.bits)
        return lab.compressed(lab.sharing(self, seed, model), TrainedSharing(self.bits))

    def __str__(self) -> str:
        return f"deep-compression-{self.pruned.rounds[-1]:g}-{self.bits}bits-retrained"


@dataclass(frozen=True)
class Unadapted(Recipe):
    """The dense model on the other domain, where it was never trained."""

    elsewhere = True

    def __str__(self) -> str:
        return "unadapted"


@dataclass(frozen=True)
class MoreOfItsOwn(Recipe):
    """The dense model on the other domain, trained on its own text for as many steps as others are fine-tuned."""

    rate: float = 0.1
    """Factor on the dense model's rate."""
    elsewhere = True

    def made(self, lab: Any, seed: int) -> PreTrainedModel:
        """Dense model that went on."""
        return lab.going_on(self, seed, lab.dense(seed), share=lab.settings.domain / lab.settings.after)

    def __str__(self) -> str:
        return "dense, more of its own text"


@dataclass(frozen=True)
class Adapted(Recipe):
    """The dense model fine-tuned on another domain: low-rank adapters of every linear layer, or all weights."""

    rank: int | None
    """Rank of adapters; None for all weights."""
    rate: float = 0.1
    """Factor on the dense model's rate."""
    elsewhere = True

    def made(self, lab: Any, seed: int) -> PreTrainedModel:
        """Fine-tuned model, adapters merged."""
        return lab.adapted(self, seed, lab.dense(seed))

    def __str__(self) -> str:
        return "fine-tuned" if self.rank is None else f"lora-rank-{self.rank}"
