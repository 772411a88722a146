"""Instrument of preference distillation."""

from __future__ import annotations

import pytest

from bench.fixtures import in_time, once, skip_unless_usable
from bench.measure.session import Session
from bench.survey.preferences.lab import Preferences
from bench.survey.preferences.settings import at
from bench.survey.trained import settings as training


@pytest.fixture
def preferences(request: pytest.FixtureRequest, session: Session) -> Preferences:
    """Students that learn their teacher's preferences."""
    scale, effort = session.settings.scale, session.settings.effort
    settings, trained = in_time(at(scale, effort)), in_time(training.at(scale, effort))
    made: Preferences = once(request, ("preferences", id(session)), lambda: Preferences(session, settings, trained))
    skip_unless_usable(made, lambda: made.texts.own)
    return made
