"""Pages as markdown: claims with their parts and rows, footnotes, and what everything was measured on.

Pure functions of what was read; nothing is measured or written here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.report import matrix, revisions
from bench.report.tables import accepted, measured, table
from bench.verdict.claims import CLAIMS, KRONY_PT, LONG_CONTEXT, PAPERS, SMALL_MODELS, SURVEY, Claim, Paper
from bench.verdict.conclude import verdicts_of_parts
from bench.verdict.entries import EARLIER
from bench.verdict.evidence import FILE, Evidence, Result

PAGES = {
    LONG_CONTEXT.key: "long-context",
    KRONY_PT.key: "krony-pt",
    SURVEY.key: "survey",
    SMALL_MODELS.key: "small-models",
}
"""Names of the papers' pages and of their plots, by the paper's key."""
MOST_MODELS = 4
"""Names of models made here that a page lists; of more it gives the number."""
COLUMNS = ["row", "measured [95 % interval]", "accepted: verdict"]


@dataclass(frozen=True)
class View:
    """Evidence that pages show, and how each row came there."""

    evidence: Evidence
    recorded: frozenset[str] = frozenset()
    """Rows that were not measured in this folder but lie in the committed record."""
    stale: Mapping[str, str] = field(default_factory=dict)
    """Reasons why rows are of an earlier version, by name."""

    def why_stale(self, row: Result) -> str:
        """Reason why a row is of an earlier version; empty where it is of this one."""
        if not row.was_run:
            return ""
        return self.stale.get(row.row) or (EARLIER if row.is_earlier else "")

    def why_recorded(self, row: Result) -> str:
        """Note on when a row of the record was measured; empty where it is this folder's own."""
        if row.row not in self.recorded or not row.was_run:
            return ""
        started = str(self.evidence.runs.get(row.run, {}).get("started", ""))[:10]
        return ", ".join(filter(None, ["on record", started, f"{row.effort} effort" if row.effort else ""]))


@dataclass
class Footnotes:
    """Notes of one page, each once."""

    texts: list[str] = field(default_factory=list)

    def mark(self, text: str) -> str:
        """Mark that stands for a note; empty for none."""
        if not text:
            return ""
        if text not in self.texts:
            self.texts.append(text)
        return f"[^{self.texts.index(text) + 1}]"

    def written(self) -> str:
        """Text of the notes, one a line."""
        return "\n".join(f"[^{number}]: {text.rstrip('.')}." for number, text in enumerate(self.texts, 1))


def paper_page(view: View, paper: Paper, forest: str, sections: Iterable[str]) -> str:
    """Page of a paper: the forest plot, every claim with its rows, the paper's own sections, and the footer.

    Args:
        view: what is shown.
        paper: whose claims.
        forest: name of the forest plot; empty where there is none.
        sections: what the page has beside its claims.
    """
    claims = [claim for claim in CLAIMS.values() if claim.paper is paper]
    rows = [row for claim in claims for row in matrix.results_of(view.evidence, claim.id)]
    notes = Footnotes()
    common = common_notes(view, rows)
    have = [claim for claim in claims if matrix.results_of(view.evidence, claim.id)]
    parts = [
        f"# {paper.title}",
        f"The paper measured {paper.models}. {' '.join(common.values())}".strip(),
        _forest(forest, rows),
        *(claim_section(view, claim, notes, common) for claim in have),
        _missing([claim for claim in claims if claim not in have]),
        *sections,
        measured_on(view.evidence, rows),
        notes.written(),
    ]
    return "\n\n".join(part for part in parts if part)


def common_notes(view: View, rows: Iterable[Result]) -> dict[str, str]:
    """Notes that hold for every row of a page that was run, as sentences by note: they are said once, at its top."""
    ran = [row for row in rows if row.was_run]
    sentences = {}
    for why, said in ((view.why_stale, "Every row here was"), (view.why_recorded, "Every row here is")):
        notes = {why(row) for row in ran}
        if len(notes) == 1 and (note := notes.pop()):
            sentences[note] = f"{said} {note}."
    return sentences


def _forest(name: str, rows: Sequence[Result]) -> str:
    if not name:
        return ""
    return (
        f"![estimate, interval and acceptance region of every row]({name})\n\nBars are 95 % intervals; one that ends "
        "in an arrow goes on beyond the axis. Exact numbers stand in the tables."
    )


def claim_section(view: View, claim: Claim, notes: Footnotes, common: Mapping[str, str]) -> str:
    """Section of a claim: its sentence, its parts with their verdicts, and its rows."""
    rows = matrix.results_of(view.evidence, claim.id)
    parts = [f"## {claim.id}: {matrix.verdict_of(view.evidence, claim).value}", f"> {claim.place}: {claim.text}"]
    if len(claim.parts) > 1:
        verdicts = verdicts_of_parts(claim.parts, rows)
        parts.append("\n".join(f"- {part}, *{verdicts[part].value}*: {text}" for part, text in claim.parts.items()))
    return "\n\n".join([*parts, *rows_tables(view, rows, notes, common)])


def rows_tables(view: View, rows: Sequence[Result], notes: Footnotes, common: Mapping[str, str]) -> list[str]:
    """Tables of rows: those of one statistic together under its sentence, the others with theirs in the row."""
    groups: dict[str, list[Result]] = {}
    for row in rows:
        groups.setdefault(row.statistic, []).append(row)
    shared = {
        statistic: group for statistic, group in groups.items() if statistic and (len(group) > 1 or len(rows) == 1)
    }
    parts = []
    for statistic, group in shared.items():
        lines = [_line(view, row, notes, common, statistic=False) for row in group]
        parts.append(f"Measured: {statistic}.\n\n{table(lines, COLUMNS)}")
    rest = [row for row in rows if row.statistic not in shared]
    if rest:
        parts.append(table([_line(view, row, notes, common, statistic=True) for row in rest], COLUMNS))
    return parts


def _line(view: View, row: Result, notes: Footnotes, common: Mapping[str, str], *, statistic: bool) -> list[str]:
    kind = " (control)" if row.control else " (earlier version)" if row.is_earlier else ""
    name = f"{row.part} `{row.row}`{kind}".strip()
    if statistic and row.statistic:
        name += f": {row.statistic}"
    own = [row.doubt or row.reason, row.because, view.why_stale(row), view.why_recorded(row)]
    marks = "".join(notes.mark(note) for note in own if note not in common)
    said = f"**{matrix.word_of(row)}**{marks}"
    return [name, measured(row), said if accepted(row) == "–" else f"{accepted(row)}: {said}"]


def _missing(claims: Sequence[Claim]) -> str:
    if not claims:
        return ""
    lines = [[claim.id, claim.text, matrix.why_not_run(claim)] for claim in claims]
    return f"## Not run\n\n{table(lines, ['claim', 'the paper says', 'why'])}"


def measured_on(evidence: Evidence, rows: Iterable[Result]) -> str:
    """Footer: models, texts, protocols by claim, and the runs."""
    ran = [row for row in rows if row.was_run]
    if not ran:
        return ""
    lines = [*_models(ran), *_texts(ran), *_protocols(ran)]
    runs = [run for name, run in evidence.runs.items() if name in {row.run for row in ran}]
    return "\n\n".join(filter(None, ["## Measured on", "\n".join(lines), _runs(runs)]))


def _models(rows: Sequence[Result]) -> list[str]:
    pinned = sorted({f"`{row.model}` (sha256 {row.model_sha256[:12]})" for row in rows if row.model_sha256})
    made = sorted({row.model for row in rows if row.model and not row.model_sha256})
    if len(made) > MOST_MODELS:
        made = [f"{len(made)} models trained or counted here"]
    return [f"- models: {'; '.join([*pinned, *made])}"] if pinned or made else []


def _texts(rows: Sequence[Result]) -> list[str]:
    texts = sorted({(row.text, row.text_sha256[:12], row.documents) for row in rows if row.text and row.text_sha256})
    return [f"- text: {name} (sha256 {digest}), {documents} scored" for name, digest, documents in texts]


def _protocols(rows: Sequence[Result]) -> list[str]:
    claims: dict[str, list[str]] = {}
    for row in rows:
        if row.protocol and row.claim not in claims.setdefault(row.protocol, []):
            claims[row.protocol].append(row.claim)
    return [f"- {', '.join(named)}: {protocol}" for protocol, named in claims.items()]


def _runs(runs: Iterable[Mapping]) -> str:
    lines = [
        [
            str(run.get("started", "?"))[:16],
            run.get("commit", "?"),
            ", ".join(f"{name} {run.get(name.lower(), '?')}" for name in ("torch", "transformers", "Python")),
            run.get("gpu") or run.get("machine", "?"),
            (run.get("options") or {}).get("effort", "?"),
        ]
        for run in runs
    ]
    return table(lines, ["run", "commit", "versions", "machine", "effort"]) if lines else ""


def overview(view: View, name: str, links: Mapping[str, str]) -> str:
    """First page of a folder: the counts, the matrix of all claims, and what is damaged."""
    evidence = view.evidence
    common = common_notes(view, evidence.rows.values())
    instruments = [f"- {line}" for line in matrix.instrument_lines(evidence)]
    parts = [
        f"# {name}",
        "Pages: "
        + ", ".join(f"[{title}]({page})" for title, page in links.items())
        + f". All numbers are in `{FILE}`.",
        " ".join(common.values()),
        damaged_section(evidence),
        matrix.counts(evidence),
        "A claim is *reproduced* if all its parts are, *partly reproduced* if some are and some are not. Controls are "
        "shown on\nthe pages and never count.",
        matrix.full({name: evidence}),
        "\n".join(["The suite's own instruments:", "", *instruments]) if instruments else "",
        measured_on(evidence, evidence.rows.values()),
    ]
    return "\n\n".join(part for part in parts if part)


def damaged_section(evidence: Evidence) -> str:
    """Lines of the record that are no entries; empty where all are."""
    return "\n".join(f"- {said}" for said in damaged_lines(evidence, FILE))


def damaged_lines(evidence: Evidence, path: object) -> list[str]:
    """A sentence for every damaged line."""
    return [f"{path} line {number} is damaged and left out" for number in evidence.damaged]


def index(folders: Mapping[str, Evidence], unreadable: Mapping[str, str]) -> str:
    """Page over all folders of evidence: the matrix, a column a folder."""
    parts = [
        "# Verdicts",
        f"{len(CLAIMS)} claims of {len(PAPERS)} papers, each against every model and scale that it was measured on.",
        *(f"{folder} is left out: {why}." for folder, why in unreadable.items()),
        matrix.full(folders, linked=True),
        f"Regions and statistics that were changed after results had been seen: [what was revised]({revisions.PAGE}).",
    ]
    return "\n\n".join(parts)
