"""Statistics of a layer's inputs that calibration measures, one batch at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cache
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn


class Batch(NamedTuple):
    """Contribution of one batch to a statistic."""

    tokens: int
    parts: tuple[Tensor, ...]


class Statistic(ABC):
    """Sum, or maximum, over the inputs of one layer.

    A batch's contribution is worked out apart from the sum, so that layers that read the same inputs share that work.
    """

    title: ClassVar[str] = "a statistic of the inputs"
    """Words for an error message, before "of" and a layer's name."""
    tokens: int = 0
    """Number of tokens taken in."""

    @abstractmethod
    def __init__(self, layer: nn.Linear) -> None: ...

    @staticmethod
    @abstractmethod
    def of(inputs: Tensor) -> tuple[Tensor, ...]:
        """Contribution of one batch's inputs `[tokens, d_in]` float32."""

    @abstractmethod
    def _sum(self, parts: tuple[Tensor, ...]) -> None: ...

    @classmethod
    def batch(cls, inputs: Tensor) -> Batch:
        """Contribution of the inputs `[..., d_in]` of one batch."""
        flat = inputs.flatten(0, -2).float()
        return Batch(len(flat), cls.of(flat))

    def take(self, batch: Batch) -> None:
        """Adds one batch's contribution."""
        self._sum(batch.parts)
        self.tokens += batch.tokens

    def add(self, inputs: Tensor) -> None:
        """Adds the inputs `[..., d_in]` of one batch."""
        self.take(self.batch(inputs))


class SquaredInputs(Statistic):
    """Sum over tokens of each input's square, `[d_in]` float32."""

    title = "the squared inputs"

    def __init__(self, layer: nn.Linear) -> None:
        self.sum = torch.zeros(layer.in_features, device=layer.weight.device)

    @staticmethod
    def of(inputs: Tensor) -> tuple[Tensor, ...]:
        """Sum of squares, `[d_in]`."""
        return (inputs.square().sum(0),)

    def _sum(self, parts: tuple[Tensor, ...]) -> None:
        self.sum += parts[0]

    @property
    def mean(self) -> Tensor:
        """Mean square of each input, `[d_in]`."""
        if not self.tokens:
            raise ValueError("no inputs were measured; calibrate with at least one batch")
        return self.sum / self.tokens


PARTS = 4
"""Runs of inputs between which products are taken: the matrix is symmetric, and 6 of its 16 parts mirror others."""


class GramMatrix(Statistic):
    """Sum over tokens of x xᵀ, `[d_in, d_in]` float64.

    Batches are multiplied in float32 and summed in float64.
    """

    title = "the Gram matrix of the inputs"
    first_token_weight: ClassVar[float] = 1.0
    """Weight of the first token of every sequence; all others have 1."""

    def __init__(self, layer: nn.Linear) -> None:
        self._upper = torch.zeros(layer.in_features, layer.in_features, dtype=torch.float64, device=layer.weight.device)

    @classmethod
    def batch(cls, inputs: Tensor) -> Batch:
        """Contribution of the inputs `[..., d_in]` of one batch, of sequences `[batch, tokens, d_in]` where they count.

        Raises:
            ValueError: first tokens have a weight of their own and the inputs do not say which they are.
        """
        plain = super().batch(inputs)
        if cls.first_token_weight == 1:
            return plain
        if inputs.ndim != 3:
            raise ValueError(
                f"inputs {tuple(inputs.shape)} do not say which tokens are first; give [batch, tokens, d_in] or leave "
                "first_token_weight at 1"
            )
        first = cls.of(inputs[:, 0].float())
        extra = cls.first_token_weight - 1
        return Batch(plain.tokens, tuple(a.add_(b, alpha=extra) for a, b in zip(plain.parts, first, strict=True)))

    @property
    def sum(self) -> Tensor:
        """Whole matrix, both triangles."""
        return self._upper.triu() + self._upper.triu(1).T

    @staticmethod
    def of(inputs: Tensor) -> tuple[Tensor, ...]:
        """Runs of rows, from their own diagonal on: `[d_in / 4, d_in - start]` each."""
        size = -(-inputs.shape[1] // PARTS)
        starts = range(0, inputs.shape[1], size)
        return tuple(inputs[:, start : start + size].T @ inputs[:, start:] for start in starts)

    def _sum(self, parts: tuple[Tensor, ...]) -> None:
        start = 0
        for part in parts:
            self._upper[start : start + len(part), start:] += part
            start += len(part)


@cache
def gram_matrix(first_token_weight: float) -> type[GramMatrix]:
    """Gram matrix in which the first token of every sequence counts so many times.

    Much of a decoder's attention goes to position 0, whose normed input is small: unweighted, it hardly counts in
    the Hessian, and its value vector is given up for the others' sake.

    Raises:
        ValueError: a weight that is not above 0.
    """
    if not 0 < first_token_weight < float("inf"):
        raise ValueError(f"first_token_weight is {first_token_weight}; it must be a finite number above 0")
    if first_token_weight == 1:
        return GramMatrix
    return type("GramMatrix", (GramMatrix,), {"first_token_weight": float(first_token_weight)})


def first_token_name(weight: float) -> str:
    """Ending of a method's short name for a weight of first tokens; empty where they count as others do."""
    return "" if weight == 1 else f"first-{weight:g}"


class LargestInputs(Statistic):
    """Largest magnitude of each input, `[d_in]`."""

    title = "the largest inputs"

    def __init__(self, layer: nn.Linear) -> None:
        self.largest = torch.zeros(layer.in_features, device=layer.weight.device)

    @staticmethod
    def of(inputs: Tensor) -> tuple[Tensor, ...]:
        """Largest magnitudes, `[d_in]`."""
        return (inputs.abs().amax(0),)

    def _sum(self, parts: tuple[Tensor, ...]) -> None:
        self.largest = torch.maximum(self.largest, parts[0])


class Magnitudes(Statistic):
    """Sum over tokens of each input's magnitude, `[d_in]` float32."""

    title = "the magnitudes of the inputs"

    def __init__(self, layer: nn.Linear) -> None:
        self.sum = torch.zeros(layer.in_features, device=layer.weight.device)

    @staticmethod
    def of(inputs: Tensor) -> tuple[Tensor, ...]:
        """Sum of magnitudes, `[d_in]`."""
        return (inputs.abs().sum(0),)

    def _sum(self, parts: tuple[Tensor, ...]) -> None:
        self.sum += parts[0]


class GramAndMagnitude(GramMatrix):
    """Gram matrix, and the sum of each input's magnitude `[d_in]`."""

    title = "the Gram matrix and magnitudes of the inputs"

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__(layer)
        self.magnitude = torch.zeros(layer.in_features, dtype=torch.float64, device=layer.weight.device)

    @staticmethod
    def of(inputs: Tensor) -> tuple[Tensor, ...]:
        """Runs of the Gram matrix, and the sum of magnitudes `[d_in]`."""
        return (*GramMatrix.of(inputs), inputs.abs().sum(0))

    def _sum(self, parts: tuple[Tensor, ...]) -> None:
        super()._sum(parts[:-1])
        self.magnitude += parts[-1]
