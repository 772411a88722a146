"""The instrument of the Berkeley report's trained claims, which the survey's on distillation share."""

from __future__ import annotations

from functools import partial

import pytest

from bench.fixtures import in_time, once, skip_unless_usable
from bench.measure.session import Session
from bench.small_models.lab import SmallModels
from bench.small_models.settings import at
from bench.small_models.sources import documents_and_task


@pytest.fixture
def small(request: pytest.FixtureRequest, session: Session) -> SmallModels:
    """The protocol of the session's scale and effort, on its task."""
    scale, effort = session.settings.scale, session.settings.effort
    settings = in_time(at(scale, effort))
    make = partial(documents_and_task, session, settings)
    made: SmallModels = once(request, ("small", id(session)), lambda: SmallModels(session, settings, "task", make))
    skip_unless_usable(made, lambda: made.trainer.corrupted)
    return made
