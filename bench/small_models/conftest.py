"""The instrument of the Berkeley report's trained claims, which the survey's on distillation share."""

from __future__ import annotations

from functools import partial

import pytest

from bench.fixtures import once
from bench.measure.session import Session
from bench.small_models.lab import SmallModels
from bench.small_models.settings import at
from bench.small_models.sources import documents_and_task
from models.errors import TooLittleText


@pytest.fixture
def small(request: pytest.FixtureRequest, session: Session) -> SmallModels:
    """The protocol of the session's scale and effort, on its task."""
    scale, effort = session.settings.scale, session.settings.effort
    settings = at(scale, effort)
    if settings is None:
        pytest.skip("its models cannot learn in the time of this effort; use --effort=thorough")
    make = partial(documents_and_task, session, settings)
    made: SmallModels = once(request, ("small", id(session)), lambda: SmallModels(session, settings, "task", make))
    if session.store.write is not None:
        try:
            _ = made.trainer.corrupted
        except TooLittleText as error:
            pytest.skip(f"no small model can be trained on this text: {error}")
    return made
