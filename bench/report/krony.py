"""What the page of Krony-PT has besides its claims: the paper's tables beside ours, curves, spectra, arithmetic."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from bench.krony.printed import DISTILGPT2, FOUR_TERMS, PERPLEXITY, SCALARS, model_size
from bench.report.plots import STYLE, save
from bench.report.tables import table
from bench.verdict.claims import CLAIMS, KRONY_PT
from bench.verdict.evidence import Evidence

CURVES, SPECTRA = "krony-loss-curves.png", "krony-spectra.png"
PAPERS_NAME = {
    "half": "DistilGPT2",
    "81M": "Krony-PT-81M",
    "95M-pruned": "Krony-PT-95M, pruning",
    "95M-van-loan": "Krony-PT-95M, Van Loan",
    "4-terms-scalars": "Krony-PT-92.2M, 4 terms, scalars",
    "tqcompressor": "TQCompressedGPT2",
    "kngpt2": "KnGPT-2",
}
"""Our students by the model of the paper's tables that they stand for."""


def gathered(found: Evidence, name: str) -> dict[str, Any]:
    """One kind of detail over all rows of the paper, by its own names."""
    parts: dict[str, Any] = {}
    for row in found.rows.values():
        if (claim := CLAIMS.get(row.claim)) and claim.paper is KRONY_PT:
            parts |= row.details.get(name) or {}
    return parts


def draw(found: Evidence, folder: Path) -> list[str]:
    """Write the paper's plots and say what they are called."""
    drawn = []
    if students := gathered(found, "students"):
        _curves(students, folder / CURVES)
        drawn.append(CURVES)
    if spectra := gathered(found, "spectra"):
        _spectra(spectra, folder / SPECTRA)
        drawn.append(SPECTRA)
    return drawn


def _curves(students: dict[str, Any], path: Path) -> None:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8, 4.5), layout="constrained")
        axes = figure.subplots()
        for name, student in sorted(students.items()):
            curves = np.array(student["curves"])
            tokens = np.linspace(0, student["tokens"], curves.shape[1])
            (line,) = axes.plot(tokens, curves.mean(0), linewidth=1, label=name)
            axes.fill_between(tokens, curves.min(0), curves.max(0), color=line.get_color(), alpha=0.12)
        axes.set(xlabel="tokens of training", ylabel="training loss, nats a token (mean and range over seeds)")
        axes.legend(fontsize=6, ncols=2)
        save(figure, path)


def _spectra(spectra: dict[str, Any], path: Path) -> None:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10, 3), layout="constrained")
        grid = np.atleast_1d(figure.subplots(1, len(spectra)))
        for axes, (name, (mean, low, high)) in zip(grid, spectra.items(), strict=True):
            index = np.arange(1, len(mean) + 1)
            axes.bar(index, mean, color="tab:blue", alpha=0.7, label="share of energy, mean over layers")
            axes.vlines(index, low, high, color="black", linewidth=1)
            axes.set(title=name, xlabel="singular value")
        grid[0].set_ylabel("share of squared Frobenius norm")
        save(figure, path)


def sections(found: Evidence) -> list[str]:
    """The page's own sections, those for which there is evidence."""
    parts = [_arithmetic(), _students(found), _healed(found), _spectrum(found)]
    return [part for part in parts if part]


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


def _students(found: Evidence) -> str:
    students = gathered(found, "students")
    base = next((row for row in found.rows.values() if row.details.get("base")), None)
    if not students or base is None:
        return ""
    teacher, size = base.details["base"]["teacher"], base.details["parameters"]
    lines = [["teacher", f"{size:,}", "100 %", f"{teacher:.2f}", "–", "–", *_printed("GPT2")]]
    for name, student in sorted(students.items(), key=lambda item: float(np.mean(item[1]["perplexity"]))):
        values = student["perplexity"]
        mean, span = math.exp(float(np.mean(np.log(values)))), f"{min(values):.2f}–{max(values):.2f}"
        lines.append(
            [
                name,
                f"{student['parameters']:,}",
                f"{student['parameters'] / size:.0%}",
                f"{mean:.2f} ({span})",
                f"{mean / teacher:.3f}",
                f"{student['untrained']:,.1f}",
                *_printed(PAPERS_NAME.get(name, "")),
            ]
        )
    lines.append(["half depth, from scratch", "–", "–", f"{base.details['base']['scratch']:.2f}", "–", "–", "", "", ""])
    lines.append(["5-gram model", "–", "–", f"{base.details['base']['ngram']:.2f}", "–", "–", "", "", ""])
    headers = [
        "student",
        "parameters",
        "of the teacher",
        "perplexity (range over seeds)",
        "over the teacher's",
        "untrained",
        "paper: WikiText-103",
        "WikiText-2",
        "LAMBADA",
    ]
    read, text = base.details["tokens_read"], base.details["tokens_of_text"]
    return (
        "## The paper's tables beside ours\n\nOurs: perplexity a token on scored documents, of students that start "
        f"from one teacher\n({base.model}; {read:,} tokens read of a text of {text:,}) and read the same tokens "
        "each (but where\nthe batch is smaller, in as many steps). The paper's: GPT-2 small and its students (Tables "
        "3–6). Only orders can\nbe compared.\n\n"
        f"{table(lines, headers)}"
    )


def _printed(name: str) -> list[str]:
    return [f"{value:g}" for value in PERPLEXITY[name]] if name in PERPLEXITY else ["", "", ""]


def _healed(found: Evidence) -> str:
    variants = gathered(found, "variants")
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
    headers = [
        "variant",
        "parameters",
        "of the model",
        "block error before",
        "after healing",
        "KL, nats",
        "perplexity ratio",
    ]
    return (
        "## The real model, healed block by block\n\nBlock error is the squared distance from the dense model's hidden "
        "state over that state's squared length, a token's\nmean, over blocks and calibration tokens.\n\n"
        f"{table(lines, headers)}"
    )


def _spectrum(found: Evidence) -> str:
    spectra = gathered(found, "spectra")
    if not spectra:
        return ""
    lines = [
        [name, f"{mean[0]:.2%}", f"{low[0]:.2%}–{high[0]:.2%}", f"{1 / len(mean):.2%}" if len(mean) <= 32 else "–"]
        for name, (mean, low, high) in spectra.items()
    ]
    headers = ["second factor", "energy of one term, mean", "range over layers", "if all were equal"]
    return (
        "## Why one term is hard\n\nThe energy (squared Frobenius norm) of the real model's MLP weights that the best "
        "single Kronecker product holds.\nWere a rearranged matrix of few rows random, its singular values would be "
        f"nearly equal.\n\n{table(lines, headers)}"
    )
