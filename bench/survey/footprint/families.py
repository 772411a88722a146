"""Families of methods, each at six to ten sizes."""

from __future__ import annotations

from dataclasses import dataclass

from bench.survey.rows import GROUPS, recipe
from compress.coding import DeepCompression
from compress.factorisation.kronecker.method import KroneckerFactorisation
from compress.factorisation.low_rank.methods import ActivationAwareSVD, TruncatedSVD
from compress.factorisation.low_rank.sparse import LowRankPlusSparse
from compress.method import Method
from compress.pruning.magnitude import MagnitudePruning
from compress.pruning.sparsegpt import SparseGPT
from compress.pruning.structured import StructuredPruning
from compress.pruning.wanda import WandaPruning
from compress.quantization.awq import AWQ
from compress.quantization.rounding import RoundToNearest

WIDTHS = (2, 3, 4, 5, 6, 8)
SPARSITIES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
SHARES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Of the dense parameters."""


@dataclass(frozen=True)
class Family:
    """Methods of one kind that differ in how small they make a model."""

    name: str
    methods: tuple[Method, ...]
    quick: bool = False
    """Whether quick effort measures it, at its two ends."""


FAMILIES = (
    Family("rounding", tuple(RoundToNearest(bits, GROUPS) for bits in (2, 3, 4, 5, 6, 7, 8)), quick=True),
    Family("GPTQ", tuple(recipe(bits) for bits in WIDTHS)),
    Family("AWQ", tuple(AWQ(bits, GROUPS) for bits in WIDTHS)),
    Family("magnitude", tuple(MagnitudePruning(share) for share in SPARSITIES), quick=True),
    Family("Wanda", tuple(WandaPruning(share) for share in SPARSITIES)),
    Family("SparseGPT", tuple(SparseGPT(share) for share in SPARSITIES)),
    Family("structured", tuple(StructuredPruning(share) for share in (0.05, 0.1, 0.2, 0.3, 0.4, 0.5))),
    Family(
        "Deep Compression",
        tuple(
            DeepCompression(sparsity, bits)
            for sparsity, bits in ((0.5, 4), (0.3, 4), (0.3, 5), (0.1, 5), (0.0, 5), (0.1, 6), (0.0, 8))
        ),
    ),
    Family("SVD", tuple(TruncatedSVD(share) for share in SHARES)),
    Family("activation-aware SVD", tuple(ActivationAwareSVD(share) for share in SHARES)),
    Family("low rank and sparse", tuple(LowRankPlusSparse(share) for share in SHARES)),
    Family("Kronecker sums", tuple(KroneckerFactorisation((8, 8), terms) for terms in (8, 16, 24, 32, 40, 48))),
)


def families_at(effort: str) -> dict[str, tuple[Method, ...]]:
    """Methods by family: two families at their two ends at quick effort, else all."""
    if effort == "quick":
        return {family.name: (family.methods[0], family.methods[-1]) for family in FAMILIES if family.quick}
    return {family.name: family.methods for family in FAMILIES}
