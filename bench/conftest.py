"""Fixtures of the benches: the lab of each scale, and the way from an interval to a test's outcome."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from typing import Any

import pytest
import torch

from bench.krony.healed import FactorisedLab
from bench.krony.ladder import LadderLab
from bench.krony.paper import PaperLab
from bench.krony.settings import HEALED, LADDERS
from bench.krony.students import FOUR, MANY_SMALL, P81, P95
from bench.measure.progress import SessionProgress
from bench.measure.session import Lab, Measured
from bench.measure.settings import report_folder, settings
from bench.small_models.lab import SmallModelsLab
from bench.small_models.settings import PROTOCOLS as SMALL_MODELS
from bench.small_models.sources import documents_and_task
from bench.survey.lab import SurveyLab
from bench.survey.paper import OPTLab
from bench.survey.settings import SURVEY_SETTINGS
from bench.verdict.documents import Interval, mean
from bench.verdict.evidence import Row, recorded_verdict
from bench.verdict.regions import Region, Verdict, judge
from conftest import ROWS
from models.errors import InputError

Conclude = Callable[..., None]
OTHER_PASSES = 1
"""The dense model's own."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every claim at the embedded and at the GPU scale, or at the paper's."""
    if "lab" not in metafunc.fixturenames:
        return
    scales: list = ["embedded", pytest.param("gpu", marks=pytest.mark.gpu)]
    if metafunc.config.getoption("scale") == "paper":
        scales = [getattr(metafunc.module, "PAPER_SCALE", "paper")]
    metafunc.parametrize("lab", scales, indirect=True, scope="session")


@pytest.fixture(scope="session")
def progress(request: pytest.FixtureRequest) -> Generator[SessionProgress, None, None]:
    """A bar over the distinct methods of the selected tests."""
    methods = {
        repr(value)
        for item in request.session.items
        for name, value in getattr(getattr(item, "callspec", None), "params", {}).items()
        if name in ("method", "protected", "control")
    }
    bar = SessionProgress(request.config, len(methods) + OTHER_PASSES)
    yield bar
    bar.close()


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest, progress: SessionProgress) -> Lab:
    """The model and text of one scale, loaded once."""
    chosen = settings(request.config, request.param)
    if chosen.device.startswith("cuda") and not torch.cuda.is_available() and not request.config.getoption("device"):
        pytest.skip(
            f"the {chosen.scale} scale needs a CUDA GPU and this machine has none; "
            "where there is one, run: pytest bench -m gpu"
        )
    folder = report_folder(request.config, chosen.scale)
    try:
        return Lab.build(chosen, folder, resume=bool(request.config.getoption("resume")), progress=progress)
    except InputError as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)


LABS = pytest.StashKey[dict]()


def once(request: pytest.FixtureRequest, key: object, make: Callable[[], Any]) -> Any:
    """What `make` gives, made once for a session."""
    known = request.config.stash.setdefault(LABS, {})
    if key not in known:
        known[key] = make()
    return known[key]


@pytest.fixture
def ladder(request: pytest.FixtureRequest, lab: Lab) -> LadderLab:
    """The ladder of the lab's scale and effort."""
    if lab.settings.scale == "paper":
        pytest.skip("stated for a teacher trained on the spot; bench/krony/test_paper.py has the paper's own")
    settings = LADDERS[lab.settings.scale, lab.settings.effort]
    found = once(request, ("ladder", id(lab)), lambda: LadderLab(lab, settings))
    try:
        _ = found.text
    except (InputError, ValueError) as error:
        pytest.skip(f"no ladder can be trained on this text: {error}")
    return found


@pytest.fixture
def paper(request: pytest.FixtureRequest, lab: Lab) -> PaperLab:
    """Krony-PT's own models and texts."""
    try:
        found = once(request, ("paper", id(lab)), lambda: PaperLab(lab))
        _ = found.texts
    except InputError as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)
    return found


@pytest.fixture
def opt(request: pytest.FixtureRequest, lab: Lab) -> OPTLab:
    """The survey's own model and texts."""
    settings = SURVEY_SETTINGS[lab.settings.scale, lab.settings.effort]
    try:
        found = once(request, ("opt", id(lab)), lambda: OPTLab(lab, settings))
        _ = found.lines, found.calibration
    except InputError as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)
    return found


@pytest.fixture
def real(request: pytest.FixtureRequest, lab: Lab) -> FactorisedLab:
    """The factorised real model of the lab's scale and effort."""
    settings = HEALED.get((lab.settings.scale, lab.settings.effort))
    if settings is None:
        pytest.skip("stated for block-local healing; bench/krony/test_paper.py trains end to end")
    found = once(request, ("real", id(lab)), lambda: FactorisedLab(lab, settings))
    if misfit := found.misfit((P81, P95, FOUR, MANY_SMALL)):
        pytest.skip(misfit)
    return found


@pytest.fixture
def survey(request: pytest.FixtureRequest, lab: Lab) -> SurveyLab:
    """One-shot methods on the lab's model."""
    settings = SURVEY_SETTINGS[lab.settings.scale, lab.settings.effort]
    found = once(request, ("survey", id(lab)), lambda: SurveyLab(lab, settings))
    try:
        _ = found.windows
    except InputError as error:
        pytest.skip(f"the survey's methods cannot be scored on this text: {error}")
    return found


@pytest.fixture
def small(request: pytest.FixtureRequest, lab: Lab) -> SmallModelsLab:
    """The protocol of the lab's scale and effort, on its task."""
    protocol = SMALL_MODELS[lab.settings.scale, lab.settings.effort]

    def make() -> SmallModelsLab:
        return SmallModelsLab(lab, protocol, *documents_and_task(lab, protocol))

    try:
        found = once(request, ("small", id(lab)), make)
        _ = found.corrupted
    except (InputError, ValueError) as error:
        pytest.skip(f"no small model can be trained on this text: {error}")
    return found


@pytest.fixture
def conclude(request: pytest.FixtureRequest, lab: Lab) -> Conclude:
    """Judge an interval, leave the evidence, and end the test as the verdict says.

    A claim that is on record as not reproduced for this very model fails its test only when it stops being so.
    """
    claim = request.node.get_closest_marker("claim").args[0]

    def finish(
        row: str,
        statistic: str,
        interval: Interval,
        accept: Region,
        *,
        measured: Measured | None = None,
        doubt: str = "",
        decide: str = "more documents (--effort=thorough)",
        details: dict | None = None,
        origin: dict | None = None,
    ) -> None:
        verdict = Verdict.INCONCLUSIVE if doubt else judge(interval, accept)
        undecided = verdict is Verdict.INCONCLUSIVE
        reason = doubt or (f"the interval straddles the boundary; {decide} would decide" if undecided else "")
        entry = Row(
            row,
            claim,
            verdict.value,
            reason,
            statistic=statistic,
            value=interval.value,
            low=_finite(interval.low),
            high=_finite(interval.high),
            accept_low=_finite(accept.low),
            accept_high=_finite(accept.high),
            details={**(_described(lab, measured) if measured else {}), **(details or {})},
            **{**_origin(lab), **(_cost(measured) if measured else {}), **(origin or {})},
        )
        request.node.stash.setdefault(ROWS, []).append(entry)
        _end(request.config, entry, verdict, f"{row}: {statistic} is {interval}, accepted {accept}")

    return finish


def _cost(measured: Measured) -> dict:
    return {
        "method": measured.method,
        "seconds": round(measured.seconds, 2),
        "peak_bytes": measured.peak_bytes,
    }


def _finite(bound: float) -> float | None:
    return float(bound) if math.isfinite(bound) else None


def _origin(lab: Lab) -> dict:
    return {
        "scale": lab.settings.scale,
        "model": lab.decoder.name,
        "model_sha256": lab.decoder.sha256,
        "text": str(lab.settings.text.name) if lab.settings.text else "Wikipedia sample",
        "text_sha256": lab.corpus.sha256,
        "protocol": lab.protocol,
        "documents": len(lab.windows.segments),
        "tokens": lab.windows.token_count,
        "seed": lab.settings.seed,
    }


def _described(lab: Lab, measured: Measured) -> dict:
    """What the plots and tables need of a curve: means over documents with intervals."""
    curve, resamples = measured.curve, lab.settings.resamples
    columns = {name: curve.by_document(name) for name in curve.tokens}
    columns["loss_change"] = columns["loss"] - columns["dense_loss"]
    series = {
        name: [_triple(mean(values[:, i], resamples=resamples)) for i in range(len(curve.contexts))]
        for name, values in columns.items()
    }
    return {
        "contexts": list(curve.contexts),
        "series": series,
        "summary": measured.summary,
        "positions": curve.positions.tolist(),
        "resolved": curve.resolved.mean(0).round(6).tolist(),
    }


def _triple(interval: Interval) -> list[float]:
    return [interval.value, interval.low, interval.high]


def _end(config: pytest.Config, row: Row, verdict: Verdict, message: str) -> None:
    folders = [report_folder(config, row.scale), config.rootpath / "reports" / row.scale]
    before = config.stash.setdefault(BEFORE, {}).setdefault((row.row, row.scale), recorded_verdict(folders, row))
    if verdict is Verdict.INCONCLUSIVE:
        pytest.xfail(f"inconclusive: {message}; {row.reason}")
    if before is Verdict.NOT_REPRODUCED and verdict is Verdict.REPRODUCED:
        pytest.fail(f"on record as not reproduced, and now reproduced: {message}", pytrace=False)
    if verdict is Verdict.NOT_REPRODUCED:
        outcome = pytest.xfail if before is Verdict.NOT_REPRODUCED else pytest.fail
        outcome(f"not reproduced: {message}")


BEFORE = pytest.StashKey[dict]()
"""What was on record when the session first asked."""
