"""Rows of long context: statistics of variants' curves, costs, and the way from a row to its verdict."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from bench.fixtures import Conclude
from bench.long_context.lab import LongContext
from bench.long_context.measured import CacheFormat, Measured
from bench.verdict.crossed import crossed_interval
from bench.verdict.documents import Interval
from bench.verdict.drift import (
    brackets,
    growth_at_equal_level,
    growth_per_doubling,
    growth_per_doubling_ratio,
    log_fit,
    log_slope,
)
from bench.verdict.regions import Region
from bench.verdict.rows import Row
from compress.method import Method
from compress.pruning.wanda import WandaPruning
from compress.quantization.kv_cache import CacheQuantization

COSTS = [
    pytest.mark.leads,
    pytest.mark.cost(fixture="long_context", embedded=(4, 60, 630), gpu=(3, 20, 30)),
    pytest.mark.cost(of=WandaPruning, embedded=(4, 72, 560), gpu=(1, 9, 14)),
    pytest.mark.cost(of=(Method, CacheQuantization), embedded=(3, 48, 500), gpu=(1, 8, 12)),
]
"""By tokens read; the instrument's own are the dense states, the noise floor and forgetting."""
GROWTH = "growth of KL per doubling of context"
BAND = "flat: over four doublings within a quarter in either direction"
MORE_AT_ALL = "the paper says that it grows, and not by how much"
LEAVES_BAND = "very clear growth leaves the band that counts as flat"


def grown(measured: Measured, resamples: int) -> Interval:
    """Growth of a variant's KL per doubling of context."""
    return growth_per_doubling(measured.kl, measured.contexts, resamples=resamples)


def grown_more(first: Measured, second: Measured, resamples: int) -> Interval:
    """Growth of the first variant's KL per doubling over the second's."""
    return growth_per_doubling_ratio(first.kl, second.kl, first.contexts, resamples=resamples)


def grown_more_at_equal_level(first: Measured, *rest: Measured | int) -> Interval:
    """Growth of the first variant's KL per doubling over that of the others at its level; the resamples come last."""
    *others, resamples = rest
    curves = [other.kl for other in others if isinstance(other, Measured)]
    return growth_at_equal_level(first.kl, curves, first.contexts, resamples=int(resamples))  # type: ignore[arg-type]


def grown_over_masks(*masks: Measured | int) -> Interval:
    """Growth of KL per doubling of context over documents and masks; the resamples come last."""
    *runs, resamples = masks
    return _over_masks(runs, log_slope, int(resamples))  # type: ignore[arg-type]


def line_over_logarithm(*masks: Measured | int) -> Interval:
    """Residual of a straight line in context over that of a logarithm, over documents and masks."""
    *runs, resamples = masks
    return _over_masks(runs, log_fit, int(resamples))  # type: ignore[arg-type]


def _over_masks(runs: list, statistic: Callable, resamples: int) -> Interval:
    curves = np.stack([run.kl for run in runs])
    own = partial(statistic, runs[0].contexts)
    return crossed_interval(curves, own, resamples=resamples).map(np.exp)


def of_two(statistic: Callable[..., Interval], first: Measured, second: Measured, resamples: int) -> Interval:
    """Statistic of the curves of two variants."""
    return statistic(first.kl, second.kl, resamples=resamples)


def growing(
    of: str, method: Method | CacheFormat, accept: Region, because: str, *, ending: str = "", control: bool = False
) -> Row:
    """Row on the growth of one variant."""
    return Row(f"{of.rstrip('abcd')}-{method}{ending}", of, GROWTH, accept, because, (method,), grown, control)


def at_equal_level(of: str, method: Method | CacheFormat, name: str, others: tuple, *, control: bool = False) -> Row:
    """Row on the growth of a variant over that of another kind with the same KL."""
    return Row(
        f"{of.rstrip('abcd')}-{method}-against-{name}",
        of,
        f"growth of KL per doubling of context over that of {name} with the same KL",
        Region(low=1.0),
        MORE_AT_ALL,
        (method, *others),
        grown_more_at_equal_level,
        control,
    )


def settle(lab: LongContext, conclude: Conclude, row: Row, doubt: str = "") -> None:
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


def out_of_reach(lab: LongContext, row: Row) -> str:
    """Reason why a variant cannot be compared at equal level: its KL is below or above that of all the others."""
    first, *others = (lab.measure(method) for method in row.contestants)  # pyright: ignore[reportArgumentType]
    if brackets(first.kl, [other.kl for other in others]):
        return ""
    reached = ", ".join(f"{other.kl.mean():.2g}" for other in others)
    return f"no others have its KL: {first.kl.mean():.2g} lies outside {reached}; add a strength between"
