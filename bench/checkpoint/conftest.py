"""The instrument that judges what `--compressed` names."""

from __future__ import annotations

import pytest

from bench.checkpoint.judge import Checkpoint
from bench.fixtures import once
from bench.measure.session import Session
from bench.survey.settings import at
from models.errors import InputError


@pytest.fixture
def checkpoint(request: pytest.FixtureRequest, session: Session) -> Checkpoint:
    """The checkpoint that `--compressed` names."""
    settings = at(session.settings.scale, session.settings.effort)
    try:
        made: Checkpoint = once(request, ("checkpoint", id(session)), lambda: Checkpoint(session, settings))
        made.judged()
    except InputError as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)
    return made
