"""Further sections of Krony-PT's page: the paper's tables beside ours, curves, spectra, arithmetic."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bench.krony.printed import DISTILGPT2, FOUR_TERMS, PERPLEXITY, SCALARS, model_size
from bench.report import course
from bench.report.plots import BLACK, BLUE, STYLE, small_multiples
from bench.report.tables import table
from bench.verdict.claims import CLAIMS, KRONY_PT
from bench.verdict.evidence import Evidence

SPECTRA = "krony-spectra.png"
PAPERS_NAME = {
    "half-distilled": "DistilGPT2",
    "81M": "Krony-PT-81M",
    "95M-pruned": "Krony-PT-95M, pruning",
    "95M-van-loan": "Krony-PT-95M, Van Loan",
    "4-terms-scalars": "Krony-PT-92.2M, 4 terms, scalars",
    "tqcompressor": "TQCompressedGPT2",
    "kngpt2": "KnGPT-2",
}
"""Our students by the model of the paper's tables that they stand for."""


def extras(evidence: Evidence) -> tuple[list[str], dict[str, Figure]]:
    """Sections and figures, those for which there is evidence."""
    students, spectra = gathered(evidence, "students"), gathered(evidence, "spectra")
    courses = course.courses_of(evidence)
    curves = {course.CURVES: course.figure(evidence, courses)} if courses else {}
    figures = curves | ({SPECTRA: _spectra(spectra)} if spectra else {})
    parts = [_arithmetic(), _students(evidence), *course.sections(evidence, courses, students)]
    return [part for part in [*parts, _healed(evidence), _spectrum(spectra)] if part], figures


def gathered(evidence: Evidence, name: str) -> dict[str, Any]:
    """One kind of detail over all rows of the paper, by its own names."""
    parts: dict[str, Any] = {}
    for row in evidence.rows.values():
        if (claim := CLAIMS.get(row.claim)) and claim.paper is KRONY_PT:
            parts |= row.details.get(name) or {}
    return parts


def _spectra(spectra: Mapping[str, Any]) -> Figure:
    with mpl.rc_context(STYLE):
        figure, grid = small_multiples(len(spectra), columns=4, height=2.2, share_y=False)
        for axes, (name, (mean, low, high)) in zip(grid, spectra.items(), strict=True):
            index = np.arange(1, len(mean) + 1)
            axes.bar(index, np.array(mean) * 100, color=BLUE, alpha=0.75, width=0.8)
            axes.vlines(index, np.array(low) * 100, np.array(high) * 100, color=BLACK, linewidth=0.9)
            axes.axhline(100 / len(mean), color="grey", linewidth=0.8, linestyle="--")
            axes.set(title=name, xlabel="singular value")
            axes.set_xticks(_whole_ticks(len(mean)))
        grid[0].set_ylabel("percent of energy")
    return figure


def _whole_ticks(count: int) -> list[int]:
    """Whole numbers from 1 to the last, not more than nine."""
    step = max(1, count // 4 if count > 9 else 1)
    return [1, *range(step, count + 1, step)] if step > 1 else list(range(1, count + 1))


def _arithmetic() -> str:
    four = model_size(FOUR_TERMS, 4)
    tied, untied = model_size((768, 768)), model_size((768, 768), tied=False)
    return (
        "## Two findings by arithmetic\n\n"
        f"- §4.6 and Table 6 call the model of four terms of (1024, 256) 92.2M. It has {four:,} parameters, "
        f"{four + SCALARS:,} with its\n  {SCALARS} scalars: 93.0M, by the same count that gives every row of Table 1 "
        "to the parameter.\n"
        f'- The "81M" model has {tied:,} parameters with the output matrix tied to the embedding and {untied:,} '
        f"without, as its\n  peers count theirs; DistilGPT2 has {DISTILGPT2:,}, tied. The comparison is fair only if "
        "all are counted alike."
    )


def _students(evidence: Evidence) -> str:
    students = gathered(evidence, "students")
    base = next((row for row in evidence.rows.values() if row.details.get("base")), None)
    if not students or base is None:
        return ""
    teacher, size = base.details["base"]["teacher"], base.details["parameters"]
    lines = [["teacher", f"{size:,}", "100 %", f"{teacher:.2f}", "–", "–", _printed("GPT2")]]
    by_quality = sorted(students.items(), key=lambda item: float(np.mean(item[1]["perplexity"])))
    lines += [_student_line(name, student, teacher, size) for name, student in by_quality]
    for label, key in (("half depth, from scratch", "scratch"), ("5-gram model", "ngram")):
        if key in base.details["base"]:
            lines.append([label, "–", "–", f"{base.details['base'][key]:.2f}", "–", "–", ""])
    headers = ["student", "parameters", "of the teacher", "perplexity", "over the teacher's", "untrained", "paper"]
    read, text = base.details["tokens_read"], base.details["tokens_of_text"]
    return (
        "## The paper's tables beside ours\n\nOurs: perplexity a token on scored documents, in brackets its range over "
        f"seeds, of students that start from one teacher\n({base.model}; {read:,} tokens read of a text of {text:,}) "
        "and read the same tokens, or half of them where so said\nbelow. The paper's: WikiText-103, "
        "WikiText-2 and LAMBADA, of GPT-2 small and its students (Tables\n3–6). Only orders can be compared.\n\n"
        f"{table(lines, headers)}"
    )


def _student_line(name: str, student: Mapping[str, Any], teacher: float, size: int) -> list[str]:
    values = student["perplexity"]
    mean = math.exp(float(np.mean(np.log(values))))
    return [
        name,
        f"{student['parameters']:,}",
        f"{student['parameters'] / size:.0%}",
        f"{mean:.2f} ({min(values):.2f}–{max(values):.2f})",
        f"{mean / teacher:.3f}",
        f"{student['untrained']:,.1f}",
        _printed(PAPERS_NAME.get(name, "")),
    ]


def _printed(name: str) -> str:
    return " / ".join(f"{value:.2f}" for value in PERPLEXITY[name]) if name in PERPLEXITY else ""


def _healed(evidence: Evidence) -> str:
    variants = gathered(evidence, "variants")
    if not variants:
        return ""
    lines = [
        [
            name,
            f"{v['parameters']:,}",
            f"{v['parameters'] / v['dense_parameters']:.0%}",
            f"{v['errors'][0]:.3f}",
            f"{v['errors'][1]:.3f}",
            f"{v['kl']:.3g}",
            f"{v['perplexity_ratio']:,.3g}",
        ]
        for name, v in sorted(variants.items(), key=lambda item: item[1]["kl"])
    ]
    headers = ["variant", "parameters", "of the model", "error before", "after healing", "KL, nats", "perplexity ratio"]
    return (
        "## The real model, healed block by block\n\nA block's error is the squared distance from the dense model's "
        "hidden state over that state's squared length, a token's\nmean, over blocks and calibration tokens.\n\n"
        f"{table(lines, headers)}"
    )


def _spectrum(spectra: Mapping[str, Any]) -> str:
    if not spectra:
        return ""
    lines = [
        [name, f"{mean[0]:.1%}", f"{low[0]:.1%}–{high[0]:.1%}", f"{1 / len(mean):.1%}"]
        for name, (mean, low, high) in spectra.items()
    ]
    headers = ["second factor", "energy of one term, mean", "range over layers", "if all were equal"]
    return (
        f"## Why one term is hard\n\n![energy of every singular value]({SPECTRA})\n\nThe energy (squared Frobenius "
        "norm) of the real model's MLP weights that each Kronecker product holds: mean and range over\nlayers, and "
        "dashed what it were if all were equal. Were a rearranged matrix of few rows random, its singular values "
        f"would be\nnearly equal.\n\n{table(lines, headers)}"
    )
