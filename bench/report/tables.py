"""Numbers and tables as markdown has them."""

from __future__ import annotations

import math
from collections.abc import Iterable

from tabulate import tabulate

from bench.verdict.evidence import Result
from bench.verdict.regions import Region

LARGEST_WRITTEN_OUT = 1e5
SMALLEST_WRITTEN_OUT = 1e-3


def table(lines: Iterable[Iterable[object]], headers: list[str]) -> str:
    """Table of rows under headers, pipes escaped and numbers left as they are written."""
    escaped = [[str(cell).replace("|", "\\|") for cell in line] for line in lines]
    return tabulate(escaped, headers=headers, tablefmt="pipe", disable_numparse=True)


def measured(row: Result) -> str:
    """Estimate of a row with its interval, in the digits that the interval carries; an exact value is one number."""
    if row.value is None:
        return "–"
    if row.low == row.value == row.high:
        return exact(row.value)
    low, high = (-math.inf if row.low is None else row.low), (math.inf if row.high is None else row.high)
    return interval(row.value, low, high, avoid=(row.accept_low, row.accept_high))


def exact(value: float) -> str:
    """Number without an interval, to six digits; whole numbers are written out."""
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}".replace("-", "−")
    return _short(value).replace(".0e", "e") if abs(value) < 1e-4 else f"{value:.6g}".replace("-", "−")


def interval(value: float, low: float, high: float, avoid: Iterable[float | None] = ()) -> str:
    """Estimate and bounds in the digits that the interval carries; more where a bound would seem to touch an end.

    Args:
        value: the estimate.
        low: the lower bound; may be infinite.
        high: the upper bound; may be infinite.
        avoid: ends of the acceptance region, which no rounded bound may equal unless it does.
    """
    decimals = decimals_of(value, low, high)
    ends = [end for end in avoid if end is not None]
    for _ in range(3):
        if not any(_seems(bound, end, decimals) for bound in (low, high) for end in ends):
            break
        decimals += 1
    return "{} [{}, {}]".format(*_texts((value, low, high), decimals))


def decimals_of(value: float, low: float, high: float) -> int:
    """Decimals that an interval carries: those of the half-width's first digit, and of its second after a 1 or a 2.

    A half-width of 0.03 has two. Negative where hundreds are the last digit that counts.
    """
    halves = [half for half in (value - low, high - value) if 0 < half < math.inf]
    if not halves:
        return 3
    place = math.floor(math.log10(min(halves)))
    more = min(halves) < 3 * 10**place
    return max(more - place, 0) if place < 2 else 1 - place


def _seems(bound: float, end: float, decimals: int) -> bool:
    return math.isfinite(bound) and bound != end and round(bound, decimals) == round(end, decimals)


def _texts(numbers: tuple[float, ...], decimals: int) -> list[str]:
    """The numbers alike; with two digits and a power of ten where all are too small to write out, or one too large."""
    tiny = max(abs(x) for x in numbers if math.isfinite(x)) < SMALLEST_WRITTEN_OUT
    if tiny:
        decimals = 0  # of a zero
    return [_short(x) if (tiny and x) or abs(x) >= LARGEST_WRITTEN_OUT else _fixed(x, decimals) for x in numbers]


def _short(number: float) -> str:
    if math.isinf(number):
        return "∞" if number > 0 else "−∞"
    digits, power = f"{number:.1e}".split("e")
    return f"{digits}e{int(power)}".replace("-", "−", number < 0)


def _fixed(number: float, decimals: int) -> str:
    rounded = round(number, decimals) + 0.0  # no minus before a zero
    return f"{rounded:,.{max(decimals, 0)}f}".replace("-", "−")


def region_of(row: Result) -> Region | None:
    """Acceptance region of a row; None where none is on record."""
    if row.accept_low is None and row.accept_high is None:
        return None
    low = -math.inf if row.accept_low is None else row.accept_low
    return Region(low, math.inf if row.accept_high is None else row.accept_high)


def accepted(row: Result) -> str:
    """Region in words."""
    region = region_of(row)
    if region is None:
        return "–"
    low, high = exact(region.low) if math.isfinite(region.low) else "", ""
    high = exact(region.high) if math.isfinite(region.high) else ""
    return f"{low} to {high}" if low and high else (f"≥ {low}" if low else f"≤ {high}")
