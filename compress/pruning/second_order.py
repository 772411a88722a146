"""Second-order pruning: Optimal Brain Damage, Optimal Brain Surgeon, and exact Optimal Brain Compression.

The survey traces pruning back to LeCun et al. (1990) and GPTQ to Optimal Brain Compression (§ Quantization, § Pruning).
All three rank weights by how much the loss rises, to second order, when one of them goes. Here the loss is a layer's
squared output error, whose Hessian is twice the Gram matrix of the layer's inputs, for every row of the weight alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

import torch
from torch import Tensor, nn

from compress.layers import SimulatedLinear, pruned
from compress.method import Method
from compress.pruning.elimination import ROWS, Elimination, check_inputs, inverse_of, scaled_rows
from compress.pruning.factor import damping_note, inverse_factor
from compress.pruning.sparsegpt import Pruned
from compress.selection import check_fraction, removed_count, smallest
from compress.size import sparse_storage
from compress.statistics import GramMatrix, Statistic


def obd_saliency(weight: Tensor, hessian: Tensor) -> Tensor:
    """Rise of the loss when a weight goes and no other moves: `h_ii w_i² / 2` (LeCun et al. 1990, eq. 5).

    On the Gram matrix of a layer's inputs it orders the weights of a row as Wanda does, whose score is its root.

    Args:
        weight: `[d_out, d_in]`.
        hessian: `[d_in, d_in]`, or its diagonal `[d_in]`.

    Returns:
        `[d_out, d_in]` float64.
    """
    diagonal = hessian if hessian.ndim == 1 else hessian.diagonal()
    return diagonal.double() * weight.double().square() / 2


def obs_saliency(weight: Tensor, inverse: Tensor) -> Tensor:
    """Rise of the loss when a weight goes and all others make up for it: `w_q² / (2 [H⁻¹]_qq)` (Hassibi 1993, eq. 5).

    Args:
        weight: `[d_out, d_in]`.
        inverse: inverse Hessian, `[d_in, d_in]`.

    Returns:
        `[d_out, d_in]` float64.
    """
    return weight.double().square() / (2 * inverse.double().diagonal())


def compensation(weight: Tensor, inverse: Tensor, index: int) -> Tensor:
    """Changes `-w_q / [H⁻¹]_qq · H⁻¹ e_q` of all weights when weight q of every row goes (Hassibi 1993, eq. 5).

    Args:
        weight: `[d_out, d_in]`.
        inverse: inverse Hessian, `[d_in, d_in]`.
        index: q.

    Returns:
        `[d_out, d_in]` float64; weight q itself changes by `-w_q`.
    """
    inverse = inverse.double()
    return -torch.outer(weight[:, index].double(), inverse[index]) / inverse[index, index]


def refitted(weight: Tensor, mask: Tensor, hessian: Tensor) -> Tensor:
    """Weight whose kept entries make up best, in squared error, for those that went: least squares on the support.

    With K kept and P gone, the kept ones of a row become `w_K + H_KK⁻¹ H_KP w_P`.

    Args:
        weight: `[d_out, d_in]`.
        mask: True for what goes, `[d_out, d_in]`.
        hessian: positive definite, `[d_in, d_in]`; a common factor changes nothing.

    Returns:
        `[d_out, d_in]` float64.

    Raises:
        ValueError: the Hessian of a row's kept inputs is not positive definite.
    """
    hessian, fitted = hessian.double(), weight.double().masked_fill(mask, 0)
    for row, whole, gone in zip(fitted, weight.double(), mask, strict=True):
        if gone.any() and not gone.all():
            stays = ~gone
            factor, failed = torch.linalg.cholesky_ex(hessian[stays][:, stays])
            if failed:
                raise ValueError("the Hessian of the kept inputs is not positive definite; raise the damping")
            owed = hessian[stays][:, gone] @ whole[gone]
            row[stays] += torch.cholesky_solve(owed[:, None], factor)[:, 0]
    return fitted


def obc(weight: Tensor, gram: Tensor, *, sparsity: float, damping: float = 0.01, rows: int = ROWS) -> Pruned:
    """Prunes every row by itself: the free weight that costs least goes, the others make up for it, and again.

    That is Optimal Brain Compression (Frantar & Alistarh 2022, alg. 1), exact in what a step costs and greedy in their
    order. Weights of inputs that were always zero are set to zero, cost nothing and go first.

    Args:
        weight: `[d_out, d_in]`.
        gram: Σ x xᵀ of its inputs, `[d_in, d_in]`.
        sparsity: share of every row that goes, `round(sparsity * d_in)` weights.
        damping: of the mean diagonal, added to the Hessian's, raised where that is not positive definite.
        rows: worked on together; changes time and memory (`8 rows d_in² sparsity` bytes) and not the result.

    Raises:
        ValueError: too many inputs, NaN or infinity, or a Hessian that no damping makes positive definite.
    """
    check_inputs(weight.shape[1])
    factor = inverse_factor(gram, damping)
    inverse, count = inverse_of(factor), removed_count(sparsity, weight.shape[1])
    whole, largest = scaled_rows(weight.masked_fill(factor.dead, 0))
    kept, mask = torch.empty_like(whole), torch.empty_like(whole, dtype=torch.bool)
    for start in range(0, len(whole), rows):
        part = slice(start, start + rows)
        state = Elimination(whole[part], inverse, count)
        nothing = torch.zeros_like(state.error)[:, None]
        for _ in range(count):
            costs = state.weight.square().div_(state.diagonal).masked_fill_(~state.free, torch.inf)
            state.take(costs.argmin(1, keepdim=True), nothing)
        kept[part], mask[part] = state.weight, ~state.free
    return Pruned((kept * largest).to(weight.dtype), mask, factor.damping, factor.upper.dtype)


@dataclass(frozen=True)
class OBC(Method):
    """Exact Optimal Brain Compression of every row, for layers of at most `MOST_INPUTS` inputs.

    Beside the weight in float64 it holds `8 ROWS d_in² sparsity` bytes, 21 MB at 576 inputs and half the weights, where
    a row takes about 6 milliseconds.
    """

    sparsity: float
    damping: float = 0.01
    statistic: ClassVar[type[Statistic] | None] = GramMatrix

    def __post_init__(self) -> None:
        check_fraction("sparsity", self.sparsity)

    def __str__(self) -> str:
        return f"obc-{self.sparsity:g}"

    def __call__(self, layer: nn.Linear, statistic: Statistic | None, *, name: str = "") -> SimulatedLinear:
        """Layer with `round(sparsity * d_in)` weights of every row gone and the others moved."""
        gram = self.measured(GramMatrix, statistic, name)
        weight = layer.weight.detach()
        try:
            done = obc(weight, gram.sum, sparsity=self.sparsity, damping=self.damping)
        except ValueError as error:
            raise ValueError(f"{name or 'the layer'}: {error}") from error
        note = damping_note(self.damping, done.damping)
        return SimulatedLinear(done.weight, layer.bias, storage=sparse_storage(done.weight), note=note)


class Saliency(Enum):
    """Saliency by which weights are ranked before any of them moves."""

    DAMAGE = "obd"
    """Optimal Brain Damage's, by the diagonal of the Hessian alone."""
    SURGEON = "obs"
    """Optimal Brain Surgeon's, by the diagonal of its inverse."""


def ranked(weight: Tensor, gram: Tensor, saliency: Saliency, *, sparsity: float, damping: float = 0.01) -> Tensor:
    """Mask of the `round(sparsity * d_in)` weights of every row with the smallest saliency, `[d_out, d_in]` bool.

    Args:
        weight: `[d_out, d_in]`.
        gram: Σ x xᵀ of its inputs, `[d_in, d_in]`.
        saliency: which.
        sparsity: share of every row that goes.
        damping: see `inverse_factor`; Optimal Brain Damage inverts nothing and has none.

    Raises:
        ValueError: NaN or infinity in either, or a Hessian that no damping makes positive definite.
    """
    rows, _ = scaled_rows(weight)
    if saliency is Saliency.DAMAGE:
        if not gram.isfinite().all():
            raise ValueError("the Gram matrix of the inputs holds NaN or infinity; the calibration pass overflowed")
        # Over the mean, so that no product overflows.
        scores = obd_saliency(rows, gram.diagonal() / gram.diagonal().mean().clamp_min(torch.finfo(gram.dtype).tiny))
    else:
        factor = inverse_factor(gram, damping)
        scores = obs_saliency(rows.masked_fill(factor.dead, 0), inverse_of(factor))
    return smallest(scores, removed_count(sparsity, weight.shape[1]))


@dataclass(frozen=True)
class SaliencyPruning(Method):
    """Pruning of the weights of each output with the smallest second-order saliency; the kept ones do not move."""

    sparsity: float
    saliency: Saliency = Saliency.DAMAGE
    damping: float = 0.01
    statistic: ClassVar[type[Statistic] | None] = GramMatrix

    def __post_init__(self) -> None:
        check_fraction("sparsity", self.sparsity)

    def __str__(self) -> str:
        return f"{self.saliency.value}-{self.sparsity:g}"

    def __call__(self, layer: nn.Linear, statistic: Statistic | None, *, name: str = "") -> SimulatedLinear:
        """Layer with `round(sparsity * d_in)` weights of every row gone."""
        gram = self.measured(GramMatrix, statistic, name)
        try:
            mask = ranked(layer.weight.detach(), gram.sum, self.saliency, sparsity=self.sparsity, damping=self.damping)
        except ValueError as error:
            raise ValueError(f"{name or 'the layer'}: {error}") from error
        return pruned(layer, mask)
