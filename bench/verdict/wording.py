"""Results in words: numbers with the digits that they carry, a line a row, and what a row that fails says."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable

from bench.verdict.claims import CHECKPOINT, CLAIMS, INSTRUMENTS
from bench.verdict.evidence import Result
from bench.verdict.regions import Verdict

QUALIFIED = {Verdict.REPRODUCED.value: "qualified", Verdict.NOT_REPRODUCED.value: "did not qualify"}
CLEARED = {
    Verdict.REPRODUCED.value: "cleared",
    Verdict.NOT_REPRODUCED.value: "not cleared",
    Verdict.INCONCLUSIVE.value: "undecided",
}
"""Words for a checkpoint and its thresholds."""
QUALIFYING = ("INSTRUMENT", "VERDICTS")
"""Instruments that measure the suite itself; their verdicts are in words of their own."""
SHORTEST = 8
"""Characters of a statistic under which it says nothing."""


def verdict_word(result: Result) -> str:
    """Verdict of a row as it is told: of a claim, whether an instrument qualified, whether a checkpoint cleared."""
    if result.claim == CHECKPOINT:
        return CLEARED.get(result.verdict, result.verdict)
    return QUALIFIED.get(result.verdict, result.verdict) if result.claim in QUALIFYING else result.verdict


def figures(result: Result) -> str:
    """Estimate and interval, with the digits that the interval carries; one number where it is exact."""
    value, ends = result.value, (result.low, result.high)
    if value is None:
        return ""
    if value == result.low == result.high:
        return number(value)
    finite = [end for end in ends if end is not None]
    width = (max(finite) - min(finite)) / 2 if len(finite) == 2 else max((abs(value - x) for x in finite), default=0)
    places = _places(width or abs(value), finite, [x for x in (result.accept_low, result.accept_high) if x is not None])
    numbers = [f"{x:.3g}" if places > 6 else f"{x:.{places}f}" for x in (value, *finite)]
    low = numbers[1] if result.low is not None else "-∞"
    return f"{numbers[0]} [{low}, {numbers[-1] if result.high is not None else '∞'}]"


def _places(width: float, ends: Iterable[float], boundaries: Iterable[float]) -> int:
    """Decimals that show half the width to two digits, and every end on its own side of the boundaries."""
    least = max(0, 1 - math.floor(math.log10(width))) if width and math.isfinite(width) else 0
    pairs = [(end, boundary) for end in ends for boundary in boundaries]
    for places in range(least, least + 4):
        if all(_side(round(end, places), boundary) == _side(end, boundary) for end, boundary in pairs):
            return places
    return least


def _side(end: float, boundary: float) -> int:
    return (end > boundary) - (end < boundary)


def number(value: float) -> str:
    """A number that has no error: no digit of a count is lost."""
    if not math.isfinite(value):
        return str(value).replace("inf", "∞")
    return f"{value:,.0f}" if value == int(value) else f"{value:.6g}" if abs(value) < 1e6 else f"{value:,.1f}"


def region_of(result: Result) -> str:
    """Region that is accepted; empty where none is declared."""
    low, high = result.accept_low, result.accept_high
    if low is None:
        return "" if high is None else f"≤ {number(high)}"
    return f"≥ {number(low)}" if high is None else f"{number(low)} to {number(high)}"


def row_line(result: Result, word: str, width: int) -> tuple[str, str]:
    """Name and number of a row, and its verdict, together at most `width` characters; the statistic gives way."""
    claim = result.claim + result.part
    name = result.row.removeprefix(f"{claim}-").removeprefix(f"{result.claim}-")
    verdict = f"{word}, control" if result.control else word
    said = result.statistic if result.value is not None else result.reason
    numbers, region = figures(result), region_of(result)
    others = len(" · ".join(x for x in (f"{claim} {name}", numbers, region, verdict) if x))
    room = width - others - (1 if numbers else 3)
    if room < min(SHORTEST, len(said)):
        said = ""
    measured = f"{shortened(said, room)} {numbers}".strip()
    body = " · ".join(part for part in (f"{claim} {name}", measured, region, "") if part)
    return shortened(body, width - len(verdict) - 3) + " · ", verdict


def shortened(text: str, room: int) -> str:
    """Text in at most `room` characters, an ellipsis for what was left out."""
    return text if len(text) <= room else text[: max(room - 1, 0)].rstrip(" ·") + "…"


def failure_text(result: Result) -> str:
    """Sentence of the claim, numbers and region of a row that is not reproduced: what its test fails with."""
    claim = CLAIMS.get(result.claim)
    place = f" ({claim.paper.title}, {claim.place})" if claim else ""
    sentence = claim.text if claim else INSTRUMENTS[result.claim]
    part = claim.parts[result.part] if claim and len(claim.parts) > 1 else ""
    because = f": {result.because}" if result.because else ""
    documents = f"{result.documents} documents" if result.documents else ""
    origin = (f"{result.scale} scale", f"effort {result.effort}" * bool(result.effort), result.model, result.text)
    lines = {
        "claim": sentence + place,
        f"part {result.part}": part,
        "measured": f"{result.statistic}: {figures(result)}",
        "accepted": region_of(result) + because,
        "on": ", ".join(x for x in (*origin, documents) if x),
    }
    head = f"{result.row}, of {result.claim}{result.part}: {verdict_word(result)}"
    said = [f"  {name:<8}  {text}" for name, text in lines.items() if text]
    return "\n".join([head, *(textwrap.fill(line, 100, subsequent_indent=" " * 12) for line in said)])
