"""Compression of a weight one input column at a time, each column's error made up for by those that follow.

The solver that GPTQ (Frantar et al. 2023, alg. 1) and SparseGPT (Frantar & Alistarh 2023, alg. 1) share: with U the
upper Cholesky factor of the inverse Hessian, what column i loses is spread over the columns after it by row i of U.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

BLOCK = 128
"""Number of columns whose updates of those after the block are made together."""
INNER = 32
"""Number of columns of the inner blocks, few enough that they stay in the cache."""


class ColumnRule(Protocol):
    """Decision of what becomes of the columns."""

    def begin(self, columns: Tensor, start: int, end: int) -> None:
        """Prepares for the columns from `start` to `end`, given all columns `[d_in, d_out]` as they are now."""
        ...

    def run(self, columns: Tensor, first: int, spread: Tensor, lost: Tensor) -> None:
        """Compresses the columns from `first` on in place, as many as `lost` has rows.

        The loss of the i-th of them is written into `lost[i]`, and `spread[i, j]` of it is taken from each later j-th.
        """
        ...


def one_by_one(columns: Tensor, first: int, spread: Tensor, lost: Tensor, values: Callable[[int], Tensor]) -> None:
    """Runs a `ColumnRule` that gives one column's values `[d_out]` at a time, by the column's number."""
    own = columns[first : first + len(lost)]
    for index in range(len(own)):
        kept = values(first + index)
        torch.sub(own[index], kept, out=lost[index])
        own[index] = kept
        own[index + 1 :].addr_(spread[index, index + 1 :], lost[index], alpha=-1)


def compensated(
    weight: Tensor, factor: Tensor, rule: ColumnRule, *, block: int = BLOCK, inner: int | None = None
) -> Tensor:
    """Weight `[d_out, d_in]` with every column as `rule` leaves it.

    Args:
        weight: `[d_out, d_in]`.
        factor: upper factor of `compress.pruning.factor.inverse_factor`, `[d_in, d_in]`.
        rule: called run by run, from the first.
        block: how many columns are done before those after them are updated; changes the time and not the result.
        inner: the same within a block. Where a rule looks ahead, from a column to others of its block, it must be the
            first of an inner block. By default blocks have no inner ones.
    """
    columns = weight.T.clone(memory_format=torch.contiguous_format)
    spread = (factor / factor.diagonal()[:, None]).to(columns.dtype)
    for start in range(0, len(columns), block):
        end = min(start + block, len(columns))
        rule.begin(columns, start, end)
        lost = torch.empty_like(columns[start:end])
        for first in range(start, end, inner or block):
            last = min(first + (inner or block), end)
            own = lost[first - start : last - start]
            rule.run(columns, first, spread[first:last, first:last], own)
            if last < end:
                columns[last:end].addmm_(spread[first:last, last:end].T, own, alpha=-1)
        if end < len(columns):
            columns[end:].addmm_(spread[start:end, end:].T, lost, alpha=-1)
    return columns.T.contiguous()
