"""Checkpoints that the command line names, and the thresholds that it sets for them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from glob import glob, has_magic
from pathlib import Path

import pytest

RANGES = {"max_ratio": (1.0, math.inf), "max_kl": (0.0, math.inf), "min_top1": (0.0, 1.0), "max_drop": (0.0, 1.0)}
"""Thresholds by option, each above the first number and at most the second."""


def given(config: pytest.Config) -> list[str]:
    """Checkpoints that `--compressed` names, patterns replaced by what they match, each once.

    Raises:
        pytest.UsageError: a pattern that matches nothing.
    """
    paths: list[str] = []
    for path in config.getoption("compressed") or ():
        found = [path] if Path(path).exists() or not has_magic(path) else sorted(glob(path))  # noqa: PTH207 - of a whole pattern, absolute or not
        if not found:
            raise pytest.UsageError(f"--compressed={path} matches no file or folder; give one that exists")
        paths += found
    return list(dict.fromkeys(paths))


def check_thresholds(config: pytest.Config) -> None:
    """Refuse thresholds that say nothing, and those without a checkpoint.

    Raises:
        pytest.UsageError: one of them, with the numbers that it takes.
    """
    for name, (low, high) in RANGES.items():
        value, option = config.getoption(name), f"--{name.replace('_', '-')}"
        if value is None:
            continue
        if not low < value <= high or math.isinf(value):
            most = "" if math.isinf(high) else f" and at most {high:g}"
            raise pytest.UsageError(f"{option} is {value:g}; give a number above {low:g}{most}")
        if not config.getoption("compressed"):
            raise pytest.UsageError(f"{option} is for checkpoints; give them with --compressed")
    for name in ("tasks", "protocols"):
        if config.getoption(name) and not config.getoption("compressed"):
            raise pytest.UsageError(f"--{name} is for checkpoints; give them with --compressed")


def checkpoints_of(paths: Sequence[str]) -> dict[str, str]:
    """Paths by label: the last part of a path, and as many before it as tell checkpoints of one name apart."""
    for parts in range(1, 2 + max((path.count("/") for path in paths), default=0)):
        labels = ["/".join(Path(path).parts[-parts:]) for path in paths]
        if len(set(labels)) == len(labels):
            return dict(zip(labels, paths, strict=True))
    return {path: path for path in paths}
