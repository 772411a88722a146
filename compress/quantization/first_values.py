"""A causal patch: the first position's value vectors computed by the dense weights, all else compressed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from compress.layers import CompressedModule
from compress.method import Method
from compress.size import Storage
from compress.statistics import Statistic

VALUE_PROJECTION = "v_proj"


class FirstValueDense(nn.Module):
    """Compressed value projection whose outputs at the first token of each sequence are the dense layer's."""

    def __init__(self, compressed: CompressedModule, dense: nn.Linear) -> None:
        super().__init__()
        self.compressed, self.dense = compressed, dense

    @property
    def storage(self) -> Storage:
        """Size of the compressed layer; the dense one is no part of a format, it answers a question."""
        return self.compressed.storage

    def sparsity(self) -> float:
        """Share of zeros in the compressed layer."""
        return self.compressed.sparsity()

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs `[batch, tokens, d_out]` of inputs `[batch, tokens, d_in]`."""
        outputs = self.compressed(inputs)  # type: ignore[operator]
        return torch.cat([self.dense(inputs[:, :1]).to(outputs.dtype), outputs[:, 1:]], dim=1)


@dataclass(frozen=True)
class FirstValuesDense(Method):
    """A method with the first position's values left dense, which shows what the attention sink's value vector costs.

    Raises:
        ValueError: the blocks have no layer called v_proj.
    """

    method: Method

    def __str__(self) -> str:
        return f"{self.method}-first-values-dense"

    @property
    def statistic(self) -> type[Statistic] | None:  # type: ignore[override]
        """Statistic of the method."""
        return self.method.statistic

    @property
    def true_sequential(self) -> bool:  # type: ignore[override]
        """Order of the method."""
        return self.method.true_sequential

    @property
    def resumable(self) -> bool:  # type: ignore[override]
        """False: layers of two weights are not kept."""
        return False

    def measures(self) -> type[Statistic] | None:
        """Statistic with the method's settings."""
        return self.method.measures()

    def across(self, layers: Mapping[str, nn.Linear]) -> Method:
        """Patch of what the method becomes after a look at all blocks."""
        if not any(name.endswith(VALUE_PROJECTION) for name in layers):
            raise ValueError(f"no layer is called {VALUE_PROJECTION}; the first position's values cannot be told apart")
        return FirstValuesDense(self.method.across(layers))

    def compress_block(
        self, layers: Mapping[str, nn.Linear], statistics: Mapping[str, Statistic], *, prefix: str = ""
    ) -> dict[str, CompressedModule]:
        """Modules of the method, value projections patched."""
        made = self.method.compress_block(layers, statistics, prefix=prefix)
        return {
            name: FirstValueDense(module, layers[name]) if name.endswith(VALUE_PROJECTION) else module
            for name, module in made.items()
        }
