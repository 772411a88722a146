"""Scales that a session runs: what `-m` asks for, and the GPU that a worker of `-n` takes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product

import pytest
from _pytest.mark.expression import Expression  # pytest has no public evaluation of -m

GPU = "gpu"
OPERATORS = {"and", "or", "not", "True", "False", "None"}
MOST_NAMES = 12
"""Other names in an expression whose every combination is tried; of more, all and none."""


def asks_for_gpu(markexpr: str) -> bool:
    """True if an expression of `-m` names the GPU scale un-negated.

    It does if there is an item, with whatever other marks, that the mark `gpu` lets in and that is out without it.
    """
    return any(with_gpu and not without for with_gpu, without in _outcomes(markexpr))


def shown(markexpr: str, scale: str) -> str:
    """Scales that a session runs, for its header.

    Args:
        markexpr: of `-m`.
        scale: of `--scale`.
    """
    if scale == "paper" or not asks_for_gpu(markexpr):
        return scale
    return f"{scale} and {GPU}" if any(without for _, without in _outcomes(markexpr)) else GPU


def _outcomes(markexpr: str) -> Iterator[tuple[bool, bool]]:
    """Values of an expression for an item with the mark `gpu` and without it, for all marks that it could have else.

    An expression that pytest cannot read has none: pytest names what is wrong with it.
    """
    if not markexpr:
        return
    try:
        expression = Expression.compile(markexpr)
    except Exception:  # its class is pytest's own and changed between versions
        return
    names = sorted(set(re.findall(r"[^\W\d][\w.:-]*", markexpr)) - OPERATORS - {GPU})
    choices = product((False, True), repeat=len(names)) if len(names) <= MOST_NAMES else ([False], [True])
    for choice in choices:
        others = dict(zip(names, list(choice) * len(names), strict=False))
        yield _matches(expression, others | {GPU: True}), _matches(expression, others | {GPU: False})


def _matches(expression: Expression, marks: dict[str, bool]) -> bool:
    def has(name: str, /, **_arguments: object) -> bool:
        return marks.get(name, False)

    return expression.evaluate(has)


def refuse_more_workers_than_gpus(workers: int, gpus: int) -> None:
    """Refuse to put two worker processes on one GPU, where they would share its memory and spoil each other's times.

    A machine without a GPU is left to the rows, which say that they need one.

    Raises:
        pytest.UsageError: there are GPUs, and fewer than workers.
    """
    if workers > gpus > 0:
        most = f"-n {gpus}" if gpus > 1 else "no -n"
        raise pytest.UsageError(
            f"-n gives {workers} workers and this machine has {gpus} GPU(s), one a worker at most; give {most}"
        )


def device_of_worker(device: str, worker: str, gpus: int) -> str:
    """GPU that a process uses.

    Args:
        device: of the settings; a GPU that is named by number is everyone's.
        worker: `gw0`, `gw1` and so on, empty for the only process.
        gpus: how many there are.
    """
    if device != "cuda" or not worker or not gpus:
        return device
    return f"cuda:{int(worker.removeprefix('gw')) % gpus}"
