"""Sessions at toy size, and the suite as its user runs it."""

import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from bench.measure.session import Session
from bench.measure.settings import SCALES
from bench.measure.store import Store

ROOT = Path(__file__).parents[2]
ALGEBRA = ("bench/krony/test_algebra.py",)
"""Rows that take a moment."""


class Silent:
    """A progress that shows nothing."""

    @contextmanager
    def variant(self, _name, _tokens):
        yield lambda _count: None


def session(folder, scale="embedded", *, effort="quick", **changes):
    """A session that keeps its variants in memory."""
    settings = replace(SCALES[scale][effort], device="cpu", **changes)
    return Session(settings, Store(write=lambda _entry: None), Silent(), folder)


def suite(*arguments, env=None, places=("bench",)):
    """Run the suite's own command in a process of its own."""
    command = [sys.executable, "-m", "pytest", *places, "-p", "no:cacheprovider", *map(str, arguments)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", **(env or {})}
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)


def told(done):
    """What a run printed, on one line."""
    return " ".join((done.stdout + done.stderr).split())
