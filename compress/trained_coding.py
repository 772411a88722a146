"""Deep Compression with retraining: shared values that are trained before they are coded (Han et al. 2016, §3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from compress.coding import Coded, code, shared_values
from compress.grid import check_bits
from compress.layers import SimulatedLinear
from compress.method import Method
from compress.size import Storage, element_bits
from compress.statistics import Statistic


class SharedValues(nn.Module):
    """Parametrization of a weight as shared values and the number of each weight's value.

    A value's gradient is the sum of its members' gradients (§3.3, eq. 3). Weights that were zero stay zero.
    """

    places: Tensor

    def __init__(self, weight: Tensor, bits: int) -> None:
        """Cluster the weights that are not zero into `2^bits` values by k-means.

        Raises:
            ValueError: every weight is zero.
        """
        super().__init__()
        check_bits(bits)
        self.bits = bits
        kept = weight.detach() != 0
        if not kept.any():
            raise ValueError("every weight is zero; there is nothing to share")
        centres, chosen = shared_values(weight.detach()[kept], 2**bits)
        self.centres = nn.Parameter(centres)
        places = torch.zeros(weight.shape, dtype=torch.int64, device=weight.device)
        self.register_buffer("places", places.masked_scatter(kept, chosen + 1))

    def forward(self, _weight: Tensor) -> Tensor:
        """Weight `[d_out, d_in]` of shared values and zeros."""
        table = torch.cat([self.centres.new_zeros(1), self.centres])
        # The gradient of gather is one scatter_add, that of indexing a sort.
        return table.gather(0, self.places.flatten()).view(self.places.shape)

    def coded(self) -> Coded:
        """Streams of symbols, as `compress.coding.code` writes them, of these very values."""
        kept = self.places > 0
        streams = code(kept.float(), self.bits)
        values = streams.values.copy()
        values[values != 2**self.bits] = (self.places[kept] - 1).cpu().numpy()
        return replace(streams, centres=self.centres.detach().cpu().numpy(), values=values)


def share_values(layers: Mapping[str, nn.Linear], bits: int) -> None:
    """Let layers have `2^bits` values each, which alone are trained from now on; done in place.

    Args:
        layers: plain ones, with zeros where weights have gone.
        bits: of a value's number.

    Raises:
        ValueError: a layer whose weight something else stands for, or of zeros alone.
    """
    for name, layer in layers.items():
        if parametrize.is_parametrized(layer, "weight"):
            raise ValueError(f"the weight of {name} is held by a mask or a grid; make it plain first, with its zeros")
        parametrize.register_parametrization(layer, "weight", SharedValues(layer.weight, bits))
        layer.parametrizations.weight.original.requires_grad_(False)  # pyright: ignore


@dataclass(frozen=True)
class TrainedSharing(Method):
    """Layers with the shared values that training has left (`share_values`), and their size as Huffman codes."""

    bits: int

    def __post_init__(self) -> None:
        check_bits(self.bits)

    def __str__(self) -> str:
        return f"trained-sharing-{self.bits}bits"

    def __call__(self, layer: nn.Linear, statistic: Statistic | None = None, *, name: str = "") -> SimulatedLinear:
        """Layer with its shared values; its size is that of the coded streams.

        Raises:
            ValueError: the layer has no shared values of as many bits.
        """
        shared = layer.parametrizations.weight[0] if parametrize.is_parametrized(layer, "weight") else None  # pyright: ignore
        if not isinstance(shared, SharedValues) or shared.bits != self.bits:
            raise ValueError(
                f"{self} asks {name or 'a layer'} for shared values of {self.bits} bits; train it after share_values"
            )
        coded = shared.coded()
        weight = torch.from_numpy(coded.weight()).to(shared.centres)
        storage = Storage(weight.numel(), value_bits=coded.bits(), held_bits=weight.numel() * element_bits(weight))
        return SimulatedLinear(weight, layer.bias, storage=storage)
