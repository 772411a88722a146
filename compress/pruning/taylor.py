"""LLM-Pruner's importance (Ma et al. 2023, § 3.2): the change of the loss when a coupled group goes, by its gradients.

Without a group's weights w the loss changes by about `g·w - ½ wᵀHw`, with g its gradient on the calibration text. The
gradient does not vanish there, as the model was not trained on that text, so that the first-order term counts (eq. 3).
The Hessian is estimated by the diagonal of the Fisher information, the mean of squared gradients (eq. 5). The survey
describes the groups and that their effect on the loss is estimated with the Hessian (§ Pruning).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from torch import Tensor, nn

from compress.gradients import GradientSums
from compress.layers import CompressedModule
from compress.method import Method
from compress.pruning.structured import (
    Kept,
    StructuredPruning,
    _smaller,
    attention_layers,
    mlp_layers,
)
from compress.selection import check_fraction
from compress.statistics import Statistic


class Order(Enum):
    """Terms of the loss's expansion that count."""

    FIRST = "first"
    """`g w`."""
    SECOND = "second"
    """`g w - ½ h w²`. With h the mean square of the gradients of sequences' mean losses it hardly differs: on SmolLM2
    the second term changes a channel's importance by at most 0.04 % of their mean, and the same channels go. As the
    Fisher information of single tokens, some 500 times as large, it changes 18 %, and 1 to 4 of 384 channels."""


class Grain(Enum):
    """Unit whose change of the loss is taken without its sign, before a group's are summed."""

    ELEMENT = "element"
    """Each weight by itself (eq. 5)."""
    VECTOR = "vector"
    """A row or column as a whole, in which weights' changes may cancel (eq. 3)."""


def weight_changes(weight: Tensor, sums: GradientSums, order: Order) -> Tensor:
    """Change of the loss when a weight goes, to an order, `[d_out, d_in]` float32; its sign is kept.

    Args:
        weight: `[d_out, d_in]`.
        sums: of its gradients.
        order: first, or second with the Fisher information for the Hessian's diagonal.
    """
    weight = weight.float()
    first = sums.mean * weight
    return first if order is Order.FIRST else first - sums.fisher * weight.square() / 2


def vector_importance(changes: Tensor, axis: int, grain: Grain) -> Tensor:
    """Importance of each row (axis 1 is summed) or column (axis 0) of a weight, by the changes of its weights.

    Args:
        changes: `[d_out, d_in]`.
        axis: that is summed over.
        grain: where the sign is dropped.

    Returns:
        `[d_out]` or `[d_in]`, float32.
    """
    return changes.abs().sum(axis) if grain is Grain.ELEMENT else changes.sum(axis).abs()


@dataclass(frozen=True)
class TaylorPruning(Method):
    """Removal of the MLP channels, and of groups of heads if asked, whose loss changes least without them.

    As many of every block. It must be told gradients first: `informed`.
    """

    fraction: float
    order: Order = Order.FIRST
    grain: Grain = Grain.ELEMENT
    head_width: int | None = None

    def __post_init__(self) -> None:
        check_fraction("the fraction of channels", self.fraction)

    def __str__(self) -> str:
        heads = "" if self.head_width is None else "-heads"
        return f"llm-pruner-{self.fraction:g}-{self.order.value}-{self.grain.value}{heads}"

    def informed(self, sums: Mapping[str, GradientSums]) -> Method:
        """Method that knows the gradients of the layers, by their names in the model such as "3.mlp.up_proj"."""
        return _Informed(self.fraction, self.head_width, self, sums)

    def compress_block(
        self, layers: Mapping[str, nn.Linear], statistics: Mapping[str, Statistic], *, prefix: str = ""
    ) -> dict[str, CompressedModule]:
        """Nothing without gradients.

        Raises:
            ValueError: always.
        """
        raise ValueError(f"{self} needs gradients of a loss; apply what its informed(gradient_sums(...)) gives")


@dataclass(frozen=True)
class _Informed(StructuredPruning):
    """Structured pruning by importances from gradients, which are all here: nothing else is measured."""

    method: TaylorPruning | None = None
    sums: Mapping[str, GradientSums] | None = None
    statistic = None

    def __str__(self) -> str:
        return str(self.method)

    def compress_block(
        self, layers: Mapping[str, nn.Linear], statistics: Mapping[str, Statistic], *, prefix: str = ""
    ) -> dict[str, CompressedModule]:
        """Layers of a block, those of its MLP and attention with fewer outputs or inputs."""
        down, ups = mlp_layers(layers)
        importance = self._columns(layers, down, prefix) + sum(self._rows(layers, up, prefix) for up in ups)
        channels = self._stay(importance, 1)
        kept = {down: Kept(inputs=channels), **{up: Kept(outputs=channels) for up in ups}}
        if self.head_width is not None:
            kept |= self._heads(layers, lambda _out: self._of_heads(layers, prefix), self.head_width)
        return {name: _smaller(layer, kept.get(name, Kept())) for name, layer in layers.items()}

    def _of_heads(self, layers: Mapping[str, nn.Linear], prefix: str) -> Tensor:
        """Importance of each input of attention's output layer, with what is coupled to it."""
        into, out = attention_layers(layers)
        importance = self._columns(layers, out, prefix)
        if len(into) == 1:
            return importance + self._rows(layers, into[0], prefix).view(3, -1).sum(0)
        query, key, value = (self._rows(layers, name, prefix) for name in into)
        # Heads that share keys and values go together, and their sum is all that counts.
        shared = (key + value).view(-1, self.head_width or 1).sum(1)
        size = len(importance) // len(shared)
        return importance + query + (shared / size).repeat_interleave(size)

    def _rows(self, layers: Mapping[str, nn.Linear], name: str, prefix: str) -> Tensor:
        return self._vectors(layers[name], prefix + name, 1)

    def _columns(self, layers: Mapping[str, nn.Linear], name: str, prefix: str) -> Tensor:
        return self._vectors(layers[name], prefix + name, 0)

    def _vectors(self, layer: nn.Linear, name: str, axis: int) -> Tensor:
        method, sums = self.method, (self.sums or {}).get(name)
        if method is None or sums is None:
            raise ValueError(f"{self} has no gradients of {name}; give them to gradient_sums by that name")
        return vector_importance(weight_changes(layer.weight.detach(), sums, method.order), axis, method.grain)
