"""Krony-PT on how students are trained: scalars, schedules, batches and a second phase. KP6c, KP12, KP13 and KP14."""

from __future__ import annotations

import numpy as np
import pytest

from bench.fixtures import Conclude
from bench.krony.contests import (
    at_tokens,
    best_of,
    course_of,
    described,
    of_last_doubling,
    out_of_reach,
    reading_on,
    spreads,
    still_learning,
    untried,
)
from bench.krony.costs import COSTS
from bench.krony.ladder import Ladder
from bench.krony.readings import DOUBLINGS
from bench.krony.rows import LONGER, PHASE, SCHEDULES, SETTLE, UNSTEADY
from bench.krony.rungs import CONSTANT, COSINE, HALFWAY
from bench.krony.students import Student
from bench.krony.trend import ahead, between, now, until_flat
from bench.parameters import parameters
from bench.verdict.documents import difference_ratio
from bench.verdict.needed import what_would_decide
from bench.verdict.rows import Row

PAPER_SCALE = "paper-gpt2"
pytestmark = COSTS


@pytest.mark.parametrize("row", parameters(*SETTLE))
def test_where_scalars_settle(ladder: Ladder, conclude: Conclude, row: Row) -> None:
    """§4.7: no matter what the initialization is, scalars converge to around 4."""
    rung, start = next(each for each in row.contestants if isinstance(each, Student)), SETTLE[row]
    runs, count = ladder.runs(rung), len(DOUBLINGS)
    course = np.stack([run["scalars"][-count:].mean(1) for run in runs], axis=1)[:, :, None]  # [checkpoints, seeds, 1]
    interval = between(now(course), ahead(runs[0]["tokens"][-count:], course))
    details = described(ladder, rung) | {"scalars": {rung.name: course.mean((1, 2)).round(4).tolist()}}
    doubt = ladder.doubt() or out_of_reach(ladder, rung, start)
    decide = reading_on(until_flat(*course_of(ladder, rung)))
    conclude(row, interval, ladder, doubt=doubt, details=details, decide=decide)


@pytest.mark.parametrize("row", parameters(SCHEDULES))
def test_a_constant_rate_against_cosine(ladder: Ladder, conclude: Conclude, row: Row) -> None:
    """§4.1: a constant rate is better than a cosine schedule with a warm-up, after equal tokens."""
    (cosine, cosine_at_end), (constant, constant_at_end) = (
        best_of(ladder, family, HALFWAY) for family in (COSINE, CONSTANT)
    )
    compared = at_tokens(ladder, cosine, constant, HALFWAY)
    details = compared.details | {"best": [cosine.name, constant.name]}
    doubt = ladder.doubt() or untried(compared.interval, cosine_at_end, constant_at_end)
    conclude(row, compared.interval, ladder, doubt=doubt, details=details, decide=compared.decide(row.accept))


@pytest.mark.parametrize("row", parameters(UNSTEADY))
def test_smaller_batches_are_unsteadier(ladder: Ladder, conclude: Conclude, row: Row) -> None:
    """§4.1: larger batches give steadier loss, on text that is held out, about its own slope."""
    students = [each for each in row.contestants if isinstance(each, Student)]
    small, large = map(np.log, spreads(ladder, *students))
    details = described(ladder, *students) | {"unsteadiness": [np.exp(each).tolist() for each in (small, large)]}
    interval = difference_ratio(small, large)
    decide = what_would_decide(interval, len(small), row.accept, of="seeds")
    conclude(row, interval, ladder, doubt=ladder.doubt(), details=details, decide=decide)


@pytest.mark.parametrize("row", parameters(PHASE))
def test_a_second_phase_with_large_batches(ladder: Ladder, conclude: Conclude, row: Row) -> None:
    """§4.1: after the first phase, a tenth more in batches four times as large helps, against going on as before."""
    first, second = (each for each in row.contestants if isinstance(each, Student))
    compared = at_tokens(ladder, first, second, 1.0)
    conclude(
        row,
        compared.interval,
        ladder,
        doubt=ladder.doubt(),
        details=compared.details,
        decide=compared.decide(row.accept),
    )


@pytest.mark.parametrize("row", parameters(*LONGER))
def test_longer_training(ladder: Ladder, conclude: Conclude, row: Row) -> None:
    """§4.9: longer training stops helping on WikiText and still helps on LAMBADA."""
    (rung,) = (each for each in row.contestants if isinstance(each, Student))
    if not ladder.runs(rung)[0]["elsewhere"].size:
        pytest.skip("students are scored on two kinds of text where they read books: --effort=thorough --text BOOKS")
    compared = of_last_doubling(ladder, rung, LONGER[row])
    doubt = ladder.doubt() or still_learning(ladder, rung)
    decide = compared.decide(row.accept)
    conclude(row, compared.interval, ladder, doubt=doubt, details=compared.details, decide=decide)
