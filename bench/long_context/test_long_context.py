"""Wang, Wang & Li: Evaluating Zero-Shot Long-Context LLM Compression. Claims LC1–LC8.

KL is D(compressed‖dense) in nats a token, on the same target tokens under left contexts of growing length.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from bench.fixtures import Conclude
from bench.long_context.lab import LongContext, Measured
from bench.long_context.theory import exponent
from bench.parameters import parameters
from bench.verdict.documents import (
    Array,
    Interval,
    cluster_interval,
    growth,
    growth_ratio,
    level_ratio,
    relative_variance_ratio,
    variance_ratio,
)
from bench.verdict.regions import GROWS, GROWS_CLEARLY, LINEAR, UNCHANGED, Region, Verdict, judge
from bench.verdict.rows import Row
from compress.method import Method
from compress.pruning.magnitude import MagnitudePruning
from compress.pruning.random import RandomPruning
from compress.pruning.wanda import WandaPruning
from compress.quantization.mixed_precision import Keep, Protection
from compress.quantization.rounding import RoundToNearest

pytestmark = [
    pytest.mark.leads,
    pytest.mark.cost(fixture="long_context", embedded=(4, 53, 630), gpu=(3, 20, 30)),
    pytest.mark.cost(of=WandaPruning, embedded=(4, 66, 560), gpu=(1, 9, 14)),
    pytest.mark.cost(of=Method, embedded=(3, 42, 500), gpu=(1, 8, 12)),
]
"""Costs by tokens read; the instrument's own are the dense states, the noise floor and forgetting."""
GROWTH = "KL at the longest context over KL at the shortest"
BAND = "equivalence: within a quarter in either direction"
MORE_AT_ALL = "the paper says that it grows, and not by how much"
LEAVES_BAND = "very clear growth leaves the equivalence band"


def grown(measured: Measured, resamples: int) -> Interval:
    """Growth of a variant's KL from the shortest context to the longest."""
    return growth(measured.kl, resamples=resamples)


def growing(of: str, method: Method, accept: Region, because: str, *, ending: str = "", control: bool = False) -> Row:
    """Row on the growth of one variant."""
    name = f"{of.rstrip('abcd')}-{method}{ending}"
    return Row(name, of, GROWTH, accept, because, (method,), grown, control)


FLAT = [
    growing(of, family(sparsity), UNCHANGED, BAND)
    for of, family in (("LC1a", MagnitudePruning), ("LC1b", WandaPruning))
    for sparsity in (0.1, 0.3, 0.5)
]
WEIGHTS = [
    growing("LC3a", RoundToNearest(8), UNCHANGED, BAND),
    growing("LC3b", RoundToNearest(4), GROWS, MORE_AT_ALL),
    growing("LC3c", RoundToNearest(3), GROWS_CLEARLY, LEAVES_BAND),
]
WITH_ACTIVATIONS = [
    growing("LC4a", RoundToNearest(8, activation_bits=8), UNCHANGED, BAND),
    growing("LC4b", RoundToNearest(4, activation_bits=8), GROWS, MORE_AT_ALL),
    growing("LC4b", RoundToNearest(4, activation_bits=4), GROWS, MORE_AT_ALL),
    growing("LC4c", RoundToNearest(3, activation_bits=8), GROWS_CLEARLY, LEAVES_BAND),
]
RANDOM = RandomPruning(0.1)
OTHERS = [
    growing("LC6a", RANDOM, GROWS, MORE_AT_ALL, ending="-growth"),
    growing("LC8a", MagnitudePruning(0.01, largest=True), GROWS, "§4.3 turned round", control=True),
]


@pytest.mark.parametrize("row", parameters(*FLAT, *WEIGHTS, *WITH_ACTIVATIONS, *OTHERS))
def test_growth_of_divergence(long_context: LongContext, conclude: Conclude, row: Row) -> None:
    """Fig. 1, 3, 4 and 5: KL grows with context, or stays what it is."""
    _settle(long_context, conclude, row)


def _settle(lab: LongContext, conclude: Conclude, row: Row, doubt: str = "") -> None:
    """Conclude a row whose statistic is a function of its contestants' curves."""
    if row.measure is None:
        raise ValueError(f"{row} declares no statistic")
    measured = [lab.measure(method) for method in row.contestants]  # pyright: ignore[reportArgumentType]
    interval = row.measure(*measured, lab.settings.resamples)
    first = measured[0]
    conclude(
        row,
        interval,
        lab,
        doubt=lab.doubt(*measured) or doubt,
        details=lab.described(first),
        method=first.method,
    )


def _of_two(statistic: object, first: Measured, second: Measured, resamples: int) -> Interval:
    return statistic(first.kl, second.kl, resamples=resamples)  # type: ignore[operator]


LC2 = [
    Row(
        f"LC2-{name}-{half}",
        of,
        f"{what} of KL over contexts at 50 % sparsity over that at 10 %",
        accept,
        because,
        (family(0.5), family(0.1)),
        partial(_of_two, statistic),
        control=half == "relative",
    )
    for name, family in (("magnitude", MagnitudePruning), ("wanda", WandaPruning))
    for half, of, what, statistic, accept, because in (
        ("variance", "LC2a", "variance", variance_ratio, GROWS, MORE_AT_ALL),
        ("level", "LC2b", "level", level_ratio, UNCHANGED, BAND),
        (
            "relative",
            "LC2a",
            "variance relative to the squared level",
            relative_variance_ratio,
            GROWS,
            "a variance rises with the square of its level; this is what is left without the level",
        ),
    )
]


@pytest.mark.parametrize("row", parameters(*LC2))
def test_pruning_ratio_affects_only_the_variance(long_context: LongContext, conclude: Conclude, row: Row) -> None:
    """Fig. 1: the pruning ratio affects the variance of KL over contexts and not its level."""
    _settle(long_context, conclude, row)


def _protected_growth(protected: Measured, _plain: Measured, resamples: int) -> Interval:
    return grown(protected, resamples)


LC5 = [
    row
    for bits in (3, 4)
    for contestants in [(RoundToNearest(bits, protect=Protection(0.02)), RoundToNearest(bits))]
    for row in (
        Row(f"LC5-{contestants[0]}-growth", "LC5a", GROWTH, UNCHANGED, BAND, contestants, _protected_growth),
        Row(
            f"LC5-{contestants[0]}-level",
            "LC5b",
            "mean KL with protected groups over mean KL without",
            UNCHANGED,
            BAND,
            contestants,
            partial(_of_two, level_ratio),
        ),
    )
]


@pytest.mark.parametrize("row", parameters(*LC5))
def test_protecting_two_percent_removes_the_growth(long_context: LongContext, conclude: Conclude, row: Row) -> None:
    """Fig. 2: with 2 % of groups at 8 bits the growth disappears and the level stays."""
    doubt = ""
    if row.part == "a":
        plain = long_context.measure(row.contestants[1])  # pyright: ignore[reportArgumentType]
        before = grown(plain, long_context.settings.resamples)
        if judge(before, GROWS) is not Verdict.REPRODUCED:
            doubt = f"without protection there is no growth to remove: {before}"
    _settle(long_context, conclude, row, doubt)


def bend(contexts: Array, means: Array) -> Array:
    """KL at the middle context over the straight line between the ends: `[..., contexts]` -> `[...]`."""
    middle = len(contexts) // 2
    share = (contexts[middle] - contexts[0]) / (contexts[-1] - contexts[0])
    return means[..., middle] / (means[..., 0] * (1 - share) + means[..., -1] * share)


def straightness(measured: Measured, resamples: int) -> Interval:
    """Bend of a variant's curve, over documents."""
    contexts = np.array(measured.contexts, dtype=float)
    return cluster_interval(measured.kl, partial(bend, contexts), resamples=resamples)


LINE = Row(
    f"LC6-{RANDOM}-linear",
    "LC6b",
    "KL at the middle context over the straight line between the shortest and the longest",
    Region(0.9, 1.1),
    "a tenth off a straight line is still almost linear",
    (RANDOM,),
    straightness,
)


@pytest.mark.parametrize("row", parameters(LINE))
def test_random_pruning_grows_linearly(long_context: LongContext, conclude: Conclude, row: Row) -> None:
    """Fig. 5: after random pruning of 10 % KL rises almost linearly."""
    if len(long_context.settings.contexts) < 3:
        pytest.skip("a line needs at least 3 contexts and this effort has 2; use --effort=normal")
    _settle(long_context, conclude, row)


LC7 = [
    Row(
        f"LC7-{attention}",
        "LC7a",
        "exponent e in: variance of the noise in h_t ∝ t^e",
        LINEAR,
        "linear growth is an exponent of 1",
        (attention,),
        control=attention == "summed",
    )
    for attention in ("summed", "diffuse", "peaked", "model")
]


@pytest.mark.cost(embedded=(3, 5, 60), gpu=(1, 2, 3))
@pytest.mark.parametrize("row", parameters(*LC7))
def test_noise_variance_grows_linearly(long_context: LongContext, conclude: Conclude, row: Row) -> None:
    """§4.1: with eq. 3–5 the variance of the noise sum grows linearly with t.

    `summed` is the control: weights of one, not a softmax; there the statement is true and must be seen to be.
    """
    (attention,) = row.contestants
    noise = long_context.noise(str(attention))
    positions, variances = noise["positions"], noise["variances"]
    resamples = long_context.settings.resamples
    interval = cluster_interval(variances, lambda means: exponent(positions, means), resamples=resamples)
    conclude(
        row,
        interval,
        long_context,
        decide="more documents (--effort=thorough)" if attention == "model" else "more simulated sequences",
        details={"positions": positions.tolist(), "variances": variances.mean(0).tolist()},
    )


LC8 = [
    Row(
        f"LC8-{other}",
        "LC8a",
        "growth of KL with these groups protected over growth with the largest protected",
        GROWS,
        "other groups than the largest should leave more growth",
        (other, RoundToNearest(3, protect=Protection(0.02))),
        partial(_of_two, growth_ratio),
    )
    for other in (RoundToNearest(3, protect=Protection(0.02, keep)) for keep in (Keep.RANDOM, Keep.SMALLEST))
]


@pytest.mark.parametrize("row", parameters(*LC8))
def test_only_the_largest_groups_carry_long_range(long_context: LongContext, conclude: Conclude, row: Row) -> None:
    """§4.3, with the comparison that the paper lacks: other groups protected."""
    _settle(long_context, conclude, row)
