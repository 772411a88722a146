"""Optimal Brain Surgeon's step (Hassibi & Stork 1993, eq. 5), one weight of every row at a time, in float64.

With G the inverse Hessian, weight q that becomes v costs `(w_q - v)² / G_qq` of squared error, the other free weights
move by `-(w_q - v) / G_qq · G_:q` to make up for it, and G loses row and column q by Gaussian elimination,
`G - G_:q G_q: / G_qq` (Frantar & Alistarh 2022, lemma 1).

Rows take weights in different orders, so that each has a G of its own. It is held as `G - LᵀL`, one row of L a step: a
Cholesky factorisation of G whose pivots are the weights in the order in which they are taken. A step reads the k rows
of L that are there, where eliminating in place would read and write all of G: in all `d_in k² / 2` multiplications a
row of weights for k steps, and `8 k d_in` bytes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from compress.pruning.factor import Factor

ROWS = 16
"""Rows of a weight that are worked on together: at 576 inputs and 288 steps their factors take 21 MB, at most a
processor's cache."""
MOST_INPUTS = 1024
"""Inputs of the widest layer that is taken: time goes with their third power, and 1,536 take a minute or more."""


def check_inputs(d_in: int) -> None:
    """Raises ValueError for a layer of more inputs than exact elimination can take in reasonable time."""
    if d_in > MOST_INPUTS:
        raise ValueError(
            f"{d_in:,} inputs, and exact elimination takes at most {MOST_INPUTS:,}, as its time goes with their third "
            "power; choose narrower layers, or SparseGPT and GPTQ, which approximate it"
        )


def scaled_rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Rows over their largest magnitude in float64, so that no square of them overflows, and these magnitudes.

    Args:
        weight: `[d_out, d_in]`.

    Returns:
        `[d_out, d_in]`, and `[d_out, 1]` with 1 for rows of zeros.

    Raises:
        ValueError: a weight is NaN or infinite.
    """
    weight = weight.double()
    if not weight.isfinite().all():
        raise ValueError("a weight is NaN or infinite; repair the checkpoint before compressing")
    largest = weight.abs().amax(1, keepdim=True)
    largest = torch.where(largest == 0, 1, largest)
    return weight / largest, largest


def inverse_of(factor: Factor) -> Tensor:
    """Inverse Hessian of its upper factor, `[d_in, d_in]` float64."""
    upper = factor.upper.double()
    return upper.T @ upper


class Elimination:
    """Rows of weights as they are after some steps."""

    def __init__(self, weight: Tensor, inverse: Tensor, steps: int) -> None:
        """Start with all weights free.

        Args:
            weight: `[rows, d_in]` float64.
            inverse: inverse Hessian, `[d_in, d_in]` float64.
            steps: how many there will be.
        """
        rows, d_in = weight.shape
        self.weight = weight.clone()
        self.inverse = inverse
        self.diagonal = inverse.diagonal().expand(rows, d_in).clone()
        """Diagonal of each row's own G, `[rows, d_in]`; of no meaning where weights are taken."""
        self.free = torch.ones(rows, d_in, dtype=torch.bool, device=weight.device)
        self.error = torch.zeros(rows, dtype=torch.float64, device=weight.device)
        """Squared error so far, in units of the Hessian, `[rows]`."""
        self.factors = torch.empty(rows, steps, d_in, dtype=torch.float64, device=weight.device)
        self.taken = 0

    def take(self, chosen: Tensor, values: Tensor) -> None:
        """Sets one free weight of each row to a value; the free weights left move to make up for it.

        Args:
            chosen: their columns, `[rows, 1]`.
            values: `[rows, 1]`.

        Raises:
            ValueError: the Hessian is too close to singular for another step.
        """
        column = self._column(chosen)
        pivot = self.diagonal.gather(1, chosen)
        if not (pivot > 0).all():
            raise ValueError("the Hessian is too close to singular for exact elimination; raise the damping")
        lost = self.weight.gather(1, chosen) - values
        self.error += (lost.square() / pivot)[:, 0]
        self.weight.addcmul_(lost / pivot, column, value=-1)
        self.weight.scatter_(1, chosen, values)
        column /= pivot.sqrt()
        self.factors[:, self.taken] = column
        self.diagonal.addcmul_(column, column, value=-1)
        self.free.scatter_(1, chosen, False)
        self.taken += 1

    def _column(self, chosen: Tensor) -> Tensor:
        """Column of each row's own G, zero where weights are taken, `[rows, d_in]`."""
        column = self.inverse[chosen]
        if self.taken:
            before = self.factors[:, : self.taken]
            own = before.gather(2, chosen[:, None].expand(-1, self.taken, 1))
            column = torch.baddbmm(column, own.mT, before, alpha=-1)
        return column.squeeze(1).masked_fill_(~self.free, 0)
