"""What the page of the Berkeley report has besides its claims: its parameter columns beside arithmetic."""

from __future__ import annotations

from bench.evidence import Evidence
from bench.tables import table


def sections(found: Evidence) -> list[str]:
    """The page's own sections, those for which there is evidence."""
    row = found.rows.get("SL9-parameter-columns")
    if row is None or not row.details.get("columns"):
        return []
    lines = [
        [name, f"{printed:.3f}", f"{counted:.3f}", f"{counted / printed - 1:+.1%}"]
        for name, (printed, counted) in row.details["columns"].items()
    ]
    headers = ["row of Tables 4.1–4.5", "printed, millions", "by Table 3.1", "difference"]
    return [
        "## The parameter columns\n\nT5-Mini without embeddings, by the sizes of Table 3.1 (width 384, d_ff 1536, 8 "
        "heads of 32), against the printed\ncolumn. The printed differences between rows say where they part. Removing "
        "all networks takes 9.444M away, as two\nmatrices of 384 x 1536 a block do. One matrix in a network's place "
        "leaves 4.719M, as one of 384 x 1536 does, while the\nmethod's single matrix is 384 x 384 and leaves 1.180M. "
        "What is left without networks asks for attention 320 wide, not\n8 x 32.\n\n"
        f"{table(lines, headers)}"
    ]
