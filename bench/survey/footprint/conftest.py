"""Instrument of the footprint benchmark."""

from __future__ import annotations

import pytest

from bench.fixtures import once, skip_unless_usable
from bench.measure.session import Session
from bench.survey.footprint.lab import Footprint
from bench.survey.settings import at


@pytest.fixture
def footprint(request: pytest.FixtureRequest, session: Session) -> Footprint:
    """Families of methods on the session's model."""
    settings = at(session.settings.scale, session.settings.effort)
    made: Footprint = once(request, ("footprint", id(session)), lambda: Footprint(session, settings))
    skip_unless_usable(made, lambda: made.windows)
    return made
