"""Wanda (Sun et al. 2023): a weight's importance is its magnitude times the norm of its input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from compress.layers import SimulatedLinear, pruned
from compress.method import Method
from compress.pruning.patterns import check_pattern, index_bits, smallest_n_of_m
from compress.selection import check_fraction, removed_count, smallest
from compress.statistics import SquaredInputs, Statistic


def wanda_scores(weight: Tensor, squared_inputs: Tensor) -> Tensor:
    """Importance `|W_ij| * ||X_j||_2` in float32 (Sun et al. 2023, eq. 1).

    Args:
        weight: `[d_out, d_in]`.
        squared_inputs: `[d_in]`, sum or mean over tokens of each input's square; a common factor changes no
            comparison inside a row.

    Returns:
        `[d_out, d_in]`.
    """
    return weight.float().abs() * squared_inputs.float().sqrt()


@dataclass(frozen=True)
class WandaPruning(Method):
    """Pruning of the weights of each output with the smallest `|weight| * norm of its input` (Sun et al. 2023).

    With `n_of_m=(2, 4)` two of every four neighbouring inputs stay, and `sparsity` must say so (0.5).
    """

    sparsity: float
    n_of_m: tuple[int, int] | None = None
    statistic: ClassVar[type[Statistic] | None] = SquaredInputs

    def __post_init__(self) -> None:
        check_fraction("sparsity", self.sparsity)
        check_pattern(self.n_of_m, self.sparsity)

    def __str__(self) -> str:
        pattern = "" if self.n_of_m is None else f"-{self.n_of_m[0]}of{self.n_of_m[1]}"
        return f"wanda-{self.sparsity:g}{pattern}"

    def __call__(self, layer: nn.Linear, statistic: Statistic | None, *, name: str = "") -> SimulatedLinear:
        """Layer with `round(sparsity * d_in)` weights of every row gone, or all but n of every m."""
        squared = self.measured(SquaredInputs, statistic, name)
        scores = wanda_scores(layer.weight.detach(), squared.mean)
        if self.n_of_m is None:
            return pruned(layer, smallest(scores, removed_count(self.sparsity, scores.shape[1])))
        n, m = self.n_of_m
        return pruned(layer, smallest_n_of_m(scores, m - n, m), index_bits=index_bits(self.n_of_m))
