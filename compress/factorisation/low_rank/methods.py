"""Methods that put two thin matrices in the place of a linear layer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from torch import nn

from compress.factorisation.low_rank.decompose import Factors, input_weighted_svd, row_weighted_svd, truncated_svd
from compress.factorisation.low_rank.fisher import RowImportance
from compress.factorisation.low_rank.layer import LowRankLinear
from compress.factorisation.low_rank.rank import Rank
from compress.layers import CompressedModule, SimulatedLinear
from compress.method import Method
from compress.size import dense_storage
from compress.statistics import GramMatrix, Statistic


@dataclass(frozen=True)
class TruncatedSVD(Method):
    """Replacement of every weight by its leading singular triplets: the start of Noach & Goldberg (2020).

    Give the factors' share of the dense parameters, from which each layer's rank follows, or one rank for all layers.
    """

    share: float | None = None
    rank: int | None = None
    only: tuple[str, ...] = ()
    """Endings of the names of the layers that are factorised; all others stay as they are. Empty for all."""

    def __post_init__(self) -> None:
        Rank(self.share, self.rank)

    def __str__(self) -> str:
        return "-".join([f"svd-{Rank(self.share, self.rank)}", *(ending.removesuffix("_proj") for ending in self.only)])

    def factorises(self, name: str) -> bool:
        """True for the name of a layer that gets factors."""
        return not self.only or name.endswith(self.only)

    def across(self, layers: Mapping[str, nn.Linear]) -> Method:
        """Method itself, once it is known that it factorises something.

        Raises:
            ValueError: no layer has one of the endings.
        """
        if not any(map(self.factorises, layers)):
            raise ValueError(f"no layer's name ends in {' or '.join(self.only)}; there are {', '.join(layers)[:120]}")
        return self

    def rank_of(self, layer: nn.Linear, name: str) -> int:
        """Rank of a layer; the same for all that have its shape.

        Raises:
            ValueError: more than it has, or none that makes it smaller.
        """
        return Rank(self.share, self.rank).of(layer.out_features, layer.in_features, name)

    def __call__(self, layer: nn.Linear, statistic: Statistic | None = None, *, name: str = "") -> CompressedModule:
        """Layer of two factors, all of them trainable; or as it was, where it is none of those that are factorised."""
        if not self.factorises(name):
            weight = layer.weight.detach()
            return SimulatedLinear(weight, layer.bias, storage=dense_storage(weight))
        rank = self.rank_of(layer, name)
        return LowRankLinear(*self.factors(layer, rank, statistic, name), layer.bias)

    def factors(self, layer: nn.Linear, rank: int, statistic: Statistic | None, name: str) -> Factors:
        """Factors of a layer's weight."""
        return truncated_svd(layer.weight.detach(), rank)


@dataclass(frozen=True)
class FisherWeightedSVD(TruncatedSVD):
    """Truncated SVD in which rows count by their Fisher information (Hsu et al. 2022).

    The gradients are of the whole model, which no statistic of a layer's inputs gives: measure them first with
    `fisher_rows` and hand them over with `given`.
    """

    importance: RowImportance | None = field(default=None, repr=False, compare=False)
    """Measured, and no setting: it is not part of the method's name."""

    def __str__(self) -> str:
        return f"fisher-{super().__str__()}"

    def given(self, importance: RowImportance) -> FisherWeightedSVD:
        """Method with the measured importances of rows."""
        return replace(self, importance=importance)

    def factors(self, layer: nn.Linear, rank: int, statistic: Statistic | None, name: str) -> Factors:
        """Factors that are best where rows count by their importance.

        Raises:
            TypeError: no importances were given, or none of this layer.
        """
        if self.importance is None or name not in self.importance.rows:
            raise TypeError(
                f"{self} needs the squared gradients of {name or 'the layer'}; measure them with fisher_rows and hand "
                "them over with given"
            )
        return row_weighted_svd(layer.weight.detach(), self.importance.rows[name], rank)


@dataclass(frozen=True)
class ActivationAwareSVD(TruncatedSVD):
    """Truncated SVD of what a layer does to its calibration inputs; an extension of the survey."""

    damping: float = 0.01
    """Share of the Gram matrix's mean diagonal, added to its diagonal as GPTQ does (Frantar et al. 2023, §3.3)."""
    statistic: ClassVar[type[Statistic] | None] = GramMatrix
    resumable: ClassVar[bool] = False
    """A folder of kept blocks holds layers of one dense weight alone."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.damping < math.inf:
            raise ValueError(f"damping is {self.damping}; it must be at least 0 and finite")

    def __str__(self) -> str:
        return f"activation-{super().__str__()}"

    def factors(self, layer: nn.Linear, rank: int, statistic: Statistic | None, name: str) -> Factors:
        """Factors with the least change of the outputs, in the norm of the damped Gram matrix."""
        gram = self.measured(GramMatrix, statistic, name).sum
        try:
            return input_weighted_svd(layer.weight.detach(), gram, rank, damping=self.damping)
        except ValueError as error:
            raise ValueError(f"{name or 'the layer'}: {error}") from error
