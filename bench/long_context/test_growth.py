"""Wang, Wang & Li: Evaluating Zero-Shot Long-Context LLM Compression. Growth of KL with context: LC1, LC3, LC4, LC9.

KL is D(compressed‖dense) in nats a token, on the same target tokens under left contexts of growing length.
"""

from __future__ import annotations

import pytest

from bench.fixtures import Conclude
from bench.long_context.lab import LongContext
from bench.long_context.rows import (
    BAND,
    COSTS,
    LEAVES_BAND,
    MORE_AT_ALL,
    at_equal_level,
    groups_that_do_not_fit,
    growing,
    grown_more,
    out_of_reach,
    settle,
)
from bench.parameters import parameters
from bench.verdict.regions import FLAT, GROWS, GROWS_BEYOND_FLAT
from bench.verdict.rows import Row
from compress.pruning.magnitude import MagnitudePruning
from compress.pruning.wanda import WandaPruning
from compress.quantization.grouping import PerGroup
from compress.quantization.kv_cache import CacheQuantization
from compress.quantization.rounding import RoundToNearest

pytestmark = COSTS
SPARSITIES = (0.1, 0.3, 0.5)
PRUNED = {
    "magnitude": tuple(MagnitudePruning(sparsity) for sparsity in SPARSITIES),
    "wanda": tuple(WandaPruning(sparsity) for sparsity in (*SPARSITIES, 0.6)),
}
"""Pruning from hardly any KL to more than that of 3-bit weights."""
FLAT_ROWS = [
    growing(of, family(sparsity), FLAT, BAND)
    for of, family in (("LC1a", MagnitudePruning), ("LC1b", WandaPruning))
    for sparsity in SPARSITIES
]


def rounded(bits: int, acts: int | None = None, group: int = 128) -> RoundToNearest:
    """The paper's quantizer: weights by asymmetric groups of 128 (64 as a control), activations by token."""
    return RoundToNearest(bits, PerGroup(group), activation_bits=acts)


WEIGHTS = [
    growing("LC3a", rounded(8), FLAT, BAND),
    growing("LC3b", rounded(4), GROWS, MORE_AT_ALL),
    growing("LC3c", rounded(3), GROWS_BEYOND_FLAT, LEAVES_BAND),
    growing("LC3a", rounded(8, group=64), FLAT, BAND, control=True),
    growing("LC3b", rounded(4, group=64), GROWS, MORE_AT_ALL, control=True),
    growing("LC3c", rounded(3, group=64), GROWS_BEYOND_FLAT, LEAVES_BAND, control=True),
]
WITH_ACTIVATIONS = [
    growing("LC4a", rounded(8, 8), FLAT, BAND),
    growing("LC4b", rounded(4, 8), GROWS, MORE_AT_ALL),
    growing("LC4b", rounded(4, 4), GROWS, MORE_AT_ALL),
    growing("LC4c", rounded(3, 8), GROWS_BEYOND_FLAT, LEAVES_BAND),
]
CACHE = [
    *(growing("LC9a", CacheQuantization(bits), GROWS, MORE_AT_ALL) for bits in (4, 3, 2)),
    *(growing("LC9a", CacheQuantization(bits, 32), GROWS, MORE_AT_ALL) for bits in (4, 3, 2)),
    growing("LC9a", CacheQuantization(8), FLAT, "8 bits should do nothing", control=True),
]


@pytest.mark.parametrize("row", parameters(*FLAT_ROWS, *WEIGHTS, *WITH_ACTIVATIONS, *CACHE))
def test_growth_of_divergence(long_context: LongContext, conclude: Conclude, row: Row) -> None:
    """Fig. 1, 3 and 4, §3: KL grows with context, or stays what it is."""
    if long_context.session.store.write is not None and (reason := groups_that_do_not_fit(long_context, row)):
        pytest.skip(reason)
    settle(long_context, conclude, row)


MORE = [
    Row(
        f"{of.rstrip('c')}-{low}-over-{high}",
        of,
        "growth of KL per doubling of context over that at 8 bits",
        GROWS,
        MORE_AT_ALL,
        (low, high),
        grown_more,
    )
    for of, low, high in (("LC3c", rounded(3), rounded(8)), ("LC4c", rounded(3, 8), rounded(8, 8)))
]


@pytest.mark.parametrize("row", parameters(*MORE))
def test_three_bits_grow_more_than_eight(long_context: LongContext, conclude: Conclude, row: Row) -> None:
    """Fig. 3 and 4: at 3 bits KL grows and at 8 bits it does not."""
    settle(long_context, conclude, row)


EQUAL = [
    *(
        at_equal_level(of, method, name, others)
        for of, methods in (("LC3d", (rounded(4), rounded(3))), ("LC4d", (rounded(4, 8), rounded(3, 8))))
        for method in methods
        for name, others in PRUNED.items()
    ),
    *(
        at_equal_level("LC9a", CacheQuantization(bits), "weights", (rounded(8), rounded(4), rounded(3)), control=True)
        for bits in (4, 3)
    ),
]


@pytest.mark.parametrize("row", parameters(*EQUAL))
def test_quantization_grows_more_at_equal_divergence(long_context: LongContext, conclude: Conclude, row: Row) -> None:
    """The paper's contrast between pruning and quantization, without the difference of their levels."""
    settle(long_context, conclude, row, unfit=out_of_reach)
