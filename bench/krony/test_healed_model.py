"""Krony-PT on a real model: its MLPs factorised or half its layers gone, healed block by block on the same tokens."""

from __future__ import annotations

import pytest

from bench.fixtures import Conclude
from bench.krony.healed import Healed, Variant
from bench.krony.rows import BETTER, LITTLE, LOWER, NEARLY
from bench.krony.rungs import FOUR, MANY_SMALL, P81, P95
from bench.parameters import parameters
from bench.verdict.documents import difference_ratio
from bench.verdict.regions import Region
from bench.verdict.rows import Row
from compress.factorisation.kronecker.method import KroneckerFactorisation, KroneckerFitToInputs, Start

PAPER_SCALE = "paper-gpt2"
pytestmark = pytest.mark.cost(of=Variant, embedded=(3, 0, 300), gpu=(5, 150, 660))


def contest(of: str, pair: tuple[Variant, Variant], accept: Region, because: str, row: str) -> Row:
    """Row on the perplexity of one healed variant over another's."""
    first, second = pair
    statistic = f"perplexity of {first} over that of {second}"
    return Row(f"{of[:-1]}-healed-{row}", of, statistic, accept, because, pair)


HALF = Variant(None)
ONE_81M, ONE_95M = Variant(KroneckerFactorisation(P81)), Variant(KroneckerFactorisation(P95))
PRUNED_95M = Variant(KroneckerFactorisation(P95, start=Start.PRUNED))
FIT_81M, FIT_95M = Variant(KroneckerFitToInputs(P81)), Variant(KroneckerFitToInputs(P95))
FOUR_HEALED = Variant(KroneckerFactorisation(FOUR, terms=4))
FOUR_FIT = Variant(KroneckerFitToInputs(FOUR, terms=4))
FOUR_SCALARS = Variant(KroneckerFactorisation(FOUR, terms=4, scalars=True))
SMALL_HEALED = Variant(KroneckerFactorisation(MANY_SMALL, terms=8))


def fitted(of: str, plain: Variant, fit: Variant, row: str) -> Row:
    """Control: a data-aware fit against Van Loan's start, an extension of the paper."""
    statistic = f"perplexity of {plain} over that of {fit}"
    because = "lower perplexity; an extension, fitted to inputs"
    return Row(row, of, statistic, BETTER, because, (plain, fit), control=True)


REAL = [
    contest("KP4a", (HALF, ONE_81M), BETTER, LOWER, "half-over-81M"),
    contest("KP5a", (PRUNED_95M, ONE_95M), LITTLE, NEARLY, "pruned-over-van-loan"),
    fitted("KP5a", ONE_81M, FIT_81M, "KP5-healed-van-loan-over-fit"),
    fitted("KP5a", ONE_95M, FIT_95M, "KP5-healed-van-loan-over-fit-95M"),
    fitted("KP6a", FOUR_HEALED, FOUR_FIT, "KP6-healed-4-terms-over-fit"),
    contest("KP6a", (PRUNED_95M, FOUR_HEALED), LITTLE, "no more than 5 %", "one-over-4-terms"),
    contest("KP6b", (FOUR_HEALED, FOUR_SCALARS), BETTER, LOWER, "4-terms-over-scalars"),
    contest("KP7b", (SMALL_HEALED, ONE_81M), BETTER, LOWER, "many-small-over-81M"),
]


@pytest.mark.parametrize("row", parameters(*REAL))
def test_real_weights_against_each_other(healed: Healed, conclude: Conclude, row: Row) -> None:
    """Perplexity of one healed variant of the real model over another's, over documents."""
    variants = [each for each in row.contestants if isinstance(each, Variant)]
    losses = [healed.measure(variant)["loss"] for variant in variants]
    details = healed.described(*variants)
    conclude(row, difference_ratio(*losses), healed, doubt=healed.doubt(*variants), details=details)
