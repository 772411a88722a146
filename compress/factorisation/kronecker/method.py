"""Methods that put a sum of Kronecker products in the place of a linear layer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

import torch
from torch import Tensor, nn

from compress.factorisation.kronecker.fit import fit_to_inputs, permuted_van_loan
from compress.factorisation.kronecker.linear import KroneckerLinear
from compress.factorisation.kronecker.sums import pruned_factors, van_loan
from compress.method import Method
from compress.statistics import GramMatrix, Statistic


class Start(Enum):
    """Source of the factors."""

    VAN_LOAN = "van-loan"
    PRUNED = "pruned"
    """Rows and columns of the weight, every p-th and q-th (Krony-PT, §3.8.3); one term only."""
    PERMUTED = "permuted"
    """Decomposition (Van Loan's) after rows and columns were moved to where they fit best (TQCompressor)."""


@dataclass(frozen=True)
class KroneckerFactorisation(Method):
    """Replacement of a weight by a sum of Kronecker products with second factors of one shape.

    `second` is the shape `(p, q)` for layers that widen (`d_out >= d_in`); layers that narrow have it transposed, as
    GPT-2's `c_proj` has that of `c_fc`. So `(2, 1)` is Krony-PT's 95M pattern and `(4, 1)` its 81M pattern.
    """

    second: tuple[int, int]
    terms: int = 1
    start: Start = Start.VAN_LOAN
    scalars: bool = False
    """Trained scalar for every term (Krony-PT, §4.6)."""
    scalar: float = 1.0
    """First value of every scalar; first factors are divided by it, so that the weight at the start is the same."""

    def __post_init__(self) -> None:
        if min(self.second) < 1 or self.terms < 1:
            raise ValueError(f"second factors of {self.second} in {self.terms} terms; all must be at least 1")
        if not (self.scalar > 0 and math.isfinite(self.scalar)):
            raise ValueError(f"scalars start at {self.scalar}; they must be above 0 and finite")
        if self.start is Start.PRUNED and self.terms != 1:
            raise ValueError(f"the pruning-based initialisation has one term, not {self.terms}; use Start.VAN_LOAN")

    def __str__(self) -> str:
        terms = "" if self.terms == 1 else f"-{self.terms}-terms"
        scalars = "" if not self.scalars else "-scalars" if self.scalar == 1 else f"-scalars-from-{self.scalar:g}"
        return f"kronecker-{self.second[0]}x{self.second[1]}{terms}-{self.start.value}{scalars}"

    def first(self, layer: nn.Linear) -> tuple[int, int]:
        """Shape of a layer's first factors.

        Raises:
            ValueError: the second factor's sides do not divide the weight's.
        """
        rows, columns = layer.weight.shape
        p, q = self.second if rows >= columns else self.second[::-1]
        if rows % p or columns % q:
            raise ValueError(f"second factors of {p} x {q} do not divide a weight of {rows} x {columns}")
        return rows // p, columns // q

    def __call__(self, layer: nn.Linear, statistic: Statistic | None = None, *, name: str = "") -> KroneckerLinear:
        """Layer with its factors, all of them trainable."""
        weight, first = layer.weight.detach(), self.first(layer)
        rows = columns = None
        if self.start is Start.PERMUTED:
            moved = permuted_van_loan(weight, first, self.terms)
            a, b = moved.first, moved.second
            rows, columns = moved.rows.to(weight.device), moved.columns.to(weight.device)
        elif self.start is Start.PRUNED:
            a, b = pruned_factors(weight, (weight.shape[0] // first[0], weight.shape[1] // first[1]))
        else:
            a, b = van_loan(weight, first, self.terms)
        scalars = None
        if self.scalars:
            a, scalars = a / self.scalar, weight.new_full((self.terms,), self.scalar)
        return KroneckerLinear(a, b, layer.bias, scalars=scalars, rows=rows, columns=columns)


@dataclass(frozen=True)
class KroneckerFitToInputs(KroneckerFactorisation):
    """Kronecker factors, improved by alternating least squares for the layer's outputs on calibration inputs."""

    sweeps: int = 10
    damping: float = 0.01
    """Share of the Gram matrix's mean diagonal, added to its diagonal as GPTQ does (Frantar et al. 2023, §3.3).

    Along directions that calibration hardly saw, the factors keep to the weight.
    """
    statistic: ClassVar[type[Statistic] | None] = GramMatrix

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.start is Start.PERMUTED:
            raise ValueError("a fit to inputs keeps their order; use Start.VAN_LOAN or Start.PRUNED")
        if not 0 <= self.damping < math.inf:
            raise ValueError(f"damping is {self.damping}; it must be at least 0 and finite")

    def __str__(self) -> str:
        return f"{super().__str__()}-fit"

    def __call__(self, layer: nn.Linear, statistic: Statistic | None = None, *, name: str = "") -> KroneckerLinear:
        """Layer with the fitted factors, in the norm of the damped Gram matrix never worse than those at the start."""
        measured = self.measured(GramMatrix, statistic, name)
        start = super().__call__(layer, name=name)
        factors = start.first.detach(), start.second.detach()
        gram = measured.sum.double().clone()
        gram.diagonal().add_(self.damping * gram.diagonal().mean())
        (a, b), _ = fit_to_inputs(layer.weight.detach(), gram, factors, sweeps=self.sweeps)
        return KroneckerLinear(a, b, layer.bias, scalars=start.scalars)


def trained_scalars(model: nn.Module) -> Tensor:
    """Scalars of all factorised layers in one `[scalars]`, on the CPU; empty where there are none."""
    layers = [module for module in model.modules() if isinstance(module, KroneckerLinear)]
    scalars = [layer.scalars.detach().cpu() for layer in layers if layer.scalars is not None]
    return torch.cat(scalars) if scalars else torch.empty(0)
