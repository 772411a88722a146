"""Evidence as markdown: the matrix, a page for a folder, a page for each paper and one for the instrument.

Pure functions of what was read; nothing is measured or written here.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tabulate import tabulate

from bench.report.tables import table
from bench.verdict.claims import CLAIMS, KRONY_PT, LONG_CONTEXT, NOT_BUILT, SMALL_MODELS, SURVEY, Paper
from bench.verdict.evidence import FILE, Evidence, Row
from bench.verdict.regions import Region, Verdict, combine

BUILT = {
    LONG_CONTEXT.key: "long-context",
    KRONY_PT.key: "krony-pt",
    SURVEY.key: "survey",
    SMALL_MODELS.key: "small-models",
}
BUILT_CLAIMS = frozenset(
    {f"LC{i}" for i in range(1, 9)}
    | {f"KP{i}" for i in range(1, 13)}
    | {f"SV{i}" for i in (*range(1, 7), 9, 10, 12, 13, 15, 16, 17)}
    | {f"SL{i}" for i in range(1, 11)}
)
NEEDS_RUN = "run `pytest bench`, or `pytest bench -m gpu` where there is a CUDA GPU"
PARTS = {
    "SL7": "Table 4.6 gives each teacher its own α and T; the control rows have those of Small with both teachers.",
    "SV12": "Outliers are those of the calibration text, at the threshold of 6 that the method has for larger models.",
}
CONTROLS = frozenset(
    {
        "LC7-summed",
        "LC2-magnitude-relative",
        "LC2-wanda-relative",
        "KP5-healed-van-loan-over-fit",
        "KP5-healed-van-loan-over-fit-95M",
        "KP6-healed-4-terms-over-fit",
        "SL10-2048",
        "SL7-spread-equal-settings-mini",
        "SL7-spread-equal-settings-tiny",
        "SV16-rationales-same-data",
        "SV9-kl-rtn-over-gptq-w4",
        "SV9-kl-rtn-over-gptq-w3",
        "SV12-llm-int8-inf",
        "SV12-smoothquant-0.5",
    }
    | {f"SL1-{name}-heads-of-64" for name in ("tiny", "mini", "small", "base")}
)
"""Rows that show an instrument works and are no part of the claim."""


def rows_of(found: Evidence, claim: str) -> list[Row]:
    """The rows of a claim by name."""
    return sorted((row for row in found.rows.values() if row.claim == claim), key=lambda row: row.row)


def verdict_of(found: Evidence, claim: str) -> tuple[Verdict, str]:
    """A claim's verdict over its parts, and how many parts came to what (or why there are none)."""
    rows = rows_of(found, claim)
    if not rows:
        return Verdict.NOT_RUN, NEEDS_RUN if claim in BUILT_CLAIMS else NOT_BUILT
    verdicts = [Verdict(row.verdict) for row in rows if row.row not in CONTROLS]
    counts = ", ".join(f"{n} {v.value}" for v in Verdict if (n := verdicts.count(v)))
    return combine(verdicts), counts


def matrix(folders: dict[str, Evidence]) -> str:
    """The page with every claim against every folder of evidence."""
    headers = ["claim", "paper", "statement", *(f"[{name}]({name}/README.md)" for name in folders)]
    lines = []
    for claim in CLAIMS.values():
        cells = [_cell(*verdict_of(found, claim.id)) for found in folders.values()] or [
            _cell(Verdict.NOT_RUN, NOT_BUILT)
        ]
        lines.append([claim.id, f"{claim.paper.key}, {claim.place}", claim.text, *cells])
    return (
        "# Verdicts\n\n"
        f"{len(CLAIMS)} claims of four papers, each against every model and scale it was measured on. A claim of\n"
        "several parts is *reproduced* only with all of them and *not reproduced* with any; counts are of parts.\n\n"
        f"{table(lines, headers)}\n"
    )


def _cell(verdict: Verdict, note: str) -> str:
    return f"*{verdict.value}*: {note}" if verdict is Verdict.NOT_RUN else f"**{verdict.value}** ({note})"


def summary(found: Evidence) -> str:
    """The matrix for the terminal: a line a claim that has rows, then one for the rest."""
    lines = []
    for claim in [*CLAIMS, "INSTRUMENT", "VERDICTS", "CHECKPOINT"]:
        if rows_of(found, claim):
            verdict, counts = verdict_of(found, claim)
            lines.append([claim, verdict.value, counts])
    missing = [claim for claim in CLAIMS if not rows_of(found, claim)]
    if missing:
        lines.append(["others", Verdict.NOT_RUN.value, f"{len(missing)} claims: {missing[0]} ... {missing[-1]}"])
    return tabulate(lines, headers=["claim", "verdict", "parts"], tablefmt="simple", disable_numparse=True)


def overview(name: str, found: Evidence) -> str:
    """The first page of one folder: what was run, and its claims."""
    lines = [[claim.id, claim.text, _cell(*verdict_of(found, claim.id))] for claim in CLAIMS.values()]
    links = ", ".join(f"[{key}]({stem}.md)" for key, stem in BUILT.items())
    return (
        f"# {name}\n\nPages: {links}, [instrument](instrument.md). All numbers are in `{FILE}`.\n\n"
        f"{_runs(found, found.rows.values())}\n\n{table(lines, ['claim', 'the paper says', 'verdict'])}\n"
    )


def _runs(found: Evidence, rows: Iterable[Row]) -> str:
    """What a page's rows were measured on, by which runs."""
    rows = [row for row in rows if row.verdict != Verdict.NOT_RUN.value]
    models = [f"`{name}` (sha256 {digest[:12]})" for name, digest in _pairs(rows, "model") if digest]
    made = [name for name, digest in _pairs(rows, "model") if not digest]
    texts = [f"{name} (sha256 {digest[:12]})" for name, digest in _pairs(rows, "text") if digest]
    protocols = sorted({row.protocol for row in rows if row.protocol})
    documents = sorted({row.documents for row in rows if row.documents})
    lines = [
        f"- models: {'; '.join([*models, *made]) or 'none'}",
        f"- texts: {'; '.join(texts) or 'none'}; {'/'.join(map(str, documents)) or 'no'} scored documents or windows",
        *(f"- protocol: {protocol}" for protocol in protocols),
        "- intervals: 95 %, over documents unless a row says otherwise",
    ]
    runs = {row.run for row in rows}
    lines += [
        f"- run {run['started']}: commit {run['commit']}, code {run['code']}, torch {run['torch']}, transformers "
        f"{run['transformers']}, Python {run['python']}, {run['gpu'] or run['machine']}, {run['dtype']}, "
        f"TF32 {'on' if run['tf32'] else 'off'}, effort {run['options'].get('effort', '?')}"
        for name, run in found.runs.items()
        if name in runs
    ]
    note = ""
    if any("smollm2" in model for model in models):
        note = (
            "\n\nSmolLM2's weights come dequantized from Q4_1, a grid of groups of 32 with a minimum: an\n"
            "asymmetric 4-bit quantizer in groups of 32 would find them nearly lossless, so groups of 64 are used."
        )
    return "\n".join(lines) + note


def _pairs(rows: Iterable[Row], name: str) -> list[tuple[str, str]]:
    return sorted({(getattr(row, name), getattr(row, f"{name}_sha256")) for row in rows if getattr(row, name)})


def paper_page(paper: Paper, found: Evidence, drawn: Iterable[str], more: Iterable[str] = ()) -> str:
    """A paper's claims: what it says, what was measured, the verdict; then its own sections, plots and curves."""
    claims = [claim for claim in CLAIMS.values() if claim.paper is paper]
    own = [row for claim in claims for row in rows_of(found, claim.id)]
    parts = [f"# {paper.title}\n\nThe paper measured {paper.models}.\n\n{_runs(found, own)}"]
    for claim in claims:
        rows = rows_of(found, claim.id)
        if not rows:
            continue
        verdict, counts = verdict_of(found, claim.id)
        results = table([_result(row) for row in rows], RESULT)
        note = f"\n\n{PARTS[claim.id]}" if claim.id in PARTS else ""
        title = f"## {claim.id}: {verdict.value} ({counts})\n\n{claim.place}: {claim.text}{note}"
        parts.append(f"{title}\n\n{results}{_reasons(rows)}")
    parts.extend(more)
    parts.extend(f"![{Path(name).stem}]({name})" for name in drawn)
    parts.append(
        _curves(row for row in found.rows.values() if CLAIMS.get(row.claim) and CLAIMS[row.claim].paper is paper)
    )
    missing = [claim for claim in CLAIMS.values() if claim.paper is paper and not rows_of(found, claim.id)]
    if missing:
        lines = [[claim.id, claim.text, verdict_of(found, claim.id)[1]] for claim in missing]
        parts.append(f"## Not run\n\n{table(lines, ['claim', 'the paper says', 'why'])}")
    return "\n\n".join(part for part in parts if part)


def results(found: Evidence, claim: str) -> str:
    """A claim's rows as a table."""
    return table([_result(row) for row in rows_of(found, claim)], RESULT)


RESULT = ["row", "statistic", "measured [95 % interval]", "accepted", "verdict"]


def _result(row: Row) -> list[str]:
    name = f"{row.row} (control)" if row.row in CONTROLS else row.row
    return [name, row.statistic, interval_of(row), _region(row), f"**{row.verdict}**"]


def interval_of(row: Row) -> str:
    """The estimate with its interval; open ends as infinity."""
    if row.value is None:
        return "–"
    low, high = ("∞" if x is None else f"{x:.4g}" for x in (row.low, row.high))
    return f"{row.value:.4g} [{low}, {high}]"


def _region(row: Row) -> str:
    low, high = row.accept_low, row.accept_high
    if low is None and high is None:
        return "–"
    return str(Region(-float("inf") if low is None else low, float("inf") if high is None else high))


def _reasons(rows: list[Row]) -> str:
    reasons = [f"- {row.row}: {row.reason}" for row in rows if row.reason]
    return "\n\n" + "\n".join(reasons) if reasons else ""


def _curves(rows: Iterable[Row]) -> str:
    """Every variant's measurements at each context."""
    variants = {row.method: row for row in rows if row.details.get("series")}
    if not variants:
        return ""
    lines = []
    for method, row in sorted(variants.items()):
        series, packed = row.details["series"], row.details["summary"]
        for i, context in enumerate(row.details["contexts"]):
            cells = ["{:.4g} [{:.3g}, {:.3g}]".format(*series[name][i]) for name in ("kl", "reverse_kl", "loss_change")]
            agree = "{:.1%}".format(series["agreement"][i][0])
            first = (
                [method, f"{packed['sparsity']:.1%}", f"{packed['bits_per_weight']:.2f}"] if i == 0 else ["", "", ""]
            )
            lines.append([*first, context, cells[0], cells[1], agree, cells[2]])
    headers = [
        "variant",
        "zeros",
        "bits a weight",
        "context",
        "KL compressed‖dense",
        "KL dense‖compressed",
        "top-1 agreement",
        "change in loss",
    ]
    first = next(iter(variants.values())).details["summary"]
    return (
        "## Every variant at every context\n\nNats a token; perplexity changes by the factor exp(change in loss). Bits "
        "count codes or kept values, scales, zero\npoints and masks. All variants are simulated: the model in memory "
        f"holds its {first['layers']:.0f} compressed layers at full width ({first['held_bytes'] / 1e6:.0f} MB);\n"
        f"{first['skipped']:.0f} modules (embeddings, norms, output matrix) are left as they are.\n\n"
        + table(lines, headers)
    )


def instrument_page(found: Evidence) -> str:
    """What the instrument can see, and how often its verdicts are wrong."""
    own = [row for claim in ("INSTRUMENT", "VERDICTS") for row in rows_of(found, claim)]
    parts = [f"# The instrument\n\n{_runs(found, own)}"]
    titles = {"INSTRUMENT": "Noise and positive control", "VERDICTS": "Errors of the verdict engine"}
    for claim, title in titles.items():
        rows = rows_of(found, claim)
        if rows:
            parts.append(f"## {title}\n\n{table([_result(row) for row in rows], RESULT)}{_reasons(rows)}")
    rates = [
        [row.row.removeprefix("VERDICTS-"), f"{row.details['truth']:g}", interval_of(row), f"{row.details['bca']:.3f}"]
        for row in rows_of(found, "VERDICTS")
        if "bca" in row.details
    ]
    if rates:
        false = table(rates, ["false claim", "true growth", "called reproduced", "had BCa intervals been used"])
        parts.append(
            f"## Rate of false 'reproduced'\n\nSimulated documents made of the model's own per-token KL.\n\n{false}"
        )
    powers = [
        [row.row.removeprefix("VERDICTS-power-"), truth, f"{power:.3f}"]
        for row in rows_of(found, "VERDICTS")
        for truth, power in row.details.get("power", {}).items()
    ]
    if powers:
        power = table(powers, ["claim", "true growth", "called reproduced"])
        parts.append(f"## Power at this number of documents\n\n{power}")
    return "\n\n".join(parts)
