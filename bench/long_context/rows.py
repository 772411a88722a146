"""Rows of long context: statistics of variants' curves, costs, and the way from a row to its verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pytest

from bench.fixtures import Conclude
from bench.long_context.lab import LongContext
from bench.long_context.looks import first_look, look
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
from bench.verdict.needed import what_would_decide
from bench.verdict.regions import Region
from bench.verdict.rows import Row
from compress.method import Method
from compress.pruning.wanda import WandaPruning
from compress.quantization.kv_cache import CacheQuantization

COSTS = [
    pytest.mark.leads,
    pytest.mark.cost(fixture="long_context", embedded=(4, 60, 630), gpu=(3, 20, 30)),
    pytest.mark.cost(of=WandaPruning, embedded=(4, 72, 170), embedded_votes=(4, 72, 680), gpu=(1, 9, 14)),
    pytest.mark.cost(
        of=(Method, CacheQuantization), embedded=(3, 48, 125), embedded_votes=(3, 48, 500), gpu=(1, 8, 12)
    ),
]
"""By tokens read; the instrument's own are the dense states, the noise floor and forgetting. Thorough ones are of all
looks, for a control of the first; Wanda calibrates anew at each, as a variant is undone in between."""
GROWTH = "growth of KL per doubling of context"
BAND = "flat: over four doublings within a quarter in either direction"
MORE_AT_ALL = "the paper says that it grows, and not by how much"
LEAVES_BAND = "very clear growth leaves the band that counts as flat"
Reason = Callable[[LongContext, Row], str]
"""Reason why a row cannot be judged on the documents of a look; empty where it can."""


def grown(measured: Measured, *, resamples: int, level: float) -> Interval:
    """Growth of a variant's KL per doubling of context."""
    return growth_per_doubling(measured.kl, measured.contexts, resamples=resamples, level=level)


def grown_more(first: Measured, second: Measured, *, resamples: int, level: float) -> Interval:
    """Growth of the first variant's KL per doubling over the second's."""
    return growth_per_doubling_ratio(first.kl, second.kl, first.contexts, resamples=resamples, level=level)


def grown_more_at_equal_level(first: Measured, *others: Measured, resamples: int, level: float) -> Interval:
    """Growth of the first variant's KL per doubling over that of the others at its level."""
    curves = [other.kl for other in others]
    return growth_at_equal_level(first.kl, curves, first.contexts, resamples=resamples, level=level)


def grown_over_masks(*masks: Measured, resamples: int, level: float) -> Interval:
    """Growth of KL per doubling of context over documents and masks."""
    return _over_masks(masks, log_slope, resamples, level)


def line_over_logarithm(*masks: Measured, resamples: int, level: float) -> Interval:
    """Residual of a straight line in context over that of a logarithm, over documents and masks."""
    return _over_masks(masks, log_fit, resamples, level)


OVER_MASKS = (grown_over_masks, line_over_logarithm)
"""Statistics whose contestants are one variant under several masks."""


def _over_masks(runs: Sequence[Measured], statistic: Callable, resamples: int, level: float) -> Interval:
    curves = np.stack([run.kl for run in runs])
    own = partial(statistic, runs[0].contexts)
    return crossed_interval(curves, own, resamples=resamples, level=level).map(np.exp)


def of_two(
    statistic: Callable[..., Interval], first: Measured, second: Measured, *, resamples: int, level: float
) -> Interval:
    """Statistic of the curves of two variants."""
    return statistic(first.kl, second.kl, resamples=resamples, level=level)


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


def no_reason(_lab: LongContext, _row: Row) -> str:
    """No reason to doubt a row."""
    return ""


def settle(
    lab: LongContext, conclude: Conclude, row: Row, *, unfit: Reason = no_reason, doubtful: Reason = no_reason
) -> None:
    """Conclude a row whose statistic is a function of its contestants' curves, all on the same documents.

    Documents are added look by look until the row is decided; a control, or a row that cannot be judged, gets no second
    look.

    Args:
        lab: the instrument.
        conclude: as the fixture gives it.
        row: as declared.
        unfit: reason why its contestants cannot be compared, beside the instrument's own; asked at the first look.
        doubtful: reason why the result says nothing, asked at the last.
    """
    statistic = row.measure
    if statistic is None:
        raise ValueError(f"{row} declares no statistic")
    begun = first_look(lab)
    doubt = begun.doubt(*measured_of(begun, row)) or unfit(begun, row)
    once = row.control or bool(doubt)
    seen = look(lab, row.accept, lambda part, **how: statistic(*measured_of(part, row), **how), once=once)
    first, *others = measured_of(seen.lab, row)
    # Masks differ more than documents do, so more of them are what narrows an interval over both.
    units, of = (1 + len(others), "masks") if statistic in OVER_MASKS else (len(first.kl), "documents")
    conclude(
        row,
        seen.interval,
        seen.origin,
        doubt=doubt or doubtful(seen.lab, row),
        decide=what_would_decide(seen.interval, units, row.accept, of=of, level=seen.level),
        details=lab.described(first) | seen.details,
        method=first.method,
    )


def measured_of(lab: LongContext, row: Row) -> list[Measured]:
    """Measurements of a row's contestants."""
    return [lab.measure(method) for method in row.contestants]  # pyright: ignore[reportArgumentType]


def groups_that_do_not_fit(lab: LongContext, row: Row) -> str:
    """Reason why a cache cannot be quantized in the row's groups on this model; empty where it can, or needs none."""
    (method, *_) = row.contestants
    if not isinstance(method, CacheQuantization) or method.group is None:
        return ""
    config = lab.session.decoder.model.config
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    if width % method.group == 0:
        return ""
    return (
        f"the heads of {lab.session.decoder.name} have {width} features, which groups of {method.group} do not divide"
    )


def out_of_reach(lab: LongContext, row: Row) -> str:
    """Reason why a variant cannot be compared at equal level: its KL is below or above that of all the others."""
    first, *others = measured_of(lab, row)
    if brackets(first.kl, [other.kl for other in others]):
        return ""
    reached = ", ".join(f"{other.kl.mean():.2g}" for other in others)
    return f"no others have its KL: {first.kl.mean():.2g} lies outside {reached}; add a strength between"
