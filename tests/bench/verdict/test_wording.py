"""Numbers and lines as they are printed: no digit that is not known, and none that contradicts the verdict."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.verdict.evidence import Result
from bench.verdict.wording import (
    failure_text,
    figures,
    number,
    region_of,
    row_line,
    shortened,
    verdict_word,
)


def result(value, low, high, accept_low=None, accept_high=None, **more):
    more = {"row": "LC3-rtn-w4", "claim": "LC3", "part": "b", "verdict": "inconclusive", **more}
    return Result(value=value, low=low, high=high, accept_low=accept_low, accept_high=accept_high, **more)


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((0.949, 0.863, 1.044), "0.949 [0.863, 1.044]"),
        ((68.871, 60.22, 78.765), "68.9 [60.2, 78.8]"),
        ((12345.6, 11500.0, 13100.0), "12346 [11500, 13100]"),
        ((3.9e-16, 0.0, 1.3e-15), "3.9e-16 [0, 1.3e-15]"),
        ((1.5, None, 2.0), "1.50 [-∞, 2.00]"),
        ((1.5, 1.25, None), "1.50 [1.25, ∞]"),
        ((81_000_000.0,) * 3, "81,000,000"),
        ((0.631578947,) * 3, "0.631579"),
        ((None, None, None), ""),
    ],
)
def test_an_interval_is_told_to_the_digits_that_it_carries(numbers, text):
    assert figures(result(*numbers)) == text


def test_rounding_moves_no_end_over_the_boundary():
    assert figures(result(0.95, 0.9, 0.9996, accept_low=1.0)) == "0.9500 [0.9000, 0.9996]"
    assert figures(result(1.05, 1.0004, 1.1, accept_high=1.0)) == "1.0500 [1.0004, 1.1000]"
    assert figures(result(1.05, 1.0, 1.1, accept_low=1.0)) == "1.050 [1.000, 1.100]"


@pytest.mark.parametrize(
    ("ends", "text"),
    [((1.0, None), "≥ 1"), ((None, 1e-6), "≤ 1e-06"), ((0.8, 1.25), "0.8 to 1.25"), ((None, None), "")],
)
def test_regions_are_told_by_their_ends(ends, text):
    assert region_of(result(1.0, 1.0, 1.0, *ends)) == text


@pytest.mark.parametrize(("value", "text"), [(123_411_456.0, "123,411,456"), (1234567.5, "1,234,567.5"), (-2.0, "-2")])
def test_counts_keep_every_digit(value, text):
    assert number(value) == text


@given(st.integers(50, 200), st.text("abcdefg ", max_size=150), st.text("xyz-", min_size=1, max_size=80), st.booleans())
def test_a_line_never_exceeds_its_width_and_keeps_the_verdict(width, statistic, name, control):
    row = result(0.949, 0.863, 1.044, 1.0, row=f"LC3-{name}", statistic=statistic.strip(), control=control)
    body, verdict = row_line(row, "inconclusive", width)
    assert len(body + verdict) <= width
    assert verdict == ("inconclusive, control" if control else "inconclusive")
    assert body.startswith("LC3b ")


def test_the_statistic_gives_way_first():
    row = result(0.949, 0.863, 1.044, 1.0, statistic="KL at 2048 over KL at 128 tokens of context")
    lines = ["".join(row_line(row, "inconclusive", width)) for width in (100, 70, 56)]
    assert lines == [
        "LC3b rtn-w4 · KL at 2048 over KL at 128 tokens of context 0.949 [0.863, 1.044] · ≥ 1 · inconclusive",
        "LC3b rtn-w4 · KL at 2048 ov… 0.949 [0.863, 1.044] · ≥ 1 · inconclusive",
        "LC3b rtn-w4 · 0.949 [0.863, 1.044] · ≥ 1 · inconclusive",
    ]


def test_a_failure_tells_the_claim_and_the_numbers():
    row = result(0.6, 0.5, 0.7, 1.0, verdict="not reproduced", statistic="growth", scale="embedded", documents=8)
    assert failure_text(row).splitlines() == [
        "LC3-rtn-w4, of LC3b: not reproduced",
        "  claim     Weights at ≤ 4 bits: KL grows with context; at 3 bits very clearly; at 8 bits not.",
        "            (Evaluating Zero-Shot Long-Context LLM Compression, Fig. 3, 4)",
        "  part b    4 bits: grows.",
        "  measured  growth: 0.60 [0.50, 0.70]",
        "  accepted  ≥ 1",
        "  on        embedded scale, 8 documents",
    ]


def test_a_failing_instrument_did_not_qualify():
    row = result(2.0, 2.0, 2.0, None, 1.0, row="INSTRUMENT-floor", claim="INSTRUMENT", part="")
    row = replace(row, verdict="not reproduced")
    assert failure_text(row).splitlines()[0] == "INSTRUMENT-floor, of INSTRUMENT: did not qualify"


def test_only_instruments_of_the_suite_qualify():
    words = {("INSTRUMENT", "reproduced"): "qualified", ("VERDICTS", "not reproduced"): "did not qualify"}
    words |= {("INSTRUMENT", "inconclusive"): "inconclusive", ("CHECKPOINT", "reproduced"): "cleared"}
    words |= {("LC3", "not reproduced"): "not reproduced"}
    for (claim, verdict), word in words.items():
        assert verdict_word(result(1.0, 1.0, 1.0, claim=claim, verdict=verdict)) == word


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((1.5, None, None), "1.5 [-∞, ∞]"),
        ((100.0, 98.0, None), "100.0 [98.0, ∞]"),
        ((100.0, None, 140.0), "100 [-∞, 140]"),
        ((0.5, 0.49998, 0.50002), "0.500000 [0.499980, 0.500020]"),
        ((0.5, 0.499999, 0.500001), "0.5 [0.5, 0.5]"),
        ((0.0, 0.0, 1.0), "0.00 [0.00, 1.00]"),
        ((-1.0, -1.5, -0.5), "-1.00 [-1.50, -0.50]"),
        ((10.0, 0.0, 20.0), "10 [0, 20]"),
    ],
)
def test_decimals_show_half_the_width_to_two_digits(numbers, text):
    assert figures(result(*numbers)) == text


@pytest.mark.parametrize(("end", "places"), [(0.996, 3), (0.9996, 4), (0.99996, 5), (0.999996, 2)])
def test_at_most_three_decimals_more_keep_an_end_on_its_side(end, places):
    """Half a width of 0.2 has two decimals; what five do not tell apart is told with two."""
    text = figures(result(0.8, 0.6, end, accept_low=1.0))
    assert text == f"{0.8:.{places}f} [{0.6:.{places}f}, {end:.{places}f}]"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (float("inf"), "∞"),
        (float("-inf"), "-∞"),
        (float("nan"), "nan"),
        (0.0, "0"),
        (999_999.5, "1e+06"),
        (1_000_000.5, "1,000,000.5"),
        (-1_234_567.25, "-1,234,567.2"),
        (0.1234567, "0.123457"),
    ],
)
def test_numbers_without_an_error(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("text", "room", "short"),
    [("abcdef", 6, "abcdef"), ("abcdef", 5, "abcd…"), ("ab · cd", 6, "ab…"), ("abc", 1, "…"), ("abc", 0, "…")],
)
def test_what_is_left_out_is_told_by_an_ellipsis(text, room, short):
    assert shortened(text, room) == short


@pytest.mark.parametrize(("width", "said"), [(60, "no card with the memory"), (40, "no card…"), (36, "")])
def test_a_row_that_was_not_run_says_why_in_the_place_of_numbers(width, said):
    row = result(None, None, None, 1.0, verdict="not run", reason="no card with the memory", statistic="growth")
    body, verdict = row_line(row, "not run", width)
    assert verdict == "not run" and "growth" not in body and len(body + verdict) <= width
    assert body.startswith("LC3b rtn-w4") and body.rstrip(" ·").endswith("≥ 1")


def test_a_line_that_just_fits_is_whole():
    row = result(0.949, 0.863, 1.044, 1.0, statistic="growth of KL")
    whole = "LC3b rtn-w4 · growth of KL 0.949 [0.863, 1.044] · ≥ 1 · inconclusive"
    assert "".join(row_line(row, "inconclusive", len(whole))) == whole
    assert "".join(row_line(row, "inconclusive", len(whole) - 1)) != whole
    reason = replace(row, value=None, low=None, high=None, reason="no card")
    whole = "LC3b rtn-w4 · no card · ≥ 1 · not run"
    assert "".join(row_line(reason, "not run", len(whole))) == whole


def test_a_failure_tells_reasons_effort_and_what_it_was_measured_on():
    row = result(0.6, 0.5, 0.7, 1.0, verdict="not reproduced", statistic="growth", because="it must")
    row = replace(row, scale="gpu", effort="normal", model="SmolLM2", text="articles", documents=3)
    lines = failure_text(row).splitlines()
    assert "  accepted  ≥ 1: it must" in lines
    assert "  on        gpu scale, effort normal, SmolLM2, articles, 3 documents" in lines
