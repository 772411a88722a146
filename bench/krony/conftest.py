"""Instruments of Krony-PT's claims."""

from __future__ import annotations

import pytest

from bench.fixtures import enough, in_time, once, skip_unless_usable
from bench.krony.healed import Healed
from bench.krony.ladder import Ladder
from bench.krony.paper import PaperModels
from bench.krony.rungs import FOUR, MANY_SMALL, P81, P95
from bench.krony.settings import healed_at, ladder_at
from bench.krony.weights import Weights
from bench.measure.session import Session
from models.errors import InputError


@pytest.fixture
def ladder(request: pytest.FixtureRequest, session: Session) -> Ladder:
    """The ladder of the session's scale and effort."""
    scale, effort = session.settings.scale, session.settings.effort
    if scale.startswith("paper"):
        pytest.skip("stated for a teacher trained on the spot; bench/krony/test_paper.py has the paper's own")
    settings = in_time(ladder_at(scale, effort))
    made: Ladder = once(request, ("ladder", id(session)), lambda: Ladder(session, settings))
    skip_unless_usable(made, lambda: enough(made.shortage))
    return made


@pytest.fixture
def weights(request: pytest.FixtureRequest, session: Session) -> Weights:
    """MLP weights of the session's model, which must factorise as the claims ask."""
    made: Weights = once(request, ("weights", id(session)), lambda: Weights(session, {}))
    if session.store.write is not None and (misfit := made.misfit((P81, P95, FOUR, MANY_SMALL))):
        pytest.skip(misfit)
    return made


@pytest.fixture
def healed(request: pytest.FixtureRequest, session: Session) -> Healed:
    """The factorised real model of the session's scale and effort."""
    scale, effort = session.settings.scale, session.settings.effort
    if scale.startswith("paper"):
        pytest.skip("stated for block-local healing; bench/krony/test_paper.py trains end to end")
    settings = in_time(healed_at(scale, effort))
    request.getfixturevalue("weights")
    return once(request, ("healed", id(session)), lambda: Healed(session, settings))


@pytest.fixture
def paper(request: pytest.FixtureRequest, session: Session) -> PaperModels:
    """Krony-PT's own models and texts."""
    try:
        made = once(request, ("paper", id(session)), lambda: PaperModels.of(session))
        _ = made.texts
    except InputError as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)
    return made
