"""What calibration measures of a layer's inputs, one batch at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Batch(NamedTuple):
    """What a statistic has worked out of one batch."""

    tokens: int
    found: tuple[Tensor, ...]


class Statistic(ABC):
    """Something summed over the inputs of one layer.

    What a batch comes to is worked out apart from the sum, so that layers that read the same inputs share that work.
    """

    tokens: int = 0
    """How many were taken in."""

    @abstractmethod
    def __init__(self, layer: nn.Linear) -> None: ...

    @staticmethod
    @abstractmethod
    def of(inputs: Tensor) -> tuple[Tensor, ...]:
        """What one batch's inputs `[tokens, d_in]` float32 come to."""

    @abstractmethod
    def _sum(self, found: tuple[Tensor, ...]) -> None: ...

    @classmethod
    def batch(cls, inputs: Tensor) -> Batch:
        """What the inputs `[..., d_in]` of one batch come to."""
        flat = inputs.flatten(0, -2).float()
        return Batch(len(flat), cls.of(flat))

    def take(self, batch: Batch) -> None:
        """Take in what one batch came to."""
        self._sum(batch.found)
        self.tokens += batch.tokens

    def add(self, inputs: Tensor) -> None:
        """Take in the inputs `[..., d_in]` of one batch."""
        self.take(self.batch(inputs))


class SquaredInputs(Statistic):
    """The sum over tokens of each input's square, `[d_in]` float32, and how many tokens there were."""

    def __init__(self, layer: nn.Linear) -> None:
        self.sum = torch.zeros(layer.in_features, device=layer.weight.device)

    @staticmethod
    def of(inputs: Tensor) -> tuple[Tensor, ...]:
        """`[d_in]`."""
        return (inputs.square().sum(0),)

    def _sum(self, found: tuple[Tensor, ...]) -> None:
        self.sum += found[0]

    @property
    def mean(self) -> Tensor:
        """The mean square of each input, `[d_in]`."""
        if not self.tokens:
            raise ValueError("no inputs were measured; calibrate with at least one batch")
        return self.sum / self.tokens


PARTS = 4
"""Runs of inputs between which products are taken: the matrix is symmetric, and 6 of its 16 parts mirror others."""


class GramMatrix(Statistic):
    """The sum over tokens of x xᵀ, `[d_in, d_in]` float64, and how many tokens there were.

    Batches are multiplied in float32 and summed in float64.
    """

    def __init__(self, layer: nn.Linear) -> None:
        self._upper = torch.zeros(layer.in_features, layer.in_features, dtype=torch.float64, device=layer.weight.device)

    @property
    def sum(self) -> Tensor:
        """The whole matrix."""
        return self._upper.triu() + self._upper.triu(1).T

    @staticmethod
    def of(inputs: Tensor) -> tuple[Tensor, ...]:
        """Runs of rows, each from its own diagonal on: `[d_in / 4, d_in - start]`."""
        size = -(-inputs.shape[1] // PARTS)
        starts = range(0, inputs.shape[1], size)
        return tuple(inputs[:, start : start + size].T @ inputs[:, start:] for start in starts)

    def _sum(self, found: tuple[Tensor, ...]) -> None:
        start = 0
        for part in found:
            self._upper[start : start + len(part), start:] += part
            start += len(part)


class LargestInputs(Statistic):
    """The largest magnitude of each input, `[d_in]`, and how many tokens there were."""

    def __init__(self, layer: nn.Linear) -> None:
        self.largest = torch.zeros(layer.in_features, device=layer.weight.device)

    @staticmethod
    def of(inputs: Tensor) -> tuple[Tensor, ...]:
        """`[d_in]`."""
        return (inputs.abs().amax(0),)

    def _sum(self, found: tuple[Tensor, ...]) -> None:
        self.largest = torch.maximum(self.largest, found[0])


class GramAndMagnitude(GramMatrix):
    """The Gram matrix, and the sum of each input's magnitude `[d_in]`."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__(layer)
        self.magnitude = torch.zeros(layer.in_features, dtype=torch.float64, device=layer.weight.device)

    @staticmethod
    def of(inputs: Tensor) -> tuple[Tensor, ...]:
        """The Gram matrix's runs, and `[d_in]`."""
        return (*GramMatrix.of(inputs), inputs.abs().sum(0))

    def _sum(self, found: tuple[Tensor, ...]) -> None:
        super()._sum(found[:-1])
        self.magnitude += found[-1]
