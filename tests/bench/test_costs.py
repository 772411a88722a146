"""What rows are estimated to take: by markers, by the record, and once for what they share."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.costs import Cost, Known, Made, Piece, cost_of
from bench.measure.chunks import share_of
from bench.measure.settings import SCALES
from bench.measure.stale import derivable
from bench.threads import times_slower
from bench.verdict.evidence import Evidence, Origin, Result, Variant
from bench.verdict.regions import Region
from bench.verdict.rows import Row

PLACE = ("embedded", "krony")


class Item:
    """As much of a test as its cost depends on."""

    def __init__(self, *markers, row=None, scale="embedded", fixtures=()):
        self.path, self.fixturenames, self.markers = Path("krony") / "test_it.py", fixtures, markers
        self.callspec = SimpleNamespace(params={"row": row, "session": scale})

    def iter_markers(self, _name):
        return iter(pytest.Mark("cost", args, kwargs) for args, kwargs in self.markers)


def mark(*args, **kwargs):
    return args, kwargs


def row(*contestants, name="KP4-it"):
    return Row(name, "KP4a", "a number", Region(0.0, 1.0), contestants=contestants)


def known(scale="embedded", effort="normal", *, device=None, record=(), resume=False, run=()):
    settings = SCALES[scale][effort]
    settings = replace(settings, device=device or settings.device)
    return {scale: Known(settings, evidence(record), evidence(run), resume)}


def evidence(seconds, effort="normal", verdict="reproduced", **run):
    """Record of one row on variants of so many seconds, and of the run that took them."""
    variants = {}
    for name, spent in dict(seconds).items():
        made = Variant(name, "ladder", {}, "", [], "", Origin("embedded", effort), {}, seconds=spent, run="it")
        variants[made.key] = made
    rows = {"KP4-it": Result("KP4-it", "KP4", "a", verdict, effort=effort, variants=list(variants))} if variants else {}
    return Evidence(rows=rows, variants=variants, runs={"it": run})


@pytest.mark.parametrize(("effort", "seconds"), [("quick", 3), ("normal", 42), ("thorough", 500)])
def test_a_marker_states_seconds_by_scale_and_effort(effort, seconds):
    item = Item(mark(embedded=(3, 42, 500), gpu=1))
    assert cost_of(item, known(effort=effort)).seconds == seconds


@pytest.mark.parametrize("scale", ["gpu", "paper"])
def test_scales_that_need_a_gpu_have_its_seconds(scale):
    item = Item(mark(embedded=40, gpu=2), scale=scale)
    assert cost_of(item, known(scale)).seconds == 2


def test_a_contestant_costs_what_the_closest_marker_of_its_class_says():
    item = Item(mark(of=int, embedded=7), mark(of=(int, str), embedded=5), mark(2), row=row(1, ("name", 2.0)))
    assert cost_of(item, known()) == Cost(2, (Piece(PLACE, "1", 7), Piece(PLACE, "'name'", 5)))


def test_contestants_of_a_class_may_cost_different_multiples_of_its_seconds():
    item = Item(mark(of=int, times=lambda number: number / 2, embedded=10), row=row(1, 3))
    assert cost_of(item, known()).pieces == (Piece(PLACE, "1", 5), Piece(PLACE, "3", 15))


def test_what_a_fixture_makes_is_needed_by_items_that_ask_for_it():
    marker = mark(fixture="ladder", embedded=30)
    assert cost_of(Item(marker, fixtures=("ladder",)), known()).seconds == 31
    assert cost_of(Item(marker), known()).seconds == 1


def test_a_shared_piece_is_owed_once():
    made, cost = Made(), Cost(1, (Piece(PLACE, "teacher", 30), Piece(PLACE, "half", 5)))
    assert made.owed(cost) == 36
    made.add(Cost(0, (Piece(PLACE, "teacher", 30),)))
    assert made.owed(cost) == 6
    made.add(Cost(0, (Piece(PLACE, "curve half", 5),)))  # as the record names it
    assert made.owed(cost) == 1
    assert made.owed(Cost(0, (Piece(("gpu", "krony"), "teacher", 30),))) == 30


def test_seconds_on_record_are_better_than_a_marker():
    item = Item(mark(of=int, embedded=7), row=row(1, 2))
    assert cost_of(item, known(record={"curve 1": 20.0, "curve 2": 30.0})).seconds == 51


def test_seconds_of_another_effort_say_less_than_a_marker():
    """What a variant takes besides its text does not grow with it."""
    item = Item(mark(of=int, embedded=(1, 10, 100)), mark(0), row=row(1))
    of = replace(known(effort="thorough")["embedded"], record=evidence({"curve 1": 25.0}, effort="normal"))
    assert cost_of(item, {"embedded": of}).seconds == 100


def test_a_row_that_votes_may_have_seconds_of_its_own():
    marker = mark(of=int, embedded=(1, 10, 100), embedded_votes=(1, 10, 300), gpu=5)
    votes, control = row(1), replace(row(1), control=True)
    for wanted, seconds in ((votes, 301), (control, 101)):
        assert cost_of(Item(marker, row=wanted), known(effort="thorough")).seconds == seconds
        assert cost_of(Item(marker, row=wanted, scale="gpu"), known("gpu")).seconds == 6


def test_seconds_are_of_the_threads_that_this_run_has():
    item, markers = Item(mark(of=int, embedded=7), mark(0), row=row(1)), known()["embedded"]

    def seconds(threads, **run):
        record = evidence({"curve 1": 20.0}, **run) if run else evidence({})
        return cost_of(item, {"embedded": replace(markers, record=record, threads=threads)}).seconds

    one = "Linux x86_64, 1 threads"
    assert seconds(1, machine=one) == pytest.approx(20)
    assert seconds(2, machine=one) == pytest.approx(20 * times_slower(1, 2)) == pytest.approx(20 / 1.65, rel=0.01)
    assert seconds(2, machine="Linux x86_64, 2 threads") == 20
    assert seconds(1) == pytest.approx(7 * 1.65, rel=0.01)
    assert seconds(2, machine="Linux x86_64, 16 threads", gpu="H100") == 20, "a GPU's seconds know no threads"


def test_threads_there_and_back_take_what_they_took():
    for had, have in ((1, 2), (2, 8), (4, 3)):
        assert times_slower(had, have) * times_slower(have, had) == pytest.approx(1)
    assert times_slower(8, 64) == 1, "more threads than pay"
    assert times_slower(0, 1) == 1, "a header that says none"


def test_a_row_that_was_not_run_has_no_seconds_on_record():
    item = Item(mark(of=int, embedded=7), row=row(1))
    of = replace(known()["embedded"], record=evidence({"curve 1": 0.0}, verdict="not run"))
    assert cost_of(item, {"embedded": of}).seconds == 8


def test_a_row_that_resume_derives_measures_nothing():
    item = Item(mark(of=int, embedded=70), row=row(1))
    of = known(resume=True)["embedded"]
    stale = replace(of, record=evidence({"curve 1": 20.0}))
    assert cost_of(item, {"embedded": stale}).seconds == 21
    derived = SimpleNamespace(settings=of.settings, derived=lambda _name: True)
    assert cost_of(item, {"embedded": derived}).seconds == 1


def test_variants_that_stand_leave_nothing_to_do_for_what_they_share():
    markers = mark(of=int, embedded=7), mark(fixture="ladder", embedded=30)
    item = Item(*markers, row=row(1, 2), fixtures=("ladder",))

    def cost(standing):
        of = known()["embedded"]
        fake = SimpleNamespace(
            settings=of.settings, derived=of.derived, row=of.row, standing=lambda _folder: standing, threads=of.threads
        )
        return cost_of(item, {"embedded": fake}).seconds

    assert cost({"student 1": 1}) == 1 + 7 + 30
    assert cost({"student 1": 1, "student 2": 1}) == 1
    by_chunks = {"student 1, documents 1 to 8": 0.25, "student 1, documents 9 to 16": 0.25}
    assert cost({"student 2": 1} | by_chunks) == 1 + 3.5 + 30


def test_a_method_within_another_is_not_there_with_it():
    made, inner, outer = (
        Made(),
        Piece(PLACE, "GPTQ(bits=4)", 30),
        Piece(PLACE, "FirstValuesDense(method=GPTQ(bits=4))", 40),
    )
    made.add(Cost(0, (Piece(PLACE, "curve GPTQ(bits=4), calibration sample 1", 30),)))
    assert made.owed(Cost(0, (inner,))) == 0
    assert made.owed(Cost(0, (outer,))) == 40
    made.add(Cost(0, (outer,)))
    assert made.owed(Cost(0, (replace(inner, name="GPTQ(bits=3)"),))) == 30


def test_a_variant_counts_with_the_share_of_the_documents_that_its_name_says():
    assert share_of("curve it, documents 9 to 16", 32) == 0.25
    assert share_of("curve it", 32) == share_of("curve it, documents 1 to 8", None) == 1


@pytest.mark.parametrize(("scale", "device", "seconds"), [("embedded", "cuda", 1 + 1), ("gpu", "cpu", 1 + 80)])
def test_another_device_is_faster_or_slower(scale, device, seconds):
    item = Item(mark(of=int, embedded=40, gpu=2), row=row(1), scale=scale)
    assert cost_of(item, known(scale, device=device)).seconds == seconds


def test_a_verdict_either_way_is_decided_and_an_inconclusive_one_is_not():
    of = known()["embedded"]
    for verdict, decided in (("reproduced", True), ("not reproduced", True), ("inconclusive", False)):
        assert replace(of, record=evidence({"x": 1.0}, verdict=verdict)).decided("KP4-it") is decided
    assert not of.decided("KP4-it")


@pytest.mark.parametrize(("asked", "there"), [("quick", True), ("normal", True), ("thorough", False)])
def test_resume_derives_no_row_of_lower_effort(asked, there, monkeypatch):
    monkeypatch.setattr("bench.measure.stale.why_stale", lambda _row, _record: "")
    record = evidence({"curve 1": 20.0}, "normal")
    assert (derivable("KP4-it", record, asked) is not None) is there
    of = replace(known(effort=asked, resume=True)["embedded"], record=record)
    assert of.derived("KP4-it") is there


def test_what_is_made_in_a_way_of_its_own_is_another_piece():
    plain, otherwise = mark(of=int, embedded=7), mark(of=int, how="at own rates", embedded=30)
    made = Made()
    made.add(cost_of(Item(plain, row=row(1)), known()))
    cost = cost_of(Item(otherwise, plain, row=row(1)), known())
    assert made.owed(cost) == 31


def test_a_marker_that_gives_a_contestant_nothing_leaves_it_to_the_next():
    nothing = mark(of=int, times=lambda value: float(value > 1), embedded=30)
    assert cost_of(Item(nothing, mark(of=int, embedded=7), row=row(1, 2)), known()).seconds == 38
