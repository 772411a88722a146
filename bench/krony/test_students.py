"""Krony-PT on students of a GPT-2 that is trained on the spot: which form of them is better. KP4 to KP9 and KP15."""

from __future__ import annotations

import math

import pytest

from bench.fixtures import Conclude
from bench.krony.contests import Compared, at_tokens, best_of, of_losses, to_the_end, untried
from bench.krony.costs import COSTS
from bench.krony.ladder import Ladder
from bench.krony.rows import BEND, DISTIL, EQUAL_TOKENS, FOLLOWED, HALF_ROW, NGRAM_ROW
from bench.krony.rungs import CONSTANT, DISTILLED_HALVES
from bench.krony.students import Student
from bench.parameters import parameters
from bench.verdict.rows import Row

PAPER_SCALE = "paper-gpt2"
pytestmark = COSTS


@pytest.mark.parametrize("row", parameters(NGRAM_ROW, HALF_ROW))
def test_the_teacher_can_tell_students_apart(ladder: Ladder, conclude: Conclude, row: Row) -> None:
    """The teacher beats a 5-gram model and, clearly, half its depth trained from scratch, on the same tokens."""
    qualification, arrays = ladder.qualification, ladder.base
    base = {name: math.exp(arrays[name].mean()) for name in ("teacher", "scratch", "ngram")}
    read, unique, parameters = (int(x) for x in arrays["tokens"])
    details = {"base": base, "tokens_read": read, "tokens_of_text": unique, "parameters": parameters}
    interval = qualification.over_ngram if row is NGRAM_ROW else qualification.over_half
    # Short of it, the rows that need it are inconclusive; that is a limit of the effort and no finding.
    doubt = "" if interval.low >= row.accept.low else f"the teacher is not clearly ahead; {ladder.remedy}"
    conclude(row, interval, ladder, doubt=doubt, details=details)


@pytest.mark.parametrize("row", parameters(*FOLLOWED))
def test_students_against_each_other(ladder: Ladder, conclude: Conclude, row: Row) -> None:
    """Perplexity of one student over another's, over seeds and documents, to where it leads if they are not flat."""
    first, second = (each for each in row.contestants if isinstance(each, Student))
    judged(ladder, conclude, row, to_the_end(ladder, first, second))


def judged(ladder: Ladder, conclude: Conclude, row: Row, compared: Compared, doubt: str = "") -> None:
    """Conclude a row on students, if their teacher can tell them apart."""
    doubt = ladder.doubt() or doubt
    conclude(row, compared.interval, ladder, doubt=doubt, details=compared.details, decide=compared.decide(row.accept))


@pytest.mark.parametrize("row", parameters(DISTIL))
def test_81m_against_a_distilled_half(ladder: Ladder, conclude: Conclude, row: Row) -> None:
    """Table 4: the 81M model, trained without distillation, has a lower perplexity than DistilGPT2."""
    (half, half_at_end), (own, own_at_end) = (best_of(ladder, family) for family in (DISTILLED_HALVES, CONSTANT))
    compared = to_the_end(ladder, half, own)
    judged(ladder, conclude, row, compared, untried(compared.interval, half_at_end, own_at_end))


@pytest.mark.parametrize("row", parameters(BEND))
def test_quality_falls_off_below_80m(ladder: Ladder, conclude: Conclude, row: Row) -> None:
    """§4.5: the curve of loss against size bends at about 80M."""
    small, middle, large = (each for each in row.contestants if isinstance(each, Student))
    judged(ladder, conclude, row, of_losses(ladder, {small: 1, middle: -2, large: 1}))


@pytest.mark.parametrize("row", parameters(*(row for rows in EQUAL_TOKENS.values() for row in rows)))
def test_students_after_equal_tokens(ladder: Ladder, conclude: Conclude, row: Row) -> None:
    """Perplexity of one student over another's after as many tokens, over seeds and documents."""
    first, second = (each for each in row.contestants if isinstance(each, Student))
    fraction = next(fraction for fraction, rows in EQUAL_TOKENS.items() if row in rows)
    judged(ladder, conclude, row, at_tokens(ladder, first, second, fraction))
