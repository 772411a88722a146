"""The matrix of verdicts: claims by parts, for the terminal, for the overview and as counts for a first page."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Collection, Mapping

from bench.report.tables import table
from bench.verdict.claims import CHECKPOINT, CLAIMS, INSTRUMENTS, PAPERS, Claim, Paper
from bench.verdict.conclude import verdict_of_claim, verdicts_of_parts
from bench.verdict.evidence import Evidence, Result
from bench.verdict.regions import Verdict
from bench.verdict.wording import CLEARED

NEEDS_RUN = "run `pytest bench`, or `pytest bench -m gpu` where there is a CUDA GPU"
NOT_BUILT = "not built yet"
WIDTH = 100
"""Columns of a terminal."""
_PASSED = {
    Verdict.REPRODUCED.value: "passed",
    Verdict.NOT_REPRODUCED.value: "did not qualify",
    Verdict.INCONCLUSIVE.value: "did not qualify",
}


def results_of(evidence: Evidence, claim: str) -> list[Result]:
    """Results of a claim or instrument: by part, those that count first, controls last, then by name."""
    own = (row for row in evidence.rows.values() if row.claim == claim)
    return sorted(own, key=lambda row: (row.part, row.control, row.is_earlier, row.row))


def verdict_of(evidence: Evidence, claim: Claim) -> Verdict:
    """Verdict of a claim in a folder's evidence."""
    return verdict_of_claim(claim, results_of(evidence, claim.id))


def word_of(row: Result) -> str:
    """Verdict of a row as pages say it: an instrument passes, a checkpoint clears its thresholds."""
    return words_of(row.claim).get(row.verdict, row.verdict)


def words_of(claim: str) -> Mapping[str, str]:
    """Verdicts that a page words otherwise, by claim or instrument."""
    if claim in CLAIMS:
        return {}
    return CLEARED if claim == CHECKPOINT else _PASSED


def parts_of(evidence: Evidence, claim: Claim) -> str:
    """Verdicts of a claim's parts, such as "a, c reproduced; b inconclusive"; empty where it has but one."""
    if len(claim.parts) == 1:
        return ""
    verdicts = verdicts_of_parts(claim.parts, results_of(evidence, claim.id))
    said = {v: ", ".join(part for part, its in verdicts.items() if its is v) for v in dict.fromkeys(verdicts.values())}
    return "; ".join(f"{parts} {verdict.value}" for verdict, parts in said.items())


def why_not_run(claim: Claim) -> str:
    """Reason why a claim has no row: what it waits for."""
    return NEEDS_RUN if claim.built else NOT_BUILT


def summary(evidence: Evidence, recorded: Collection[str] = ()) -> str:
    """Matrix for the terminal: a line a claim that has rows, the rest, the instruments and the counts.

    Args:
        evidence: what is shown.
        recorded: rows that this run did not measure but took from the record.
    """
    have = [claim for claim in CLAIMS.values() if results_of(evidence, claim.id)]
    lines = [_claim_line(evidence, claim, recorded) for claim in have]
    for reason, missing in _missing(evidence).items():
        lines.append(_wrapped("others", Verdict.NOT_RUN.value, f"{', '.join(missing)}: {reason}"))
    lines += instrument_lines(evidence)
    counted = Counter(verdict_of(evidence, claim) for claim in CLAIMS.values())
    totals = ", ".join(f"{counted[verdict]} {verdict.value}" for verdict in Verdict)
    return "\n".join([*lines, *textwrap.wrap(f"{len(CLAIMS)} claims: {totals}", WIDTH)])


def _claim_line(evidence: Evidence, claim: Claim, recorded: Collection[str]) -> str:
    ran = [row for row in results_of(evidence, claim.id) if row.was_run]
    note = "on record" if ran and all(row.row in recorded for row in ran) else ""
    said = "; ".join(filter(None, [parts_of(evidence, claim), note]))
    return _wrapped(claim.id, verdict_of(evidence, claim).value, said)


def _missing(evidence: Evidence) -> dict[str, list[str]]:
    missing: dict[str, list[str]] = {}
    for claim in CLAIMS.values():
        if not results_of(evidence, claim.id):
            missing.setdefault(why_not_run(claim).replace("`", ""), []).append(claim.id)
    return missing


def instrument_lines(evidence: Evidence) -> list[str]:
    """A line for every instrument that has rows: how many passed."""
    counted = {name: Counter(map(word_of, results_of(evidence, name))) for name in INSTRUMENTS}
    return [
        f"{name}: {', '.join(f'{count} {word}' for word, count in words.items())}"
        for name, words in counted.items()
        if words
    ]


def _wrapped(name: str, verdict: str, rest: str) -> str:
    first = f"{name:<11}{verdict:<19}"
    return "\n".join(textwrap.wrap(f"{first}{rest}", WIDTH, subsequent_indent=" " * len(first))).rstrip()


def counts(evidence: Evidence) -> str:
    """Table of how many claims of each paper came to which verdict."""
    lines = [[paper.title, *_counted(evidence, paper)] for paper in PAPERS]
    return table(lines, ["paper", *(verdict.value for verdict in Verdict)])


def _counted(evidence: Evidence, paper: Paper) -> list[str]:
    counted = Counter(verdict_of(evidence, claim) for claim in CLAIMS.values() if claim.paper is paper)
    return [str(counted[verdict] or "–") for verdict in Verdict]


def full(folders: Mapping[str, Evidence], *, linked: bool = False) -> str:
    """Matrix of every claim against every folder of evidence, verdicts by parts.

    What a claim waits for is said where no folder has it.
    """
    names = [f"[{name}]({name}/README.md)" if linked else name for name in folders]
    lines = []
    for claim in CLAIMS.values():
        cells = [_cell(evidence, claim) for evidence in folders.values()]
        waits = "" if any(cells) else f": {why_not_run(claim)}"
        lines.append([claim.id, claim.text, *(cell or f"*not run*{waits}" for cell in cells)])
    return table(lines, ["claim", "the paper says", *(names if linked else ["verdict"])])


def _cell(evidence: Evidence, claim: Claim) -> str:
    """Verdict of a claim with its parts'; empty where it has no row."""
    if not results_of(evidence, claim.id):
        return ""
    said = parts_of(evidence, claim)
    return f"**{verdict_of(evidence, claim).value}**" + (f": {said}" if said else "")
