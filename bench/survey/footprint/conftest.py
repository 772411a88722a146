"""Instrument of the footprint benchmark."""

from __future__ import annotations

import pytest

from bench.fixtures import once
from bench.measure.session import Session
from bench.survey.footprint.lab import Footprint
from bench.survey.settings import at
from models.errors import TooLittleText


@pytest.fixture
def footprint(request: pytest.FixtureRequest, session: Session) -> Footprint:
    """Families of methods on the session's model."""
    settings = at(session.settings.scale, session.settings.effort)
    made: Footprint = once(request, ("footprint", id(session)), lambda: Footprint(session, settings))
    if session.store.write is not None:
        try:
            _ = made.windows
        except TooLittleText as error:
            pytest.skip(f"no variant can be scored on this text: {error}")
    return made
