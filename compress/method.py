"""Interface of a compression method.

Methods are frozen dataclasses of settings alone. Their repr names them in full; `str` is their short name in test ids
and reports.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, TypeVar

from torch import nn

from compress.layers import CompressedModule
from compress.statistics import Statistic

Kind = TypeVar("Kind", bound=Statistic)


class Method:
    """Compression of linear layers, one at a time (`__call__`) or a block's together (`compress_block`)."""

    statistic: ClassVar[type[Statistic] | None] = None
    """Statistic of a layer's inputs that calibration measures; None for a method that looks at weights alone."""
    true_sequential: bool = False
    """Whether a layer is measured on what was made of those before it in its block, not in other blocks alone."""

    resumable: bool = True
    """Whether its layers can be kept aside, so that an interrupted run goes on at the block it had reached."""

    def measures(self) -> type[Statistic] | None:
        """Statistic with this method's own settings; by default `statistic` as it is."""
        return self.statistic

    def __call__(self, layer: nn.Linear, statistic: Statistic | None, *, name: str) -> CompressedModule:
        """Module that takes the place of `layer`, called `name` in the model.

        Raises:
            ValueError: the method decides for a block at once.
        """
        raise ValueError(f"{self} decides for a block at once; apply it to blocks, not to {name or 'one layer'}")

    def compress_block(
        self, layers: Mapping[str, nn.Linear], statistics: Mapping[str, Statistic], *, prefix: str = ""
    ) -> dict[str, CompressedModule]:
        """Modules that take the places of a block's layers; by default every layer is compressed by itself.

        Args:
            layers: the layers of the block by their names in it.
            statistics: of their inputs, by the same names; empty for a method without a statistic.
            prefix: goes before a layer's name in the block to give its name in the model, such as "3.".
        """
        return {name: self(layer, statistics.get(name), name=prefix + name) for name, layer in layers.items()}

    def across(self, layers: Mapping[str, nn.Linear]) -> Method:
        """Method to use after a look at the layers of all blocks, given by their names in the model."""
        return self

    def settings(self, block: nn.Module, layers: Mapping[str, nn.Module]) -> list[tuple[nn.Module, str, int]]:
        """Attributes that must change when `layers` take their places in `block`: modules, names and values."""
        return []

    def measured(self, kind: type[Kind], statistic: Statistic | None, name: str) -> Kind:
        """Checks that a layer's statistic is of the kind that the method needs, and gives it back as that.

        Raises:
            TypeError: nothing was measured, or something else.
        """
        if not isinstance(statistic, kind) or not statistic.tokens:
            raise TypeError(f"{self} needs {kind.title} of {name or 'the layer'}; calibrate first")
        return statistic
