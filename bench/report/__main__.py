"""From evidence to pages: a pure function of `evidence.jsonl`, also `python -m bench.report [FOLDER ...]`.

`python -m bench.report --changes OLD NEW` names the rows whose verdict differs between two evidence folders.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench.report import checkpoint as checkpoint_page
from bench.report import krony as krony_page
from bench.report import plots
from bench.report import small_models as small_models_page
from bench.report import survey as survey_page
from bench.report.pages import BUILT, instrument_page, interval_of, matrix, overview, paper_page, results
from bench.verdict.claims import KRONY_PT, PAPERS, SMALL_MODELS, SURVEY
from bench.verdict.evidence import FILE, Evidence, read


def write(folder: Path) -> None:
    """Write a folder's pages and plots beside its evidence, and the matrix over all folders beside it."""
    found = read(folder)
    own = {KRONY_PT.key: krony_page, SMALL_MODELS.key: small_models_page, SURVEY.key: survey_page}
    drawn = plots.draw(found, folder) | {key: page.draw(found, folder) for key, page in own.items()}
    more = {key: page.sections(found) for key, page in own.items()}
    _write(folder / "README.md", overview(folder.name, found))
    for paper in PAPERS:
        if paper.key in BUILT:
            text = paper_page(paper, found, drawn.get(paper.key, []), more.get(paper.key, ()))
            _write(folder / f"{BUILT[paper.key]}.md", text)
    _write(folder / "instrument.md", instrument_page(found))
    if sheet := checkpoint_page.page(found, results(found, checkpoint_page.CLAIM)):
        _write(folder / "checkpoint.md", sheet)
    _write(folder.parent / "README.md", matrix({path.parent.name: read(path.parent) for path in _all(folder.parent)}))


def _all(reports: Path) -> list[Path]:
    return sorted(path for path in reports.glob(f"*/{FILE}") if not path.parent.name.endswith("-quick"))


def _write(path: Path, text: str) -> None:
    beside = path.with_suffix(".part")
    beside.write_text(text.rstrip() + "\n", encoding="utf-8")
    beside.replace(path)


def changes(old: Evidence, new: Evidence) -> list[str]:
    """A line for every row whose verdict is not what it was."""
    return [
        f"{name}: {old.rows[name].verdict} -> {row.verdict} ({interval_of(old.rows[name])} -> {interval_of(row)})"
        for name, row in sorted(new.rows.items())
        if name in old.rows and old.rows[name].verdict != row.verdict
    ]


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.report", description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path, help="evidence folders; all under reports/ by default")
    parser.add_argument("--changes", nargs=2, type=Path, metavar=("OLD", "NEW"), help="name changed verdicts")
    parser.add_argument("--matrix", type=Path, metavar="FOLDER", help="print the verdicts of one folder")
    chosen = parser.parse_args(arguments)
    folders = chosen.folders or [path.parent for path in _all(Path("reports"))]
    named = [*(chosen.changes or []), *([chosen.matrix] if chosen.matrix else [])]
    for folder in named or folders:
        if not (folder / FILE).is_file():
            print(f"no {FILE} in {folder}; give a folder that pytest bench wrote", file=sys.stderr)
            return 2
    if chosen.changes:
        found = changes(*(read(folder) for folder in chosen.changes))
        print("\n".join(found) or "no verdict changed")
    elif chosen.matrix:
        print(matrix({chosen.matrix.name: read(chosen.matrix)}))
    else:
        for folder in folders:
            write(folder)
            print(f"wrote {folder}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
