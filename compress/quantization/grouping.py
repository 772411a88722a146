"""Groups of weights that share a scale: the whole tensor, a row, or a run of neighbouring inputs of a row."""

from __future__ import annotations

from dataclasses import dataclass

from einops import rearrange
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class PerTensor:
    """Group of the whole weight."""

    def cut(self, weight: Tensor) -> Tensor:
        """Groups `[1, 1, d_out * d_in]` of a weight `[d_out, d_in]`."""
        return rearrange(weight, "d_out d_in -> 1 1 (d_out d_in)")

    def join(self, groups: Tensor, d_in: int) -> Tensor:
        """Inverse of `cut`."""
        return rearrange(groups, "1 1 (d_out d_in) -> d_out d_in", d_in=d_in)

    def __str__(self) -> str:
        return "tensor"


@dataclass(frozen=True)
class PerRow:
    """Groups of one output each."""

    def cut(self, weight: Tensor) -> Tensor:
        """Groups `[d_out, 1, d_in]` of a weight `[d_out, d_in]`."""
        return rearrange(weight, "d_out d_in -> d_out 1 d_in")

    def join(self, groups: Tensor, d_in: int) -> Tensor:
        """Inverse of `cut`."""
        return rearrange(groups, "d_out 1 d_in -> d_out d_in")

    def __str__(self) -> str:
        return "row"


@dataclass(frozen=True)
class PerGroup:
    """Groups of `size` neighbouring inputs of one output; the last of a row may be shorter."""

    size: int

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"group size is {self.size}; it must be at least 1")

    def cut(self, weight: Tensor) -> Tensor:
        """Groups `[d_out, ceil(d_in / size), size]` of a weight `[d_out, d_in]`.

        A short last group is filled up with zeros, which change no range: all grids include 0.
        """
        missing = -weight.shape[1] % self.size
        return rearrange(functional.pad(weight, (0, missing)), "d_out (n g) -> d_out n g", g=self.size)

    def join(self, groups: Tensor, d_in: int) -> Tensor:
        """Inverse of `cut`: the filling is dropped."""
        return rearrange(groups, "d_out n g -> d_out (n g)")[:, :d_in].contiguous()

    def lengths(self, d_in: int) -> list[int]:
        """Numbers of weights that the groups of a row really hold."""
        return [min(self.size, d_in - start) for start in range(0, d_in, self.size)]

    def __str__(self) -> str:
        return f"g{self.size}"


Grouping = PerTensor | PerRow | PerGroup
