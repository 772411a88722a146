"""Claims as the papers' files write them: values, with parts of their own and rows where they are built."""

from dataclasses import FrozenInstanceError

import pytest

from bench.verdict.claims import CLAIMS, INSTRUMENTS, PAPERS, REVISIONS
from bench.verdict.papers.claim import Paper, claim

PAPER = Paper("krony", "A paper", "a model")


def test_a_claim_without_parts_is_its_own_part_a():
    alone = claim(PAPER, "KP99", "§1", "It holds.")
    assert alone.parts == {"a": "It holds."} and alone.built
    two = claim(PAPER, "KP99", "§1", "Both hold.", built=False, a="One.", b="The other.")
    assert two.parts == {"a": "One.", "b": "The other."} and not two.built


def test_claims_papers_and_revisions_cannot_be_changed():
    for value in (PAPER, claim(PAPER, "KP99", "§1", "It holds."), REVISIONS[0]):
        with pytest.raises(FrozenInstanceError):
            value.of = "something else"


def test_identifiers_are_their_own_and_no_instruments():
    assert all(identifier == one.id for identifier, one in CLAIMS.items()) and not set(CLAIMS) & set(INSTRUMENTS)
    assert len({paper.key for paper in PAPERS}) == len(PAPERS) == 4


def test_revisions_are_of_claims_that_there_are():
    for revision in REVISIONS:
        assert any(identifier in revision.of for identifier in CLAIMS), revision.of
        assert revision.old != revision.new and revision.why and revision.fresh
