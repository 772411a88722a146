"""Exact encodings of one weight: integer codes, kept values under a mask, shared values under Huffman codes, or as is.

Values, scales and shared values are written in 16 bits, as checkpoints have them; what is read back is what they say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from compress.coding import GAP_BITS
from compress.layers import WeightGrid
from compress.packing import huffman
from compress.packing.bits import pack, unpack

MOST_SHARED = 256
"""Values beyond which a weight shares none: those of 8 bits."""
GLANCE = 4096
"""Weights by which most that share no values are known at once."""


@dataclass(frozen=True)
class Packed:
    """One weight as a file holds it."""

    kind: str
    """Key of `DECODERS`."""
    numbers: Mapping[str, int]
    """What reading takes besides: shape, bits, lengths."""
    tensors: Mapping[str, Tensor]

    @property
    def bytes(self) -> int:
        """Bytes of its tensors."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.tensors.values())

    def weight(self) -> Tensor:
        """Weight that it stands for, in float32."""
        return DECODERS[self.kind](self)


def narrowed(values: Tensor) -> Tensor:
    """Values in 16 bits: as they are where they have no more, float16, or bfloat16 where they are beyond its range."""
    if not values.is_floating_point() or values.element_size() <= 2:
        return values
    half = values.half()
    return half if half.isfinite().all() else values.bfloat16()


def whole(weight: Tensor) -> Packed:
    """Weight in 16 bits a value."""
    return Packed("whole", {}, {"values": narrowed(weight).contiguous()})


def on_grid(weight: Tensor, grid: WeightGrid) -> Packed:
    """Weight `[d_out, d_in]` that lies on a grid, as codes of the grid's bits with scales and zero points."""
    d_out, d_in = weight.shape
    shift = 2 ** (grid.bits - 1) - 1 if grid.symmetric else 0
    scales, zeros = (_spread(part, grid.size, d_in) for part in (grid.scales, grid.zero_points + shift))
    codes = ((weight.float() / scales).round() + zeros).clamp(0, 2**grid.bits - 1)
    tensors = {"codes": _packed(codes, grid.bits), "scales": narrowed(grid.scales).contiguous()}
    if not grid.symmetric:
        tensors["zero_points"] = _packed(grid.zero_points, grid.bits)
    numbers = {"rows": d_out, "columns": d_in, "bits": grid.bits, "size": grid.size, "shift": shift}
    return Packed("codes", numbers, tensors)


def _from_codes(packed: Packed) -> Tensor:
    of, tensors = packed.numbers, packed.tensors
    rows, columns, bits, scales = of["rows"], of["columns"], of["bits"], tensors["scales"].float()
    codes = _unpacked(tensors["codes"], bits, rows * columns).view(rows, columns)
    zeros = torch.full_like(scales, of["shift"])
    if "zero_points" in tensors:
        zeros = _unpacked(tensors["zero_points"], bits, scales.numel()).view(scales.shape)
    return (codes - _spread(zeros, of["size"], columns)) * _spread(scales, of["size"], columns)


def _spread(groups: Tensor, size: int, columns: int) -> Tensor:
    """Value of each weight's group `[d_out, d_in]`; the last group of a row may be shorter."""
    return groups.float().repeat_interleave(size, dim=1)[:, :columns]


def masked(weight: Tensor) -> Packed:
    """Weight `[rows, columns]` as the values that are not zero, and a bit for each place."""
    kept = weight != 0
    tensors = {"values": narrowed(weight[kept]), "mask": _packed(kept, 1)}
    return Packed("mask", {"rows": weight.shape[0], "columns": weight.shape[1]}, tensors)


def _from_mask(packed: Packed) -> Tensor:
    rows, columns = packed.numbers["rows"], packed.numbers["columns"]
    weight = torch.zeros(rows * columns)
    weight[_unpacked(packed.tensors["mask"], 1, rows * columns).bool()] = packed.tensors["values"].float()
    return weight.view(rows, columns)


def shared(weight: Tensor) -> Packed | None:
    """Weight of at most 256 different values that are not zero, as Deep Compression writes it: values and gaps.

    None where it has more values, or only zeros.
    """
    flat = weight.detach().flatten().cpu()
    if len(flat[:GLANCE].unique()) > MOST_SHARED + 1:
        return None
    places = flat.nonzero().flatten()
    centres, values = flat[places].unique(return_inverse=True)
    if not 0 < len(centres) <= MOST_SHARED:
        return None
    numbers, gaps = _with_fillers(places.numpy(), values.numpy(), filler=len(centres))
    tensors, counts = {"centres": narrowed(centres)}, {"rows": weight.shape[0], "columns": weight.shape[1]}
    for name, stream, alphabet in (("values", numbers, len(centres) + 1), ("gaps", gaps, 2**GAP_BITS)):
        lengths = huffman.lengths_of(stream, alphabet)
        tensors[name] = torch.from_numpy(huffman.encode(stream, lengths))
        tensors[f"{name}_lengths"] = torch.from_numpy(lengths)
    return Packed("shared", counts | {"symbols": len(numbers)}, tensors)


def _with_fillers(places: huffman.Symbols, values: huffman.Symbols, *, filler: int) -> tuple[np.ndarray, np.ndarray]:
    """Streams of values and of zeros before each; a gap beyond 31 takes zeros in between (Han et al. 2016, §2)."""
    longest = 2**GAP_BITS
    gaps = np.diff(places, prepend=-1) - 1
    ends = np.cumsum(gaps // longest + 1) - 1
    numbers, zeros = np.full(ends[-1] + 1, filler), np.full(ends[-1] + 1, longest - 1)
    numbers[ends], zeros[ends] = values, gaps % longest
    return numbers, zeros


def _from_shared(packed: Packed) -> Tensor:
    of, tensors = packed.numbers, packed.tensors
    streams = [
        huffman.decode(tensors[name].numpy(), tensors[f"{name}_lengths"].numpy(), of["symbols"])
        for name in ("values", "gaps")
    ]
    weight = torch.zeros(of["rows"] * of["columns"])
    places = torch.from_numpy(np.cumsum(streams[1] + 1) - 1)
    weight[places] = torch.cat([tensors["centres"].float(), torch.zeros(1)])[torch.from_numpy(streams[0])]
    return weight.view(of["rows"], of["columns"])


def smallest(weight: Tensor, grid: WeightGrid | None = None) -> Packed:
    """Encoding of a weight with the fewest bytes; that of its grid, where it lies on one."""
    if grid is not None:
        return on_grid(weight, grid)
    if weight.ndim != 2:
        return whole(weight)
    tried = (whole(weight), masked(weight), shared(weight))
    return min((packed for packed in tried if packed is not None), key=lambda packed: packed.bytes)


def _packed(numbers: Tensor, bits: int) -> Tensor:
    return torch.from_numpy(pack(numbers.detach().cpu().to(torch.uint8).numpy(), bits))


def _unpacked(packed: Tensor, bits: int, count: int) -> Tensor:
    return torch.from_numpy(unpack(packed.numpy(), bits, count)).float()


DECODERS: Mapping[str, Callable[[Packed], Tensor]] = {
    "whole": lambda packed: packed.tensors["values"].float(),
    "codes": _from_codes,
    "mask": _from_mask,
    "shared": _from_shared,
}
