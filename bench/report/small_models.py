"""Further sections of the Berkeley report's page: every seed, its tables, parameter columns."""

from __future__ import annotations

from matplotlib.figure import Figure

from bench.report.seeds import is_of, pretraining, strips, strips_section, tables
from bench.report.tables import table
from bench.verdict.claims import SMALL_MODELS, Paper
from bench.verdict.evidence import Evidence, Result

SEEDS, CURVES = "small-models-seeds.png", "small-models-pretraining.png"
PRINTED = {
    **dict.fromkeys(("SL2-skip", "SL2-skip-at-own-rates"), "6.0 % of the distance to chance (75.5 of 78.2)"),
    **dict.fromkeys(("SL2-skip-encoder", "SL2-skip-encoder-at-own-rates"), "4.7 % (76.1)"),
    "SL2-skip-points": "+2.7",
    "SL2-encoder-costs-less": "+0.6 (76.1 over 75.5)",
    "SL3-2x-over-1x": "+0.8 (79.0)",
    "SL3-4x-over-2x": "+0.4 (79.4)",
    "SL3-10x-over-4x": "+0.7 (80.1)",
    "SL4-1.5x-heads": "+1.0 (79.2)",
    "SL4-2x-head-size": "+1.0 (79.2)",
    "SL4-both": "+1.8 (80.0)",
    **dict.fromkeys(("SL5-3W-over-2W", "SL5-3W-over-2W-at-own-rates"), "+0.5 (77.2 over 76.7)"),
    **dict.fromkeys(("SL5-2W-over-1W", "SL5-2W-over-1W-at-own-rates"), "+0.2 (76.7 over 76.5)"),
    **dict.fromkeys(("SL5-1W-over-1W-ReLU", "SL5-1W-over-1W-ReLU-at-own-rates"), "+0.4 (76.5 over 76.1)"),
    "SL6-4x-same-as-2x": "−0.1 (77.2 over 77.3)",
    "SL6-2x-over-1.5x": "+0.6 (77.3 over 76.7)",
    "SL6-1.5x-over-1.2x": "+0.1 (76.7 over 76.6)",
    "SL6-1.5x-no-better-than-2W": "0.0 (76.7 and 76.7)",
    "SL6-1.2x-no-better-than-2W": "−0.1 (76.6 over 76.7)",
    "SL7-mean-mini": "+0.1 (79.5 over 79.4)",
    "SL7-mean-tiny": "0.0 (77.7 and 77.7)",
    "SL7-spread-mini": "3.9 (2.18 over 0.56)",
    "SL7-spread-tiny": "3.4 (3.35 over 0.99)",
    "SL11-small-to-mini": "+1.3 (79.5 over 78.2)",
    "SL11-base-to-mini": "+1.2 (79.4)",
    "SL11-small-to-tiny": "+1.4 (77.7 over 76.3)",
    "SL11-base-to-tiny": "+1.4 (77.7)",
    "SL12-small-to-mini": "1.8 (0.56 over 0.32)",
    "SL12-base-to-mini": "6.8 (2.18)",
    "SL12-small-to-tiny": "2.5 (0.99 over 0.39)",
    "SL12-base-to-tiny": "8.6 (3.35)",
}
"""Tables 4.1 to 4.6: maxima of five runs of T5-Mini on MNLI, mismatched, and standard deviations."""


def extras(evidence: Evidence) -> tuple[list[str], dict[str, Figure]]:
    """Sections and figures, those for which there is evidence."""
    figures = {}
    parts = []
    if seeds := strips(evidence, SMALL_MODELS):
        figures[SEEDS] = seeds
        parts.append(strips_section(SEEDS))
    if curves := pretraining(evidence, SMALL_MODELS):
        figures[CURVES] = curves
        parts.append(
            f"## Pre-training\n\n![loss of span corruption, by claim]({CURVES})\n\nMean and range over "
            "seeds, and the mean at the end. Grey is the variant that most claims share."
        )
    if lines := tables(evidence, SMALL_MODELS):
        parts += [*lines, *_printed(evidence, SMALL_MODELS)]
    return [*parts, *_columns(evidence)], figures


def _printed(evidence: Evidence, paper: Paper) -> list[str]:
    """The report's own differences beside the rows that stand for them."""
    rows = [evidence.rows[name] for name in PRINTED if name in evidence.rows]
    lines = [[row.row, PRINTED[row.row], *_here(row)] for row in rows if is_of(paper, row.claim)]
    if not lines:
        return []
    return [
        "## What the report prints\n\nDifferences of maxima of five runs (T5-Mini on MNLI, mismatched), and ratios of "
        "standard deviations in SL12's rows and SL7's of spread; beside them the maxima of the first five seeds here, "
        f"and the looks.\n\n{table(lines, ['row', 'printed', 'maxima of five here', 'as measured'])}"
    ]


def _here(row: Result) -> list[str]:
    """Maxima of a row's first five seeds with what α and T were taken, and its last look."""
    variants, maxima = row.details.get("variants") or {}, row.details.get("maximum_of_five") or {}
    lessons = {name: variant.get("lesson") or "" for name, variant in variants.items()}
    shown = [f"{name} {most:.1f}" + f" ({lessons[name]})" * bool(lessons.get(name)) for name, most in maxima.items()]
    return ["; ".join(shown), str(row.details.get("looks", ""))]


def _columns(evidence: Evidence) -> list[str]:
    row = evidence.rows.get("SL9-parameter-columns")
    if row is None or not row.details.get("columns"):
        return []
    lines = [
        [name, f"{printed:.3f}", f"{counted:.3f}", f"{counted / printed - 1:+.1%}".replace("-", "−")]
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
