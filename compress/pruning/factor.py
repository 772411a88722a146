"""Triangular factor of the inverse Hessian that compensation spreads errors by.

It is worked out in float32 where a residual shows that to be accurate enough, and in float64 where not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor

MOST_DAMPING = 1.0
"""Largest damping, as a share of the mean diagonal. A Hessian that needs more than this is not one."""
MOST_RESIDUAL = 2.0**-14
"""Largest `‖UᵀU H - I‖_F / √d_in` of a factor U that may stay in float32."""
PROBES = 8
"""Number of random vectors that measure the residual."""
SMALL = 512
"""Rows of a triangular matrix that is inverted as a whole."""


class Factor(NamedTuple):
    """Upper triangular U with UᵀU = H⁻¹, for a damped Hessian H whose diagonal has mean 1 before the damping."""

    upper: Tensor
    """`[d_in, d_in]`, in the precision that it was worked out in."""
    dead: Tensor
    """Inputs that were always zero, `[d_in]` bool."""
    damping: float
    """Damping that it took, at least the one asked for, as a share of the mean diagonal."""


def inverse_factor(gram: Tensor, damping: float, dtype: torch.dtype = torch.float64) -> Factor:
    """Upper Cholesky factor of the inverse of a damped Gram matrix.

    `damping` times the mean of the diagonal is added to the diagonal. Where the matrix is still not positive definite,
    ten times as much is, and so on up to the mean itself; the result tells how much it was.

    Weights of float32 can use no more than float32 of the factor, which is then tried first and kept if
    `factor_residual` is at most `MOST_RESIDUAL`. A residual below 1 also proves the damped matrix positive definite.

    Args:
        gram: `[d_in, d_in]`, Σ x xᵀ; a common factor changes nothing.
        damping: at least 0.
        dtype: of the weights that the factor is for.

    Raises:
        ValueError: NaN or infinity in the matrix, or no damping up to the limit makes it positive definite.
    """
    if not damping >= 0:
        raise ValueError(f"damping is {damping}; it must be at least 0")
    hessian = Hessian.of(gram)
    if dtype == torch.float32:
        upper, _ = hessian.factored(damping, torch.float32)
        if factor_residual(upper, hessian, damping) <= MOST_RESIDUAL:  # NaN is not
            return Factor(upper, hessian.dead, damping)
    if not gram.isfinite().all():
        raise ValueError("the Gram matrix of the inputs holds NaN or infinity; the calibration pass overflowed")
    used = damping
    while True:
        upper, failed = hessian.factored(used, torch.float64)
        if not failed and upper.isfinite().all():
            return Factor(upper, hessian.dead, used)
        if used >= MOST_DAMPING:
            raise ValueError(
                f"the Hessian is not positive definite even with damping {used:g}; "
                "calibrate with more tokens or raise the damping"
            )
        used = min(MOST_DAMPING, used * 10 if used else 1e-8)


@dataclass(frozen=True)
class Hessian:
    """Gram matrix over the mean of its diagonal, which no power of ten in the inputs takes out of float32's range."""

    gram: Tensor
    """`[d_in, d_in]` float64, as it came."""
    mean: Tensor
    """Mean of the diagonal, a scalar; 1 where all is zero."""
    dead: Tensor
    """Inputs that were always zero, `[d_in]` bool."""

    @classmethod
    def of(cls, gram: Tensor) -> Self:
        """Hessian of a Gram matrix; nothing is copied if that is float64."""
        gram = gram.double()
        diagonal = gram.diagonal()
        # A Gram matrix has no negative diagonal; with magnitudes a matrix that is none cannot turn into one here.
        mean = diagonal.abs().mean()
        return cls(gram, torch.where(mean == 0, 1, mean), diagonal == 0)

    def added(self, damping: float) -> Tensor:
        """Additions to the diagonal, `[d_in]`: damping, and 1 where nothing flows and any positive number will do."""
        return self.dead.double() + damping

    def times(self, vectors: Tensor, damping: float) -> Tensor:
        """Product of the damped matrix and vectors `[d_in, count]`, in float64."""
        return self.gram @ vectors / self.mean + self.added(damping)[:, None] * vectors

    def factored(self, damping: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Upper U with UᵀU the inverse of the damped matrix, worked out in `dtype`, and whether that failed.

        With H = R Rᵀ for an upper R, the inverse is R⁻ᵀ R⁻¹: one Cholesky factor, of the matrix turned round, and its
        inverse do, without forming the inverse of H.
        """
        turned = (self.gram / self.mean).to(dtype).flip(0, 1)
        turned.diagonal().add_(self.added(damping).to(dtype).flip(0))
        lower, failed = torch.linalg.cholesky_ex(turned)
        return inverse_of_upper(lower.flip(0, 1)), failed


def factor_residual(upper: Tensor, hessian: Hessian, damping: float) -> float:
    """Relative residual `‖UᵀU H - I‖_F / √d_in` of a factor, estimated with `PROBES` random vectors; NaN if it has any.

    To first order U is `(I + G) U₀` with U₀ exact and `‖G‖_F` at most the residual's norm over √2: G is the upper half
    of a symmetric matrix that is similar to the residual, and no matrix has more in its eigenvalues' squares than in
    its entries'. Probes with entries of ±1 give the square of that norm without bias, at 2 `PROBES` of the d_in
    products of a matrix and a vector that the residual takes (Hutchinson 1990).
    """
    generator = torch.Generator().manual_seed(0)
    signs = torch.randint(0, 2, (len(upper), PROBES), generator=generator)
    probes = (2.0 * signs - 1).double().to(upper.device)
    upper = upper.double()
    residual = upper.T @ (upper @ hessian.times(probes, damping)) - probes
    return float(residual.square().mean().sqrt())


def inverse_of_upper(upper: Tensor) -> Tensor:
    """Inverse of an upper triangular matrix.

    `[[A, B], [0, C]]` has the inverse `[[A⁻¹, -A⁻¹BC⁻¹], [0, C⁻¹]]`. Half after half takes a third of the operations
    of solving for the whole identity, of which most is zero.
    """
    size = len(upper)
    if size <= SMALL:
        identity = torch.eye(size, dtype=upper.dtype, device=upper.device)
        return torch.linalg.solve_triangular(upper, identity, upper=True)
    half = size // 2
    inverse = torch.zeros_like(upper)
    inverse[:half, :half] = inverse_of_upper(upper[:half, :half])
    inverse[half:, half:] = inverse_of_upper(upper[half:, half:])
    beside = torch.linalg.solve_triangular(upper[:half, :half], upper[:half, half:], upper=True)
    inverse[:half, half:] = torch.linalg.solve_triangular(upper[half:, half:], beside, upper=True, left=False).neg_()
    return inverse


def damping_note(asked: float, used: float) -> str:
    """Note of a layer where `inverse_factor` took more damping than was asked; else empty."""
    return f"damping raised from {asked:g} to {used:g}" if used > asked else ""
