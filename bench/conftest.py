"""Fixtures that every paper shares: the session of a scale, and the way from an interval to a test's outcome."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.fixtures import Conclude, once
from bench.measure.instrument import Instrument
from bench.measure.session import Session
from bench.measure.settings import at
from bench.measure.stale import derivable
from bench.measure.store import Store
from bench.options import folders, settings
from bench.outcomes import EVIDENCE, finish
from bench.plugin import PROGRESS
from bench.record import known_evidence
from bench.scales import device_of_worker
from bench.verdict.conclude import MORE_DOCUMENTS, by_arithmetic, concluded
from bench.verdict.documents import Interval
from bench.verdict.evidence import Origin, Result
from bench.verdict.needed import Needed
from bench.verdict.rows import Row
from bench.writer import RECORDER
from models.errors import InputError


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every claim at the embedded and at the GPU scale, or at the paper's."""
    if "session" not in metafunc.fixturenames:
        return
    scales: list = ["embedded", pytest.param("gpu", marks=pytest.mark.gpu)]
    if metafunc.config.getoption("scale") == "paper":
        scales = [getattr(metafunc.module, "PAPER_SCALE", "paper")]
    metafunc.parametrize("session", scales, indirect=True)


def declared(request: pytest.FixtureRequest) -> Row | None:
    """Row that a test is about; None for a test of speed and its like."""
    row = getattr(request.node, "callspec", None) and request.node.callspec.params.get("row")
    return row if isinstance(row, Row) else None


@pytest.fixture
def session(request: pytest.FixtureRequest) -> Session:
    """Model, text and store of one scale.

    With `--resume`, a row whose variants are on record and still stand gets a session that only reads them.
    """
    scale: str = request.param
    standing = _standing(request, scale)
    key = ("session", scale, standing.effort if standing else None)
    made: Session = once(request, key, lambda: _session(request.config, scale, standing))
    made.store.used.clear()
    return made


def _standing(request: pytest.FixtureRequest, scale: str) -> Result | None:
    """The record's result of a test's row, where `--resume` is given and it can be derived again at this effort."""
    row, place = declared(request), folders(request.config, scale)
    if row is None or place.record is None or not request.config.getoption("resume"):
        return None
    record = known_evidence(request.config, place.record)
    return derivable(row.name, record, settings(request.config, scale).effort)


def _session(config: pytest.Config, scale: str, standing: Result | None) -> Session:
    progress = config.stash[PROGRESS]
    chosen, place = settings(config, scale), folders(config, scale)
    large = place.run / "measurements"
    if standing is not None and place.record is not None:
        chosen = replace(at(scale, standing.effort), model=chosen.model, text=chosen.text, train_text=chosen.train_text)
        return Session(chosen, Store(known_evidence(config, place.record).variants), progress, large)
    if chosen.device.startswith("cuda") and not config.getoption("device"):
        _skip_without_cuda(chosen.scale)
        chosen = replace(chosen, device=_device(config, chosen.device))
    resume = bool(config.getoption("resume"))
    known = known_evidence(config, place.run).variants if resume else {}
    store = Store(known, lambda entry: config.stash[RECORDER].add(place, entry))
    made = Session(chosen, store, progress, large, resume)
    if reason := _refusal(made):
        pytest.exit(reason, returncode=pytest.ExitCode.USAGE_ERROR)
    return made


def _refusal(made: Session) -> str:
    """Sentence on a model, a text or a device that cannot be used; empty where all can."""
    try:
        made.check()
    except InputError as error:
        return str(error)
    return ""


def _skip_without_cuda(scale: str) -> None:
    import torch  # noqa: PLC0415 - asked by the GPU scale only

    if not torch.cuda.is_available():
        how = "-m gpu" if scale == "gpu" else "--scale=paper"
        pytest.skip(
            f"the {scale} scale needs a CUDA GPU and this machine has none; where there is one, run: pytest bench {how}"
        )


def _device(config: pytest.Config, device: str) -> str:
    """GPU of this process: of several workers each has its own."""
    import torch  # noqa: PLC0415 - asked by scales that have a GPU

    worker = getattr(config, "workerinput", {}).get("workerid", "")
    return device_of_worker(device, worker, torch.cuda.device_count())


@pytest.fixture
def conclude(request: pytest.FixtureRequest, session: Session) -> Conclude:
    """Way from an interval to the test's outcome."""

    def judge(
        row: Row,
        interval: Interval,
        by: Instrument | Origin | str,
        *,
        doubt: str = "",
        decide: str | Needed = MORE_DOCUMENTS,
        details: dict | None = None,
        method: str = "",
    ) -> None:
        store = session.store
        result = concluded(
            row,
            interval,
            _origin(session, by),
            doubt=doubt,
            decide=decide,
            details=details,
            method=method,
            seconds=store.seconds(),
            variants=list(store.used),
        )
        request.node.stash[EVIDENCE] = [result]
        finish(request.config, result)

    return judge


def _origin(session: Session, by: Instrument | Origin | str) -> Origin:
    """Origin of a row: of its variants, where it has any, so that a row on record keeps its own."""
    if isinstance(by, Instrument):
        return session.store.origin_of(by.name) or by.origin()
    own = by_arithmetic(by, scale=session.settings.scale) if isinstance(by, str) else by
    return replace(own, effort=session.settings.effort)
