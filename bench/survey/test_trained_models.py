"""Instrument of training-time methods: its dense models against counts of their own text."""

from __future__ import annotations

import pytest

from bench.fixtures import Conclude
from bench.parameters import parameters
from bench.survey.trained.lab import NGRAM, Trained
from bench.survey.trained.recipes import Recipe
from bench.survey.trained.rows import COSTS, settle
from bench.verdict.regions import Region
from bench.verdict.rows import Row

pytestmark = COSTS
BEATEN = Region(low=1.0)


def over_counts(order: int, because: str, *, control: bool = False) -> Row:
    """Row on an n-gram model's perplexity over the dense model's."""
    statistic = f"perplexity of a {order}-gram model of the same text over the dense model's"
    name = f"INSTRUMENT-trained-over-{order}-gram"
    return Row(name, "INSTRUMENT", statistic, BEATEN, because, (Recipe(),), control=control)


COUNTS = {
    over_counts(NGRAM, "a model that counting pairs beats cannot judge"): NGRAM,
    over_counts(3, "counts of three are more than is asked of it", control=True): 3,
}


@pytest.mark.parametrize("row", parameters(*COUNTS))
def test_the_dense_model_beats_counting(trained: Trained, conclude: Conclude, row: Row) -> None:
    """The dense model against an interpolated Kneser-Ney model."""
    settle(conclude, trained, row, trained.over_ngram(COUNTS[row]), [Recipe()])
