"""Instruments of the survey's claims."""

from __future__ import annotations

import pytest

from bench.fixtures import once
from bench.measure.session import Session
from bench.survey.lab import Survey
from bench.survey.paper import OPT
from bench.survey.settings import at
from models.errors import InputError, TooLittleText


@pytest.fixture
def survey(request: pytest.FixtureRequest, session: Session) -> Survey:
    """One-shot methods on the session's model."""
    settings = at(session.settings.scale, session.settings.effort)
    made: Survey = once(request, ("survey", id(session)), lambda: Survey(session, settings))
    if session.store.write is not None:
        try:
            _ = made.windows
        except TooLittleText as error:
            pytest.skip(f"the survey's methods cannot be scored on this text: {error}")
    return made


@pytest.fixture
def opt(request: pytest.FixtureRequest, session: Session) -> OPT:
    """The survey's own model and texts."""
    settings = at(session.settings.scale, session.settings.effort)
    try:
        made = once(request, ("opt", id(session)), lambda: OPT.of(session, settings))
        _ = made.lines, made.calibration
    except InputError as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)
    return made
