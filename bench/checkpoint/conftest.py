"""One instrument a checkpoint that `--compressed` names, and a test for each of its rows."""

from __future__ import annotations

import pytest

from bench.checkpoint.dense import Dense
from bench.checkpoint.judge import Checkpoint
from bench.checkpoint.settings import at
from bench.fixtures import once
from bench.given import checkpoints_of, given
from bench.measure.session import Session
from models.errors import InputError


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give every row of every checkpoint its own test; a module's `rows_of` declares them, checkpoint by checkpoint."""
    if "checkpoint" not in metafunc.fixturenames:
        return
    pairs = [
        pytest.param(path, row, id=row.name, marks=pytest.mark.claim(row.of))
        for label, path in checkpoints_of(given(metafunc.config)).items()
        for row in vars(metafunc.module)["rows_of"](metafunc.config, label)
    ]
    metafunc.parametrize(("checkpoint", "row"), pairs, indirect=["checkpoint"])


@pytest.fixture
def checkpoint(request: pytest.FixtureRequest, session: Session) -> Checkpoint:
    """A checkpoint that `--compressed` names; the dense model's side is made once for all of them."""
    path, settings = request.param, at(session.settings.scale, session.settings.effort)
    dense: Dense = once(request, ("dense", id(session)), lambda: Dense(session, settings))
    try:
        _ = dense.windows
    except InputError as error:  # of the dense model or the text, which all checkpoints share
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)
    made: Checkpoint = once(
        request, ("checkpoint", path, id(session)), lambda: Checkpoint(session, settings, dense, path)
    )
    return made
