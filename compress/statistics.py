"""What calibration measures of a layer's inputs, one batch at a time."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn


class Statistic(Protocol):
    """Something summed over the inputs of one layer."""

    def __init__(self, layer: nn.Linear) -> None: ...

    def add(self, inputs: Tensor) -> None:
        """Take in the inputs `[..., d_in]` of one batch."""
        ...


class SquaredInputs:
    """The sum over tokens of each input's square, `[d_in]` float32, and how many tokens there were."""

    def __init__(self, layer: nn.Linear) -> None:
        self.sum = torch.zeros(layer.in_features, device=layer.weight.device)
        self.tokens = 0

    def add(self, inputs: Tensor) -> None:
        """Take in the inputs `[..., d_in]` of one batch."""
        flat = inputs.flatten(0, -2).float()
        self.sum += flat.square().sum(0)
        self.tokens += len(flat)

    @property
    def mean(self) -> Tensor:
        """The mean square of each input, `[d_in]`."""
        if not self.tokens:
            raise ValueError("no inputs were measured; calibrate with at least one batch")
        return self.sum / self.tokens


PARTS = 4
"""Runs of inputs between which products are taken: the matrix is symmetric, and 6 of its 16 parts mirror others."""


class GramMatrix:
    """The sum over tokens of x xᵀ, `[d_in, d_in]` float64, and how many tokens there were."""

    def __init__(self, layer: nn.Linear) -> None:
        self._upper = torch.zeros(layer.in_features, layer.in_features, dtype=torch.float64, device=layer.weight.device)
        self.tokens = 0

    @property
    def sum(self) -> Tensor:
        """The whole matrix."""
        return self._upper.triu() + self._upper.triu(1).T

    def add(self, inputs: Tensor) -> None:
        """Take in the inputs `[..., d_in]` of one batch: multiplied in float32, summed over batches in float64."""
        flat = inputs.flatten(0, -2).float()
        size = -(-flat.shape[1] // PARTS)
        for start in range(0, flat.shape[1], size):
            rows = slice(start, start + size)
            self._upper[rows, start:] += flat[:, rows].T @ flat[:, start:]
        self.tokens += len(flat)


class LargestInputs:
    """The largest magnitude of each input, `[d_in]`, and how many tokens there were."""

    def __init__(self, layer: nn.Linear) -> None:
        self.largest = torch.zeros(layer.in_features, device=layer.weight.device)
        self.tokens = 0

    def add(self, inputs: Tensor) -> None:
        """Take in the inputs `[..., d_in]` of one batch."""
        flat = inputs.flatten(0, -2).float()
        self.largest = torch.maximum(self.largest, flat.abs().amax(0))
        self.tokens += len(flat)


class GramAndMagnitude(GramMatrix):
    """The Gram matrix, and the sum of each input's magnitude `[d_in]`."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__(layer)
        self.magnitude = torch.zeros(layer.in_features, dtype=torch.float64, device=layer.weight.device)

    def add(self, inputs: Tensor) -> None:
        """Take in the inputs `[..., d_in]` of one batch."""
        super().add(inputs)
        self.magnitude += inputs.flatten(0, -2).float().abs().sum(0)
