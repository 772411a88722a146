"""Wang, Wang & Li: Evaluating Zero-Shot Long-Context LLM Compression. Pruning's ratio and random masks: LC2, LC6."""

from __future__ import annotations

from functools import partial

import pytest

from bench.fixtures import Conclude
from bench.long_context.lab import LongContext
from bench.long_context.rows import (
    COSTS,
    GROWTH,
    MORE_AT_ALL,
    grown_more,
    grown_over_masks,
    line_over_logarithm,
    of_two,
    settle,
)
from bench.parameters import parameters
from bench.verdict.documents import level_ratio, relative_variance_ratio, variance_ratio
from bench.verdict.regions import FLAT, GROWS, UNCHANGED, Region
from bench.verdict.rows import Row
from compress.pruning.magnitude import MagnitudePruning
from compress.pruning.random import RandomPruning
from compress.pruning.wanda import WandaPruning

pytestmark = COSTS
LEVELS = "equivalence: within a quarter in either direction"
LC2 = [
    Row(
        f"LC2-{name}-{half}",
        of,
        f"{what} of KL over contexts at 50 % sparsity over that at 10 %",
        accept,
        because,
        (family(0.5), family(0.1)),
        measure,
        control=half in ("relative", "growth"),
    )
    for name, family in (("magnitude", MagnitudePruning), ("wanda", WandaPruning))
    for half, of, what, measure, accept, because in (
        ("variance", "LC2a", "variance", partial(of_two, variance_ratio), GROWS, MORE_AT_ALL),
        ("level", "LC2b", "level", partial(of_two, level_ratio), UNCHANGED, LEVELS),
        (
            "relative",
            "LC2a",
            "variance relative to the squared level",
            partial(of_two, relative_variance_ratio),
            GROWS,
            "a variance rises with the square of its level; this is what is left without the level",
        ),
        ("growth", "LC2a", "growth per doubling", grown_more, FLAT, "a ratio that affects the variance alone"),
    )
]


@pytest.mark.parametrize("row", parameters(*LC2))
def test_pruning_ratio_affects_only_the_variance(long_context: LongContext, conclude: Conclude, row: Row) -> None:
    """Fig. 1: the pruning ratio affects the variance of KL over contexts and not its level."""
    settle(long_context, conclude, row)


MASKS = 5
AT_NORMAL = 0.02
"""Fraction that normal effort measures: one that leaves a small model its language."""
MASKED = [
    Row(f"LC6-random-{fraction:g}-{name}", of, statistic, accept, because, _masks, measure)
    for fraction in (0.01, AT_NORMAL, 0.03, 0.05, 0.1)
    for _masks in [tuple(RandomPruning(fraction, seed) for seed in range(MASKS))]
    for name, of, statistic, accept, because, measure in (
        ("growth", "LC6a", GROWTH, GROWS, MORE_AT_ALL, grown_over_masks),
        (
            "linear",
            "LC6b",
            "squared residual of a line in context over that of a logarithm",
            Region(high=1.0),
            "of two laws with two parameters the linear one fits better",
            line_over_logarithm,
        ),
    )
]


@pytest.mark.parametrize("row", parameters(*MASKED))
def test_random_pruning_grows_linearly(long_context: LongContext, conclude: Conclude, row: Row) -> None:
    """Fig. 5: after random pruning of 10 % KL rises almost linearly. Over masks and documents."""
    settings = long_context.settings
    if len(settings.contexts) < 3:
        pytest.skip("a law of growth needs at least 3 contexts and this effort has 2; use --effort=normal")
    left_out = settings.effort != "thorough" and RandomPruning(AT_NORMAL) not in row.contestants
    if left_out and long_context.session.store.write is not None:
        pytest.skip("other fractions than 2 % are measured with --effort=thorough")
    settle(long_context, conclude, row)
