"""Steps of an hour on a card: each a process of its own, so that a driver that fails takes one step with it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SMOKE_BUDGET = "2m"


@dataclass(frozen=True)
class Step:
    """One command of the hour."""

    name: str
    """What its log is called."""
    arguments: tuple[str, ...]
    """Of Python, such as `-m pytest bench`."""
    most_seconds: float
    """Time after which it is taken to hang and is ended."""


def steps(folder: Path, results: Path, budget: str, seconds: float) -> tuple[Step, ...]:
    """Check of the card, a smoke of every instrument, the scale itself, and the pages of what was measured.

    Args:
        folder: where the smoke's results go.
        results: where those of the scale go, and where an interrupted hour left its own.
        budget: time of the scale as `--time-budget` takes it.
        seconds: that time in seconds.
    """
    suite = ("-m", "pytest", "bench", "-m", "gpu", "-p", "no:cacheprovider")
    smoke = ("-p", "bench.gpu.smoke", "--effort=quick", f"--time-budget={SMOKE_BUDGET}", f"--report-dir={folder}")
    scale = (f"--time-budget={budget}", "--resume", f"--report-dir={results}")
    return (
        Step("check", ("-m", "bench.gpu.check"), 300),
        Step("smoke", (*suite, *smoke), 900),
        Step("measure", (*suite, *scale), 1.2 * seconds + 900),
        Step("pages", ("-m", "bench.report", str(results)), 300),
    )


def run(step: Step, log: Path) -> int:
    """Exit status of a step, whose lines are shown and kept in a log; negative where a signal ended it."""
    command: Sequence[str] = (sys.executable, "-u", *step.arguments)
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("w", encoding="utf-8") as kept,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as process,
    ):
        watch = threading.Timer(step.most_seconds, process.kill)
        watch.start()
        try:
            for line in process.stdout or ():
                print(line, end="", flush=True)
                kept.write(line)
                kept.flush()
        except BaseException:
            process.terminate()
            raise
        finally:
            watch.cancel()
    return process.returncode
