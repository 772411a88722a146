"""Instruments of the survey's claims."""

from __future__ import annotations

from functools import partial

import pytest

from bench.fixtures import enough, in_time, once, skip_unless_usable
from bench.measure.session import Session
from bench.survey import features as feature_distillation
from bench.survey import saliency
from bench.survey.distillation import settings as distilling
from bench.survey.distillation.lab import Distillation
from bench.survey.features import FeatureDistillation
from bench.survey.gradients import GradientSurvey
from bench.survey.lab import Survey
from bench.survey.low_rank import LowRank
from bench.survey.outliers import Outliers
from bench.survey.paper import OPT
from bench.survey.saliency import SecondOrder
from bench.survey.settings import at
from bench.survey.trained import settings as training
from bench.survey.trained.lab import Trained
from bench.verdict.rows import Row
from compress.quantization.gptq import GPTQ
from models.data.reviews import movie_reviews
from models.errors import InputError
from models.packages import installed, lacking


@pytest.fixture
def survey(request: pytest.FixtureRequest, session: Session) -> Survey:
    """One-shot methods on the session's model."""
    if session.store.write is not None and _asks_harness(request) and not installed("lm_eval"):
        pytest.skip(lacking("lm_eval", "what GPTQ gives", package="lm-eval"))
    settings = at(session.settings.scale, session.settings.effort)
    made: Survey = once(request, ("survey", id(session)), lambda: Survey(session, settings))
    skip_unless_usable(made, lambda: made.windows)
    return made


@pytest.fixture
def low_rank(request: pytest.FixtureRequest, session: Session, survey: Survey) -> LowRank:
    """Low-rank methods on the survey's model."""
    return once(request, ("low rank", id(session)), lambda: LowRank(session, survey.settings, survey))


@pytest.fixture
def features(request: pytest.FixtureRequest, session: Session, survey: Survey) -> FeatureDistillation:
    """Factors trained to give the dense model's hidden states."""
    settings = feature_distillation.at(session.settings.scale, session.settings.effort)
    return once(request, ("features", id(session)), lambda: FeatureDistillation(session, settings, survey))


@pytest.fixture
def outliers(request: pytest.FixtureRequest, session: Session) -> Outliers:
    """Magnitudes of the session's model."""
    settings = at(session.settings.scale, session.settings.effort)
    made: Outliers = once(request, ("outliers", id(session)), lambda: Outliers(session, settings))
    skip_unless_usable(made, lambda: made.windows)
    return made


@pytest.fixture
def gradients(request: pytest.FixtureRequest, session: Session) -> GradientSurvey:
    """Methods that look at gradients on the session's model."""
    settings = at(session.settings.scale, session.settings.effort)
    return once(request, ("gradients", id(session)), lambda: GradientSurvey(session, settings))


@pytest.fixture
def second_order(request: pytest.FixtureRequest, session: Session) -> SecondOrder:
    """Exact pruning of layers of the session's model."""
    settings = saliency.at(session.settings.scale, session.settings.effort)
    made: SecondOrder = once(request, ("second order", id(session)), lambda: SecondOrder(session, settings))
    skip_unless_usable(made, lambda: (made.windows, made.layers), saliency.NoNarrowLayer)
    return made


def _asks_harness(request: pytest.FixtureRequest) -> bool:
    """True if a test's row stands on GPTQ, of which lm-evaluation-harness is asked too."""
    row = getattr(request.node, "callspec", None) and request.node.callspec.params.get("row")
    return isinstance(row, Row) and any(isinstance(method, GPTQ) for method in row.contestants)


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


@pytest.fixture
def distillation(request: pytest.FixtureRequest, session: Session) -> Distillation:
    """Students of MiniLM on movie reviews."""
    settings = in_time(distilling.at(session.settings.scale, session.settings.effort))
    make = partial(movie_reviews, test=settings.test, shifted=settings.shifted)
    made: Distillation = once(
        request, ("distillation", id(session)), lambda: Distillation(session, settings, "movie reviews", make)
    )
    skip_unless_usable(made, lambda: made.tables)
    return made


@pytest.fixture
def trained(request: pytest.FixtureRequest, session: Session) -> Trained:
    """Models that are trained on the session's text."""
    scale, effort = session.settings.scale, session.settings.effort
    if scale.startswith("paper"):
        pytest.skip("stated for models that are trained on the spot")
    settings = in_time(training.at(scale, effort))
    made: Trained = once(request, ("trained", id(session)), lambda: Trained(session, settings))
    skip_unless_usable(made, lambda: enough(made.texts.shortage))
    return made
