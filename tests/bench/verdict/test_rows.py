"""Declared rows name a claim and its part, or an instrument."""

import pytest

from bench.verdict.claims import CLAIMS
from bench.verdict.regions import GROWS
from bench.verdict.rows import Row


@pytest.mark.parametrize(
    ("of", "claim", "part"), [("LC3c", "LC3", "c"), ("KP1a", "KP1", "a"), ("INSTRUMENT", "INSTRUMENT", "")]
)
def test_a_row_is_of_a_claims_part_or_of_an_instrument(of, claim, part):
    row = Row("x", of, "growth", GROWS)
    assert (row.claim, row.part, str(row)) == (claim, part, "x")


@pytest.mark.parametrize(
    ("of", "message"),
    [("LC3z", "no such claim"), ("LC99a", "no such claim"), ("LC3", "has the parts"), ("LC1h", "LC1 has the parts")],
)
def test_a_row_of_no_part_is_refused_and_named(of, message):
    with pytest.raises(ValueError, match=f"x is of {of}.*{message}"):
        Row("x", of, "growth", GROWS)


def test_every_part_of_every_claim_may_have_rows():
    for claim in CLAIMS.values():
        for part in claim.parts:
            assert Row("x", claim.id + part, "growth", GROWS).part == part


def test_a_row_votes_unless_it_is_a_control_and_cannot_be_changed():
    row = Row("x", "LC3b", "growth", GROWS)
    assert not row.control and row.contestants == () and row.measure is None
    with pytest.raises(AttributeError):
        row.accept = None
