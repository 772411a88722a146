"""Conclusions: from rows to results, and from results to the verdicts of parts and claims."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict

from bench.verdict.claims import Claim
from bench.verdict.documents import Interval
from bench.verdict.evidence import EFFORTS, Origin, Result
from bench.verdict.needed import Needed
from bench.verdict.regions import Verdict, judge
from bench.verdict.rows import Row
from bench.verdict.times import in_words

MORE_DOCUMENTS = "more documents (--effort=thorough)"


def exactly(value: float) -> Interval:
    """Interval of a number that arithmetic gives: it has no error."""
    return Interval(value, value, value)


def by_arithmetic(subject: str, *, scale: str, protocol: str = "") -> Origin:
    """Origin of a row that measures no model."""
    return Origin(scale=scale, model=f"{subject}, by arithmetic", protocol=protocol)


def concluded(
    row: Row,
    interval: Interval,
    origin: Origin,
    *,
    doubt: str = "",
    decide: str | Needed = MORE_DOCUMENTS,
    details: Mapping[str, object] | None = None,
    method: str = "",
    seconds: float = 0.0,
    variants: list[str] | None = None,
) -> Result:
    """Result of a declared row.

    Args:
        row: as declared.
        interval: what was measured.
        origin: what it was measured on.
        doubt: why the instrument may not judge; the row is then inconclusive.
        decide: what would decide a row whose interval straddles the boundary.
        details: what plots and tables show.
        method: the first contestant's name.
        seconds: what measuring it took.
        variants: keys of the variants that it was derived from.
    """
    verdict = Verdict.INCONCLUSIVE if doubt else judge(interval, row.accept)
    undecided = verdict is Verdict.INCONCLUSIVE
    said = f"the interval straddles the boundary; {_would_decide(decide, seconds, origin.effort)}" if undecided else ""
    return Result(
        row.name,
        row.claim,
        row.part,
        verdict.value,
        control=row.control,
        doubt=doubt,
        reason=doubt or said,
        statistic=row.statistic,
        value=interval.value,
        low=_finite(interval.low),
        high=_finite(interval.high),
        accept_low=_finite(row.accept.low),
        accept_high=_finite(row.accept.high),
        because=row.because,
        method=method,
        seconds=round(seconds, 2),
        details=dict(details or {}),
        variants=variants or [],
        **asdict(origin),
    )


def _would_decide(decide: str | Needed, seconds: float, effort: str) -> str:
    """Remedy for an undecided row and, where they are known, the time that it takes and the way to have more."""
    if isinstance(decide, str):
        return f"{decide} would decide"
    if not math.isfinite(decide.times):
        return f"{decide.words} would decide"
    more = "; --effort=thorough measures more" if effort in EFFORTS[:-1] else ""
    if seconds < 1:
        return f"{decide.words} would decide{more}"
    time = f"{'at most' if decide.at_most else 'about'} {in_words(seconds * decide.times)}"
    return f"{decide.words} would decide, in {time} where these took {in_words(seconds)}{more}"


def not_run(row: Row, reason: str, scale: str, effort: str) -> Result:
    """Result of a row that could not be measured here."""
    return Result(
        row.name,
        row.claim,
        row.part,
        Verdict.NOT_RUN.value,
        control=row.control,
        reason=reason,
        statistic=row.statistic,
        scale=scale,
        effort=effort,
        variants=[],
    )


def _finite(bound: float) -> float | None:
    return float(bound) if math.isfinite(bound) else None


def verdict_of_part(results: Iterable[Result]) -> Verdict:
    """Verdict of one part from its rows.

    Controls do not vote, nor do rows that were not run, whose instrument did not qualify, or that an earlier version
    measured which qualified none. Of those that vote, one that is not reproduced decides, then one that is
    inconclusive. A part is inconclusive where rows were run and none of them votes.
    """
    own = [result for result in results if result.was_run and not result.control]
    verdicts = {Verdict(result.verdict) for result in own if result.votes}
    for verdict in (Verdict.NOT_REPRODUCED, Verdict.INCONCLUSIVE, Verdict.REPRODUCED):
        if verdict in verdicts:
            return verdict
    return Verdict.INCONCLUSIVE if own else Verdict.NOT_RUN


def verdicts_of_parts(parts: Iterable[str], results: Iterable[Result]) -> dict[str, Verdict]:
    """Verdict of every part, by its letter."""
    results = list(results)
    return {part: verdict_of_part(r for r in results if r.part == part) for part in parts}


def verdict_of_claim(claim: Claim, results: Iterable[Result]) -> Verdict:
    """Verdict of a claim: reproduced if all parts are, partly where some are and some are not.

    It is not reproduced where none is and one is not; not run where no part was; else inconclusive.
    """
    verdicts = set(verdicts_of_parts(claim.parts, results).values())
    if len(verdicts) == 1:
        return verdicts.pop()
    if Verdict.NOT_REPRODUCED in verdicts:
        return Verdict.PARTLY_REPRODUCED if Verdict.REPRODUCED in verdicts else Verdict.NOT_REPRODUCED
    return Verdict.INCONCLUSIVE
