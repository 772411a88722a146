"""Verdicts of rows, parts and claims: who votes, and what the votes come to."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.verdict.claims import CLAIMS, KRONY_PT, PAPERS, Claim
from bench.verdict.conclude import (
    MORE_DOCUMENTS,
    by_arithmetic,
    concluded,
    exactly,
    not_run,
    verdict_of_claim,
    verdict_of_part,
    verdicts_of_parts,
)
from bench.verdict.documents import Interval
from bench.verdict.evidence import Origin, Result
from bench.verdict.regions import Region, Verdict
from bench.verdict.rows import Row

R, N, I, X = Verdict.REPRODUCED, Verdict.NOT_REPRODUCED, Verdict.INCONCLUSIVE, Verdict.NOT_RUN  # noqa: E741
TWO = Claim("KP99", KRONY_PT, "nowhere", "two sentences", {"a": "one", "b": "another"})
ROW = Row("KP2-rank", "KP2a", "a number", Region(0.0, 1.0), "because")
ORIGIN = Origin("embedded", "normal", "a model", "f" * 64)


def result(verdict, part="a", **changes):
    return replace(Result("row", "KP99", part, verdict.value, variants=[]), **changes)


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [([R, R], R), ([R, I, N], N), ([R, I], I), ([R, X], R), ([I, X], I), ([N, X], N), ([X, X], X), ([], X)],
)
def test_a_part_fails_with_any_row_and_rows_that_were_not_run_do_not_vote(verdicts, expected):
    assert verdict_of_part(result(verdict) for verdict in verdicts) is expected


def test_an_instrument_that_does_not_qualify_does_not_vote_where_another_row_does():
    unqualified = result(I, doubt="the teacher does not discriminate")
    assert verdict_of_part([result(R), unqualified]) is R
    assert verdict_of_part([result(N), unqualified]) is N
    assert verdict_of_part([unqualified]) is I
    assert verdict_of_part([unqualified, result(X)]) is I


def test_a_row_of_an_earlier_version_does_not_vote():
    """It kept no variants, so nothing shows that its instrument could see the effect."""
    earlier = result(N, variants=None)
    assert verdict_of_part([result(R), earlier]) is R
    assert verdict_of_part([earlier]) is I
    assert verdict_of_part([earlier, result(X)]) is I


@given(st.lists(st.sampled_from([R, N, I, X]), max_size=4), st.lists(st.sampled_from([R, N, I, X]), max_size=4))
def test_controls_never_vote(verdicts, controls):
    rows = [result(verdict) for verdict in verdicts]
    shown = [result(verdict, control=True) for verdict in controls]
    assert verdict_of_part(rows + shown) is verdict_of_part(rows)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (R, R, R),
        (N, N, N),
        (I, I, I),
        (X, X, X),
        (R, N, Verdict.PARTLY_REPRODUCED),
        (R, I, I),
        (R, X, I),
        (N, I, N),
        (N, X, N),
        (I, X, I),
    ],
)
def test_a_claim_is_what_its_parts_come_to(a, b, expected):
    for first, second in ((a, b), (b, a)):
        assert verdict_of_claim(TWO, [result(first, "a"), result(second, "b")]) is expected


def test_a_part_without_rows_was_not_run():
    assert verdict_of_claim(TWO, [result(R, "a")]) is I
    assert verdict_of_claim(TWO, []) is X


@pytest.mark.parametrize(
    ("interval", "doubt", "verdict", "reason"),
    [
        (Interval(0.5, 0.2, 0.8), "", R, ""),
        (Interval(2.0, 1.5, 3.0), "", N, ""),
        (Interval(1.0, 0.5, 3.0), "", I, "more seeds would decide"),
        (Interval(0.5, 0.2, 0.8), "it cannot see", I, "it cannot see"),
    ],
)
def test_an_interval_becomes_a_result(interval, doubt, verdict, reason):
    result = concluded(ROW, interval, ORIGIN, doubt=doubt, decide="more seeds", variants=["v"])
    assert (result.verdict, result.claim, result.part) == (verdict.value, "KP2", "a")
    assert reason in result.reason and result.doubt == doubt and result.variants == ["v"]
    assert (result.model_sha256, result.effort, result.because) == ("f" * 64, "normal", "because")


def test_open_ends_are_none():
    result = concluded(replace(ROW, accept=Region(low=1.0)), Interval(2.0, 1.0, float("inf")), ORIGIN)
    assert (result.accept_low, result.accept_high, result.high) == (1.0, None, None)
    assert concluded(ROW, exactly(1.0), ORIGIN).verdict == "reproduced"


def test_a_row_that_was_not_run_keeps_its_place():
    row = not_run(replace(ROW, control=True), "no GPU", "gpu", "normal")
    assert (row.row, row.claim, row.part, row.control, row.verdict) == ("KP2-rank", "KP2", "a", True, X.value)


@pytest.mark.parametrize("of", ["KP2b", "KP2", "LC99a", "nothing", "INSTRUMENTa"])
def test_a_row_of_no_claim_is_refused(of):
    with pytest.raises(ValueError, match=of.rstrip("ab") if of != "KP2b" else "KP2 has the parts a"):
        Row("x", of, "a number", Region(0.0, 1.0))


def test_claims_have_parts_by_letter_and_papers_their_folders():
    for claim in CLAIMS.values():
        assert "".join(claim.parts) == "abcdefgh"[: len(claim.parts)] and claim.text.endswith("."), claim.id
        assert Row("x", f"{claim.id}a", "a number", Region(0.0, 1.0)).claim == claim.id
    assert {claim.paper for claim in CLAIMS.values()} == set(PAPERS)


def test_a_result_carries_all_that_was_declared_and_measured():
    row = replace(ROW, control=True)
    details = {"curve": [1, 2]}
    found = concluded(row, Interval(0.5, 0.2, 0.8), ORIGIN, details=details, method="gptq", seconds=1.23456)
    assert (found.row, found.statistic, found.control, found.method) == ("KP2-rank", "a number", True, "gptq")
    assert (found.value, found.low, found.high, found.accept_low, found.accept_high) == (0.5, 0.2, 0.8, 0.0, 1.0)
    assert (found.seconds, found.details, found.variants) == (1.23, details, [])
    plain = concluded(ROW, Interval(0.5, 0.2, 0.8), ORIGIN)
    assert (plain.seconds, plain.details, plain.doubt, plain.reason, plain.control) == (0, {}, "", "", False)


def test_a_row_that_straddles_says_what_would_decide_it():
    reason = concluded(ROW, Interval(1.0, 0.5, 3.0), ORIGIN).reason
    assert reason == f"the interval straddles the boundary; {MORE_DOCUMENTS} would decide"
    assert concluded(ROW, Interval(1.0, 0.5, 3.0), ORIGIN, doubt="blind").reason == "blind"


def test_arithmetic_has_no_error_and_measures_no_model():
    assert exactly(3.0) == Interval(3.0, 3.0, 3.0)
    origin = by_arithmetic("table 1", scale="embedded", protocol="p")
    assert origin == Origin(scale="embedded", model="table 1, by arithmetic", protocol="p")


def test_a_row_that_was_not_run_says_why_and_where():
    row = not_run(ROW, "no GPU", "gpu", "normal")
    assert (row.reason, row.scale, row.effort, row.statistic) == ("no GPU", "gpu", "normal", "a number")
    assert (row.value, row.variants, row.control) == (None, [], False)


def test_every_part_has_the_verdict_of_its_own_rows():
    results = [result(R, "a"), result(N, "b"), result(I, "b")]
    assert verdicts_of_parts("abc", iter(results)) == {"a": R, "b": N, "c": X}
