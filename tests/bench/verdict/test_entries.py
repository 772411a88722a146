"""Entries of the record: names, defaults that say nothing, and which row may take another's place."""

from dataclasses import FrozenInstanceError, replace

import pytest

from bench.verdict.entries import EFFORTS, Origin, Result, Variant, outranks, within

ROW = Result("LC1-x", "LC1", "a", "reproduced")


def test_a_variant_is_named_by_instrument_effort_and_name():
    variant = Variant("w4", "long context", {}, "", [], "", Origin(effort="quick"), {})
    assert variant.key == "long context, quick: w4"
    assert (variant.seconds, variant.label, variant.run) == (0, "", "")


def test_an_origin_that_is_not_told_says_nothing():
    origin = Origin()
    assert (origin.documents, origin.tokens, origin.seed) == (0, 0, 0)
    assert origin.scale == origin.model == origin.machine == ""


def test_a_row_that_was_not_measured_says_nothing():
    assert (ROW.documents, ROW.tokens, ROW.seed, ROW.seconds, ROW.peak_bytes, ROW.details) == (0, 0, 0, 0, 0, {})
    assert (ROW.value, ROW.low, ROW.high, ROW.accept_low, ROW.accept_high, ROW.variants) == (None,) * 6
    assert not ROW.control and not ROW.doubt


@pytest.mark.parametrize("entry", [ROW, Origin(), Variant("n", "i", {}, "", [], "", Origin(), {})])
def test_entries_cannot_be_changed(entry):
    with pytest.raises(FrozenInstanceError):
        entry.seconds = 1.0


@pytest.mark.parametrize("new", EFFORTS)
@pytest.mark.parametrize("old", EFFORTS)
def test_a_row_takes_the_place_of_one_of_no_higher_effort(new, old):
    assert outranks(replace(ROW, effort=new), replace(ROW, effort=old)) == (EFFORTS.index(new) >= EFFORTS.index(old))


def test_an_effort_that_is_not_told_is_normal():
    assert outranks(ROW, replace(ROW, effort="normal")) and outranks(replace(ROW, effort="normal"), ROW)
    assert not outranks(replace(ROW, effort="quick"), ROW) and not outranks(ROW, replace(ROW, effort="thorough"))


def test_what_was_not_run_gives_way_to_all_and_takes_no_place():
    gone = replace(ROW, verdict="not run", effort="thorough")
    assert outranks(replace(ROW, effort="quick"), gone) and outranks(gone, gone)
    assert not outranks(gone, replace(ROW, effort="quick"))


@pytest.mark.parametrize(
    ("value", "low", "high", "inside"),
    [
        (1.0, 0.9, 1.1, True),
        (0.9, 0.9, 1.1, True),
        (1.1, 0.9, 1.1, True),
        (0.8, 0.9, 1.1, False),
        (1.2, 0.9, 1.1, False),
        (0.8, None, 1.1, True),
        (1.2, None, 1.1, False),
        (1.2, 0.9, None, True),
        (0.8, 0.9, None, False),
        (9.0, None, None, True),
        (None, 0.9, 1.1, False),
    ],
)
def test_an_estimate_is_within_the_recorded_interval_with_its_ends(value, low, high, inside):
    assert within(replace(ROW, value=1.0, low=low, high=high), replace(ROW, value=value)) is inside


def test_nothing_is_within_a_record_without_an_estimate():
    assert not within(ROW, replace(ROW, value=1.0))
