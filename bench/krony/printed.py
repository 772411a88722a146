"""The numbers that Krony-PT prints, and the arithmetic that should give them."""

from __future__ import annotations

from dataclasses import dataclass

from compress.factorisation.kronecker.sums import FactorShapes
from models.gpt2 import GPT2_SMALL, GPT2Shape

MATRIX = (3072, 768)
"""A GPT-2 small MLP weight, `c_fc`; `c_proj` is its transpose."""


@dataclass(frozen=True)
class Factorisation:
    """A row of Table 1: one factorisation of every MLP weight."""

    first: tuple[int, int]
    parameters: int
    """Parameters of one factorised weight, as printed."""
    model_size: int
    """Parameters of the whole model, as printed."""
    name: str = ""


TABLE_1 = (
    Factorisation((64, 32), 3200, 67_893_504, "67M"),
    Factorisation((64, 48), 3840, 67_908_864),
    Factorisation((96, 32), 3840, 67_908_864),
    Factorisation((64, 64), 4672, 67_928_832),
    Factorisation((128, 32), 4672, 67_928_832),
    Factorisation((96, 48), 5120, 67_939_584),
    Factorisation((96, 64), 6528, 67_973_376),
    Factorisation((128, 48), 6528, 67_973_376),
    Factorisation((128, 64), 8480, 68_020_224),
    Factorisation((96, 96), 9472, 68_044_032),
    Factorisation((192, 48), 9472, 68_044_032),
    Factorisation((128, 96), 12_480, 68_116_224),
    Factorisation((192, 64), 12_480, 68_116_224),
    Factorisation((128, 128), 16_528, 68_213_376),
    Factorisation((256, 64), 16_528, 68_213_376, "MF1"),
    Factorisation((1024, 256), 262_153, 74_108_376, "MF2"),
    Factorisation((768, 384), 294_920, 74_894_784),
    Factorisation((1024, 384), 393_222, 77_254_032),
    Factorisation((768, 768), 589_828, 81_972_576, "81M"),
    Factorisation((1536, 384), 589_828, 81_972_576),
    Factorisation((1024, 768), 786_435, 86_691_144),
    Factorisation((1536, 768), 1_179_650, 96_128_304, "96M"),
    Factorisation((3072, 768), 2_359_297, 124_439_832, "GPT2"),
)
TABLE_2 = {(256, 64): ("68.2", "68.6", "69"), (1024, 256): ("74", "80", "86")}
"""Model sizes with 1, 2 and 3 terms, millions, as printed."""
FOUR_TERMS = (1024, 256)
FOUR_TERMS_TEXT = 92.2e6
"""§4.6 and Table 6 give 92.2M for four terms of these factors."""
SCALARS = 96
"""§4.6: four terms, two matrices a layer, twelve layers."""
DISTILGPT2 = 81_912_576
UNTIED_TEXT = 120e6
"""§5.1: "This difference in counting, makes their 81M models, a 120M in reality"."""

PERPLEXITY = {
    "GPT2": (29.16, 24.67, 45.28),
    "DistilGPT2": (44.53, 36.48, 76.00),
    "Krony-PT-81M": (41.98, 34.99, 64.92),
    "Krony-PT-95M, pruning": (41.80, 35.50, 61.34),
    "Krony-PT-95M, Van Loan": (41.81, 36.02, 59.95),
    "Krony-PT-92.2M, 4 terms, scalars": (38.15, 33.08, 61.04),
    "TQCompressedGPT2": (40.28, 32.25, 64.72),
    "KnGPT-2": (40.97, 32.81, 67.62),
}
"""Tables 3–6: WikiText-103, WikiText-2, LAMBADA. Table 3 does not say which of its two rows is which; the text around
it and the authors' records give 41.80/35.50/61.34 to pruning."""


def model_size(
    first: tuple[int, int], terms: int = 1, *, scalars: bool = False, tied: bool = True, shape: GPT2Shape = GPT2_SMALL
) -> int:
    """Parameters of a GPT-2 with every MLP weight a sum of Kronecker products.

    Args:
        first: rows and columns of the first factors of `c_fc`; `c_proj` has them transposed.
        terms: k.
        scalars: whether every term has one.
        tied: whether the output matrix is the token embedding.
        shape: of the dense model.
    """
    shapes = FactorShapes.cut((4 * shape.width, shape.width), first)
    shapes.check_terms(terms)
    return shape.parameters(tied=tied, mlp_matrix=terms * (shapes.parameters + scalars))
