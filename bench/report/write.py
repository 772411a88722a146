"""Writing: pages and plots into a folder of evidence and nowhere else, the index over folders, and a page's counts."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from bench.report import (
    checkpoint,
    footprint,
    forest,
    instrument,
    krony,
    long_context,
    matrix,
    pages,
    revisions,
    sheets,
    small_models,
    survey,
    written,
)
from bench.report.pages import PAGES, View
from bench.report.plots import png
from bench.verdict.claims import CLAIMS, KRONY_PT, LONG_CONTEXT, PAPERS, SMALL_MODELS, SURVEY
from bench.verdict.evidence import FILE, DamagedRecord, Evidence, Result, lock, read
from models.folders import written_aside

EXTRAS: Mapping[str, Callable[[Evidence], tuple[list[str], dict[str, Figure]]]] = {
    LONG_CONTEXT.key: long_context.extras,
    KRONY_PT.key: krony.extras,
    SURVEY.key: survey.extras,
    SMALL_MODELS.key: small_models.extras,
}
LOCAL = "local"
"""Folder of a user's own runs, which is no part of the record."""
FIRST = "embedded"
"""Record on the suite's own model and text; on other texts it has the text's name behind."""
OPEN, CLOSE = "<!-- counts -->", "<!-- /counts -->"


def write(
    folder: Path, *, record: Evidence | None = None, stale: Callable[[Evidence], Mapping[str, str]] | None = None
) -> list[Path]:
    """Write a folder's pages and plots beside its evidence; their paths. Damaged lines are named on stderr.

    Args:
        folder: where `evidence.jsonl` lies and the pages go.
        record: what this folder did not measure is shown from here, as on record.
        stale: from evidence to the reasons why rows are of an earlier version; only rows without variants if None.
    """
    own = read(folder)
    for said in pages.damaged_lines(own, folder / FILE):
        print(said, file=sys.stderr)
    evidence, recorded = layered(own, record)
    view = View(evidence, recorded, stale(evidence) if stale else {})
    files = rendered(view, folder.name)
    with lock(folder):
        for name, content in files.items():
            _place(folder / name, content)
    return [folder / name for name in files]


def layered(own: Evidence, record: Evidence | None) -> tuple[Evidence, frozenset[str]]:
    """Own evidence laid over the record, and the rows that come from the record."""
    if record is None:
        return own, frozenset()
    evidence = own.over(record)
    return evidence, frozenset(name for name, row in evidence.rows.items() if own.rows.get(name) is not row)


def rendered(view: View, name: str) -> dict[str, bytes]:
    """Pages and plots by file name; a pure function of what is shown. A folder of sheets alone has one page."""
    texts, figures = {}, {}
    judging = bool(view.evidence.rows) and len(sheets.rows_of(view.evidence)) == len(view.evidence.rows)
    for paper in () if judging else PAPERS:
        sections, own = _extras(paper.key, view.evidence)
        rows = [row for c in CLAIMS.values() if c.paper is paper for row in matrix.results_of(view.evidence, c.id)]
        plot = _forest(figures, PAGES[paper.key], rows)
        figures |= own
        texts[f"{PAGES[paper.key]}.md"] = pages.paper_page(view, paper, plot, sections)
    for stem, sheet in (("instrument", instrument), ("checkpoint", checkpoint)):
        if rows := sheet.rows_of(view.evidence):
            texts[f"{stem}.md"] = sheet.page(view, _forest(figures, stem, rows))
    figures |= checkpoint.figures(view.evidence)
    if (sizes := footprint.comparison_of(view.evidence)) is not None:
        texts[f"{footprint.STEM}.md"] = footprint.page(view, sizes)
        figures[footprint.PLOT] = footprint.figure(sizes)
    links = {page.removesuffix(".md"): page for page in texts}
    texts = {"README.md": texts.pop("checkpoint.md") if judging else pages.overview(view, name, links), **texts}
    if content := written.checkpoint_json(view.evidence):
        texts[written.FILE] = content
    if sizes is not None:
        texts[footprint.JSON] = footprint.as_json(sizes)
    return {page: _encoded(text) for page, text in texts.items()} | {
        plot: png(drawn) for plot, drawn in figures.items()
    }


def _extras(key: str, evidence: Evidence) -> tuple[list[str], dict[str, Figure]]:
    """Sections and plots of a paper; a sentence in their place where a row's details are those of another version."""
    try:
        return EXTRAS[key](evidence)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        said = (
            f"Plots and tables of {key} cannot be made of its rows' details ({error!r}): they are of another version "
            "of the suite, or were changed by hand; measure these rows again."
        )
        print(said, file=sys.stderr)
        return [said], {}


def _forest(figures: dict[str, Figure], stem: str, rows: Sequence[Result]) -> str:
    """Add a page's forest plot to the figures; its name, empty where no row has an interval."""
    words = matrix.words_of(rows[0].claim) if rows else {}
    drawn = forest.figure(rows, words)
    if drawn is None:
        return ""
    figures[f"{stem}-forest.png"] = drawn
    return f"{stem}-forest.png"


def write_index(reports: Path) -> Path:
    """Write the matrix over the committed folders of evidence as `README.md` beside them."""
    folders, unreadable = {}, {}
    for folder in committed(reports):
        try:
            folders[folder.name] = read(folder)
        except DamagedRecord as error:
            unreadable[folder.name] = str(error)
            print(error, file=sys.stderr)
    _place(reports / revisions.PAGE, _encoded(revisions.page()))
    _place(reports / "README.md", _encoded(pages.index(folders, unreadable)))
    return reports / "README.md"


def committed(reports: Path) -> list[Path]:
    """Folders of the record: those that hold evidence, but a user's own."""
    return sorted(path.parent for path in reports.glob(f"*/{FILE}") if path.parent.name != LOCAL)


def write_counts(readme: Path, reports: Path) -> bool:
    """Fill the counts on a first page that has a place for them, from the embedded scale's records; whether it has."""
    if not readme.is_file() or OPEN not in readme.read_text(encoding="utf-8"):
        return False
    fill_counts(readme, embedded(reports))
    return True


def embedded(reports: Path) -> Evidence:
    """Evidence of the embedded scale on all texts.

    Of a row that was measured on several the one of most effort counts, of equal ones that on a text of its own.
    """
    together = Evidence()
    for folder in committed(reports):
        if folder.name == FIRST or folder.name.startswith(f"{FIRST}-"):
            together = read(folder).over(together)
    return together


def fill_counts(readme: Path, evidence: Evidence) -> None:
    """Replace what lies between the markers of a page by the counts of verdicts.

    Raises:
        ValueError: the page has no such markers.
    """
    text = readme.read_text(encoding="utf-8")
    between = re.compile(f"{re.escape(OPEN)}.*?{re.escape(CLOSE)}", re.DOTALL)
    if not between.search(text):
        raise ValueError(f"{readme} has no {OPEN} followed by {CLOSE}; put both where the counts belong")
    filled = f"{OPEN}\n{matrix.counts(evidence)}\n{CLOSE}"
    _place(readme, between.sub(lambda _: filled, text, count=1).encode())


def _encoded(text: str) -> bytes:
    return (text.rstrip() + "\n").encode()


def _place(path: Path, content: bytes) -> None:
    """Write aside and move into place, so that no reader sees half a file."""
    with written_aside(path) as beside:
        beside.write_bytes(content)
