"""Borrowed hour on a GPU in one command: `python -m bench.gpu` checks the card, measures and packs (`make gpu`)."""

from __future__ import annotations

import argparse
import datetime
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.budget import seconds_of
from bench.gpu.pack import MOST_BYTES, pack, slug
from bench.gpu.steps import Step, run, steps

RESULTS = Path("reports/local/gpu")
"""Where `pytest bench -m gpu` writes, so that either goes on with what the other left."""
HOUR = Path("build/gpu")
BUNDLE = Path("build/gpu-bundle/open")
NO_DEVICE = 2
"""Status of the check on a machine without a GPU."""
INTERRUPTED = 130
"""Status of a command that Ctrl-C ended."""


def hour(planned: tuple[Step, ...], folder: Path, keep: Callable[[], None], execute: Callable[..., int] = run) -> int:
    """Status of the steps in turn; what they measured is kept however they end.

    A card without which nothing can be measured ends the hour at once. A kernel, a smoke or a row that fails is said,
    and the rest goes on: an hour is short.

    Args:
        planned: the check of the card first.
        folder: where logs go.
        keep: packs what there is.
        execute: runs a step with its log.
    """
    failed = []
    if (status := execute(planned[0], folder / "check.log")) == NO_DEVICE:
        return NO_DEVICE
    failed += [planned[0].name] if status else []
    try:
        for step in planned[1:]:
            print(f"--- {step.name}", flush=True)
            failed += [step.name] if execute(step, folder / f"{step.name}.log") else []
    finally:
        keep()
    if failed:
        print(f"not all went well in: {', '.join(failed)}; see the logs in {folder}", file=sys.stderr)
    return 1 if failed else 0


def _keep() -> None:
    name = slug((HOUR / "check.log").read_text(encoding="utf-8").partition(":")[0])  # the check names the card first
    now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M")
    archive = HOUR.with_name(f"gpu-{name}-{now}.tar.xz")
    left = pack({"gpu": RESULTS, "hour": HOUR}, archive)
    size = archive.stat().st_size
    print(f"--- packed {archive}, {size / 1e6:.1f} MB{f', without {len(left)} plots' if left else ''}")
    if size > MOST_BYTES:
        print(f"{archive} is above {MOST_BYTES / 1e6:g} MB; split it to carry it", file=sys.stderr)


def _time(asked: str) -> str:
    """Time that `--time-budget` takes, refused before an hour is spent."""
    try:
        seconds_of(asked)
    except pytest.UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return asked


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 2 without a GPU, 1 where something failed, with what was measured packed all the same."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description="Measure on a borrowed GPU and pack.")
    parser.add_argument(
        "--budget", type=_time, default="50m", help="time to measure in after the smoke, such as 50m or 2h"
    )
    chosen = parser.parse_args(arguments)
    if (BUNDLE / "assets").is_dir():
        from bench.gpu.bundle import fill  # noqa: PLC0415 - where something was carried over

        fill(BUNDLE / "assets")
    shutil.rmtree(HOUR, ignore_errors=True)
    try:
        return hour(steps(HOUR / "smoke", RESULTS, chosen.budget), HOUR, _keep)
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    raise SystemExit(main())
