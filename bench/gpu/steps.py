"""Steps of an hour on a card: each a process of its own, so that a driver that fails takes one step with it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SMOKE_BUDGET = "5m"
"""Enough for every test function at quick effort, by estimate; what no longer fits is named."""


@dataclass(frozen=True)
class Step:
    """One command of the hour."""

    name: str
    """What its log is called."""
    arguments: tuple[str, ...]
    """Of Python, such as `-m pytest bench`."""
    silent_seconds: float
    """Time without a line after which it is taken to hang, as it does where a driver fails, and is ended."""


def steps(folder: Path, results: Path, budget: str) -> tuple[Step, ...]:
    """Check of the card, a smoke of every instrument, the scale itself, and the pages of what was measured.

    Args:
        folder: where the smoke's results go.
        results: where those of the scale go, and where an interrupted hour left its own.
        budget: time of the scale as `--time-budget` takes it.
    """
    suite = ("-m", "pytest", "bench", "-m", "gpu", "-p", "no:cacheprovider")
    smoke = ("-p", "bench.gpu.smoke", "--effort=quick", f"--time-budget={SMOKE_BUDGET}", f"--report-dir={folder}")
    scale = (f"--time-budget={budget}", "--resume", f"--report-dir={results}")
    return (
        Step("check", ("-m", "bench.gpu.check"), 300),
        Step("smoke", (*suite, *smoke), 300),
        Step("measure", (*suite, *scale), 1800),
        Step("pages", ("-m", "bench.report", str(results)), 300),
    )


def run(step: Step, log: Path) -> int:
    """Exit status of a step, whose lines are shown and kept in a log; negative where a signal ended it."""
    log.parent.mkdir(parents=True, exist_ok=True)
    command = (sys.executable, "-u", *step.arguments)
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    with log.open("w", encoding="utf-8", buffering=1) as kept, subprocess.Popen(command, **piped) as process:
        try:
            for line in _lines(process, step.silent_seconds):
                print(line, end="", flush=True)
                kept.write(line)
        except BaseException:
            process.terminate()
            raise
    return process.returncode


def _lines(process: subprocess.Popen[str], silent_seconds: float) -> Iterator[str]:
    """Lines of a process, which is ended where none comes for so long."""
    while True:
        watch = threading.Timer(silent_seconds, process.kill)
        watch.start()
        line = process.stdout.readline() if process.stdout else ""
        watch.cancel()
        if not line:
            return
        yield line
