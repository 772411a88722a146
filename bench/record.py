"""Writing to the record: headers of runs, what may replace what, and which folder an entry goes to."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import subprocess
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from bench.options import Folders
from bench.verdict.evidence import FORMAT, DamagedRecord, Evidence, Result, Variant, append, outranks, read

ROOT = Path(__file__).parents[1]
OPTIONS = (
    "scale",
    "effort",
    "model",
    "dense",
    "compressed",
    "text",
    "contexts",
    "device",
    "dtype",
    "keyword",
    "markexpr",
    "claims",
)
PACKAGES = ("torch", "transformers", "numpy", "scipy")


@dataclass
class Recorder:
    """Appends this process's entries to the folders of their scales, a header before the first."""

    options: dict[str, str]
    refused: list[str] = field(default_factory=list)
    """Rows that the record did not take, because the ones that stand were measured with more effort."""
    _begun: set[Path] = field(default_factory=set)

    @cached_property
    def header(self) -> dict[str, Any]:
        """Versions, machine and options of this start of the suite."""
        return run_header(self.options)

    def add(self, folders: Folders, entry: Result | Variant) -> None:
        """Append a row or a variant; a row of lower effort than the record's is left out of it and named."""
        if isinstance(entry, Result) and folders.run == folders.record:
            standing = read(folders.run).rows.get(entry.row)
            if standing is not None and not outranks(entry, standing):
                self.refused.append(
                    f"{entry.row}: on record with {standing.effort} effort ({standing.verdict}), not replaced by "
                    f"{entry.effort or 'a row that was not run'}"
                )
                return
        try:
            if folders.run not in self._begun:
                append(folders.run, self.header)
                self._begun.add(folders.run)
            append(folders.run, replace(entry, run=self.header["run"]))
        except OSError as error:
            reason = (
                f"{folders.run} cannot be written ({error.strerror or error}); give another folder with --report-dir"
            )
            pytest.exit(reason, returncode=pytest.ExitCode.USAGE_ERROR)


def options_of(config: pytest.Config) -> dict[str, str]:
    """Options of this start, files and folders without where they lie: pages are shared, machines are not."""
    return {name: _named(config.getoption(name)) for name in OPTIONS}


def _named(value: object) -> str:
    return Path(value).name if isinstance(value, (str, Path)) and Path(value).is_absolute() else str(value)


def run_header(options: dict[str, str]) -> dict[str, Any]:
    """Header of a run: versions, machine and options."""
    import torch  # noqa: PLC0415 - a run that measures nothing needs none of it

    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")
    return {
        "run": f"{now} {os.getpid()}",
        "format": FORMAT,
        "suite": importlib.metadata.version("lm-compression-bench"),
        "started": now,
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
        "machine": f"{platform.system()} {platform.machine()}, {torch.get_num_threads()} threads",
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_initialized() else None,
        "float32_products": torch.get_float32_matmul_precision(),
        "commit": _commit(),
        "options": options,
    }


def _commit() -> str:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "unknown: no git"
    return done.stdout.strip() or "unknown: no checkout"


KNOWN = pytest.StashKey[dict[Path, Evidence]]()
"""Evidence of folders as it was when the session first asked."""


def known_evidence(config: pytest.Config, folder: Path | None) -> Evidence:
    """Evidence of a folder as it was when the session first asked; empty where there is none.

    A record that cannot be used ends the session with one sentence.
    """
    if folder is None:
        return Evidence()
    known = config.stash.setdefault(KNOWN, {})
    if folder not in known:
        try:
            known[folder] = read(folder)
        except DamagedRecord as error:
            pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)
    return known[folder]


def row_of(config: pytest.Config, folder: Path | None, name: str) -> Result | None:
    """Row of a folder, as it was when the session first asked; None where there is none or it was not run."""
    known = known_evidence(config, folder).rows.get(name)
    return known if known is not None and known.was_run else None
