"""What was measured, one line a result, written as each test ends; the only source of the report.

`evidence.jsonl` holds two kinds of line: `run` (versions, device, settings of one start of the suite) and
`row` (one result, naming its run). A row that comes later replaces an earlier one with the same name.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import math
import platform
import subprocess
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy
import scipy
import torch
import transformers

from bench.verdict.regions import Verdict

FILE = "evidence.jsonl"
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Row:
    """One result. A row without a claim id of the papers belongs to the suite's own instruments."""

    row: str
    """Such as LC3-rtn-w3-g64."""
    claim: str
    verdict: str
    reason: str = ""
    """Why a row was not run or cannot be decided, and what would decide it."""
    method: str = ""
    statistic: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    accept_low: float | None = None
    accept_high: float | None = None
    """None where the region is open."""
    scale: str = ""
    model: str = ""
    model_sha256: str = ""
    text: str = ""
    text_sha256: str = ""
    protocol: str = ""
    documents: int = 0
    tokens: int = 0
    """Read by the model for this result."""
    seed: int = 0
    seconds: float = 0.0
    peak_bytes: int = 0
    details: dict[str, Any] = field(default_factory=dict)
    """Curves for the plots, and tables of the instruments."""
    run: str = ""


def clean(value: Any) -> Any:
    """The value with every float that JSON cannot hold made a None."""
    if isinstance(value, dict):
        return {key: clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def append(folder: Path, kind: str, entry: dict[str, Any]) -> None:
    """Add one line to the folder's evidence, so that an interrupted run keeps what it has."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"kind": kind, **clean(entry)}, ensure_ascii=False) + "\n")


@dataclass(frozen=True)
class Evidence:
    """All of one folder: the latest row of every name, and the runs they come from."""

    rows: dict[str, Row]
    runs: dict[str, dict[str, Any]]


def read(folder: Path) -> Evidence:
    """The evidence in a folder; empty where there is none. A last line that was cut off is left out."""
    rows: dict[str, Row] = {}
    runs: dict[str, dict[str, Any]] = {}
    path = folder / FILE
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = {f.name for f in fields(Row)}
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
        except json.JSONDecodeError as error:
            if number == len(lines):
                continue  # the run was interrupted while writing it
            raise ValueError(f"{path} line {number} is not JSON ({error}); delete that line") from error
        if entry.pop("kind") == "run":
            runs[entry["run"]] = entry
        else:
            rows[entry["row"]] = Row(**{key: value for key, value in entry.items() if key in names})
    return Evidence(rows, runs)


def compact(folder: Path) -> None:
    """Rewrite a folder's evidence with only the latest row of each name and the runs those come from."""
    found = read(folder)
    used = {row.run for row in found.rows.values()}
    beside = folder / f"{FILE}.part"
    with beside.open("w", encoding="utf-8") as file:
        for run in found.runs.values():
            if run["run"] in used:
                file.write(json.dumps({"kind": "run", **run}, ensure_ascii=False) + "\n")
        for row in found.rows.values():
            file.write(json.dumps({"kind": "row", **asdict(row)}, ensure_ascii=False) + "\n")
    beside.replace(folder / FILE)


def recorded_verdict(folders: list[Path], row: Row) -> Verdict | None:
    """What the first folder that knows this row, for this very model, text and protocol, says of it."""
    for folder in folders:
        found = read(folder).rows.get(row.row)
        if found is not None and found.verdict != Verdict.NOT_RUN.value and _same_measurement(found, row):
            return Verdict(found.verdict)
    return None


def _same_measurement(first: Row, second: Row) -> bool:
    names = ("model_sha256", "text_sha256", "protocol", "documents")
    return all(getattr(first, name) == getattr(second, name) for name in names)


def run_header(options: dict[str, Any]) -> dict[str, Any]:
    """Versions, machine and settings of one start of the suite."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    cuda = torch.cuda.is_available()
    return {
        "run": f"{now} {platform.node()}",
        "started": now,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
        "machine": f"{platform.system()} {platform.machine()}, {torch.get_num_threads()} threads",
        "gpu": torch.cuda.get_device_name() if cuda else None,
        "tf32": torch.backends.cuda.matmul.allow_tf32,
        "dtype": "float32",
        "commit": _commit(),
        "code": code_sha256(),
        "options": options,
    }


def _commit() -> str:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "unknown: no git"
    return done.stdout.strip() or "unknown: no checkout"


def code_sha256() -> str:
    """Of every file that a measurement depends on: models, compress, and how benches measure."""
    files = [file for folder in ("models", "compress", "bench") for file in (ROOT / folder).rglob("*.py")]
    files = [file for file in files if not file.name.startswith("test_")]
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.relative_to(ROOT).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()[:16]
