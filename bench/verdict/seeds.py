"""Intervals over seeds: means, contrasts of means, and ratios of spread."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from bench.verdict.documents import LEVEL, Array, Interval


def contrast(groups: Sequence[Array], weights: Sequence[float], *, level: float = LEVEL) -> Interval:
    """The weighted sum of the groups' means, each group `[seeds]`: Student's t with Welch's degrees of freedom.

    With the weights 1 and -1 it is Welch's interval of a difference.

    Raises:
        ValueError: a group of fewer than two seeds, other numbers of groups and weights, or a value that is not finite.
    """
    if len(groups) != len(weights):
        raise ValueError(f"{len(groups)} groups and {len(weights)} weights; give one weight a group")
    _check(groups)
    value = sum(weight * float(np.mean(group)) for group, weight in zip(groups, weights, strict=True))
    parts = [
        weight**2 * float(np.var(group, ddof=1)) / len(group) for group, weight in zip(groups, weights, strict=True)
    ]
    return _welch(value, parts, [len(group) - 1 for group in groups], level)


def difference(first: Array, second: Array, *, level: float = LEVEL) -> Interval:
    """The mean of the first minus the mean of the second, each `[seeds]`."""
    return contrast([first, second], [1, -1], level=level)


def share_lost(whole: Array, part: Array, *, floor: float, level: float = LEVEL) -> Interval:
    """Share of the first's mean over chance that the second has lost, each `[seeds]`; errors to first order.

    Args:
        whole: accuracies of what nothing was taken from.
        part: accuracies of what something was taken from.
        floor: accuracy by chance, which has no error.
        level: of the two-sided interval.

    Raises:
        ValueError: the first's mean is not above chance; else as of `contrast`.
    """
    above = float(np.mean(whole)) - floor
    if not above > 0:
        raise ValueError(f"a mean of {above + floor:.1f} is not above chance, {floor:.1f}; there is nothing to lose")
    share = float(np.mean(whole) - np.mean(part)) / above
    # The derivative by the first mean is (1 - share) / above, by the second -1 / above.
    error = contrast([whole, part], [(1 - share) / above, -1 / above], level=level)
    return error.map(lambda bound: bound - error.value + share)


def deviation_ratio(first: Array, second: Array, *, level: float = LEVEL) -> Interval:
    """The standard deviation over seeds of the first over that of the second, each `[seeds]`.

    Miller's jackknife of the logarithm of the variance (1968), which holds its level where values are not normal, as
    the F interval does not.

    Raises:
        ValueError: a group of fewer than three seeds, a value that is not finite, or a group without spread.
    """
    _check([first, second], fewest=3)
    estimates = [_log_variance(np.asarray(group, dtype=np.float64)) for group in (first, second)]
    value = estimates[0][0] - estimates[1][0]
    interval = _welch(value, [error for _, error in estimates], [len(first) - 1, len(second) - 1], level)
    return interval.map(lambda log_variance: math.exp(log_variance / 2))


def _log_variance(values: Array) -> tuple[float, float]:
    """The jackknife's estimate of ln(variance), and the square of its error."""
    n = len(values)
    left_out = np.array([np.var(np.delete(values, i), ddof=1) for i in range(n)])
    whole = np.var(values, ddof=1)
    if not (whole > 0 and (left_out > 0).all()):
        raise ValueError(f"values {values.tolist()} have no spread without one of them; their ratio says nothing")
    pseudo = n * np.log(whole) - (n - 1) * np.log(left_out)
    return float(pseudo.mean()), float(pseudo.var(ddof=1) / n)


def low_outliers(groups: Sequence[Array], *, level: float = LEVEL) -> tuple[Interval, int] | None:
    """The share of outliers that lie below, with its exact binomial interval, and how many there are; None for none.

    An outlier is further from its group's quartiles than one and a half times their distance (Tukey 1977).
    """
    low = high = 0
    for group in groups:
        first, third = np.quantile(group, [0.25, 0.75])
        reach = 1.5 * (third - first)
        low += int((group < first - reach).sum())
        high += int((group > third + reach).sum())
    if not low + high:
        return None
    share = stats.binomtest(low, low + high)
    bounds = share.proportion_ci(level)
    return Interval(float(share.statistic), float(bounds.low), float(bounds.high)), low + high


def far_out(values: Array) -> int:
    """Number of values further above the third quartile than thrice the quartiles' distance, or not finite.

    Tukey (1977) calls them far out; of 40 normal values one does in one case of 20,000.
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return len(values)
    first, third = np.quantile(finite, [0.25, 0.75])
    return int((finite > third + 3 * (third - first)).sum()) + len(values) - len(finite)


def _check(groups: Sequence[Array], fewest: int = 2) -> None:
    for group in groups:
        if np.ndim(group) != 1 or len(group) < fewest:
            raise ValueError(f"{np.shape(group)} is no group of at least {fewest} seeds")
        if not np.isfinite(group).all():
            raise ValueError(
                f"a seed's result is not finite in {np.asarray(group).tolist()}; score its last good weights"
            )


def _welch(value: float, squared_errors: Sequence[float], degrees: Sequence[int], level: float) -> Interval:
    total = sum(squared_errors)
    if total == 0:
        return Interval(value, value, value)
    freedom = total**2 / sum(error**2 / count for error, count in zip(squared_errors, degrees, strict=True))
    half = float(stats.t.ppf((1 + level) / 2, df=freedom)) * math.sqrt(total)
    return Interval(value, value - half, value + half)
