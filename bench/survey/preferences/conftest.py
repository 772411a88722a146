"""Instrument of preference distillation."""

from __future__ import annotations

import pytest

from bench.fixtures import once
from bench.measure.session import Session
from bench.survey.preferences.lab import Preferences
from bench.survey.preferences.settings import at
from bench.survey.trained import settings as training
from models.errors import TooLittleText


@pytest.fixture
def preferences(request: pytest.FixtureRequest, session: Session) -> Preferences:
    """Students that learn their teacher's preferences."""
    scale, effort = session.settings.scale, session.settings.effort
    settings, trained = at(scale, effort), training.at(scale, effort)
    if settings is None or trained is None:
        pytest.skip("its models cannot be trained in the time of this effort; use --effort=thorough")
    made: Preferences = once(request, ("preferences", id(session)), lambda: Preferences(session, settings, trained))
    if session.store.write is not None:
        try:
            _ = made.texts.own
        except TooLittleText as error:
            pytest.skip(f"no model can be trained on this text: {error}")
    return made
