"""Progress of a session, by a clock that is set by hand."""

import io
import sys
from types import SimpleNamespace

import pytest

from bench.measure.progress import FAITH_SECONDS, SessionProgress, in_words


class Terminal(io.StringIO):
    def __init__(self, is_one):
        super().__init__()
        self.is_one = is_one

    def isatty(self):
        return self.is_one


class Session:
    """A progress with its clock, its terminal, and a line of pytest's that may be unfinished."""

    def __init__(self, monkeypatch, *, terminal, worker=False):
        self.now, self.column, self.stream = 0.0, 0, Terminal(terminal)
        monkeypatch.setattr(sys, "stderr", self.stream)
        plugins = SimpleNamespace(getplugin=lambda name: None, hasplugin=lambda name: True)
        writer = SimpleNamespace()
        config = SimpleNamespace(pluginmanager=plugins, get_terminal_writer=lambda: writer)
        if worker:
            config.workerinput = {}
        self.writer = writer
        writer.width_of_current_line = 0
        self.progress = SessionProgress(config, clock=lambda: self.now)

    @property
    def written(self):
        return self.stream.getvalue()


def test_a_log_gets_a_line_every_half_minute_at_most(monkeypatch):
    log = Session(monkeypatch, terminal=False)
    log.progress.plan({"a": 60.0, "b": 60.0, "c": 240.0})
    for item in "ab":
        log.progress.item_started(item)
        with log.progress.variant(f"rtn-{item}", 60) as advance:
            for _ in range(60):
                log.now += 1
                advance(1)
        log.progress.item_done(item)
    assert log.written.splitlines() == [
        "0 of 3 rows, 30 s, about 6 min left: rtn-a 50 %",
        "0 of 3 rows, 1 min, about 5 min left: rtn-a 100 %",
        "1 of 3 rows, 2 min, about 4 min left: rtn-b 50 %",
        "1 of 3 rows, 2 min, about 4 min left: rtn-b 100 %",
    ]


def test_time_left_follows_the_pace_of_the_machine(monkeypatch):
    log = Session(monkeypatch, terminal=False)
    log.progress.plan({"a": 60.0, "b": 60.0})
    log.progress.item_started("a")
    log.now = 180.0
    log.progress.item_done("a")
    pace = (FAITH_SECONDS + 180) / (FAITH_SECONDS + 60)
    assert log.progress.pace == pytest.approx(pace)
    assert str(log.progress) == f"1 of 2 rows, 3 min, about {in_words(60 * pace)} left"


def test_an_item_that_overruns_leaves_the_others_their_time(monkeypatch):
    log = Session(monkeypatch, terminal=False)
    log.progress.plan({"a": 1.0, "b": 100.0})
    log.progress.item_started("a")
    log.now = 1000.0
    assert log.progress.seconds_done == 1.0


def test_items_that_were_not_planned_do_not_count(monkeypatch):
    log = Session(monkeypatch, terminal=False)
    log.progress.plan({"a": 1.0})
    log.progress.item_done("another")
    assert str(log.progress).startswith("0 of 1 rows")


def test_a_plan_that_comes_late_knows_what_is_done(monkeypatch):
    log = Session(monkeypatch, terminal=False)
    for item in "ab":
        log.progress.item_started(item)
        log.now += 30
        log.progress.item_done(item)
    log.progress.plan(dict.fromkeys("abcd", 1.0))
    assert str(log.progress).startswith("2 of 4 rows, 1 min, about")


def test_the_inner_of_two_variants_is_shown_and_then_the_outer(monkeypatch):
    log = Session(monkeypatch, terminal=False)
    with log.progress.variant("training", 10) as outer:
        outer(5)
        with log.progress.variant("teacher", 10):
            assert str(log.progress) == "teacher 0 %"
        outer(1)
        assert str(log.progress) == "training 60 %"


def test_a_variant_that_raises_is_no_longer_at_work(monkeypatch):
    log = Session(monkeypatch, terminal=False)
    with pytest.raises(RuntimeError), log.progress.variant("rtn", 10):
        raise RuntimeError
    assert str(log.progress) == ""


def test_a_terminal_gets_a_bar_that_is_wiped(monkeypatch):
    session = Session(monkeypatch, terminal=True)
    session.progress.plan({"a": 10.0, "b": 10.0})
    session.progress.item_started("a")
    with session.progress.variant("rtn-w4", 2) as advance:
        session.now += 5
        advance(1)
        assert session.written.endswith("0 of 2 rows, 5 s, about 15 s left: rtn-w4 50 %")
    assert session.written.endswith(" \r")
    before = session.written
    session.progress.clear()
    assert session.written == before  # nothing is on the screen to be wiped
    session.progress.close()


def test_nothing_is_drawn_behind_an_unfinished_line_or_by_a_worker(monkeypatch):
    busy = Session(monkeypatch, terminal=True)
    busy.writer.width_of_current_line = 3
    worker = Session(monkeypatch, terminal=True, worker=True)
    for session in (busy, worker):
        with session.progress.variant("rtn", 2) as advance:
            session.now += 60
            advance(1)
        assert session.written == ""


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min"), (540, "9 min"), (7800, "2 h 10 min")]
)
def test_times_are_told_to_the_precision_that_one_plans_by(seconds, words):
    assert in_words(seconds) == words
