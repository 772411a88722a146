"""A Brief Survey of Model Compression in Language Models: quantization-aware training, SV11.

§2: "QAT often achieves better results than PTQ alone". Training goes on from a dense model, with learned step sizes
(Esser et al. 2020). Rounding after training is given the same steps beforehand: it is applied to the dense model that
was trained as much longer, so that what QAT gains is not merely more training. Grids are one a row in both.
"""

from __future__ import annotations

import pytest

from bench.fixtures import Conclude
from bench.parameters import parameters
from bench.survey.trained.lab import Trained
from bench.survey.trained.recipes import Aware, Longer, OneShot
from bench.survey.trained.rows import BETTER, COSTS, HOWEVER_LITTLE, over, settle
from bench.verdict.regions import Region
from bench.verdict.rows import Row
from compress.quantization.gptq import GPTQ
from compress.quantization.grouping import PerRow
from compress.quantization.rounding import RoundToNearest

pytestmark = COSTS
PARTS = {4: "SV11a", 3: "SV11b", 2: "SV11c"}
UNHARMED = Region(high=1.01)
"""Q8BERT keeps at least 99 % of its accuracy (Zafrir et al. 2019, abstract)."""


def after_training(bits: int, longer: Longer | None, *, activation_bits: int | None = None) -> tuple[OneShot, ...]:
    """Rounding to nearest and GPTQ, each on a symmetric grid, as QAT's, and on an asymmetric one."""
    return tuple(
        OneShot(kind(bits, PerRow(), symmetric=symmetric, activation_bits=activation_bits), longer)
        for kind in (RoundToNearest, GPTQ)
        for symmetric in (True, False)
    )


def ahead(bits: int, of: str, *, longer: bool = True, control: bool = False) -> Row:
    """Row on the perplexity of rounding after training over that of QAT."""
    before = Longer() if longer else None
    statistic = (
        "perplexity of the best of RTN and GPTQ, of the dense model trained "
        f"{'as many steps more' if longer else 'no longer'}, over that of QAT"
    )
    name = f"SV11-{'ptq' if longer else 'ptq-untrained'}-over-qat-w{bits}"
    contestants = (*after_training(bits, before), *([before] if before else []), Aware(bits))
    return Row(name, of, statistic, BETTER, HOWEVER_LITTLE, contestants, control=control)


AHEAD = {ahead(bits, part): bits for bits, part in PARTS.items()}
UNTRAINED = {ahead(bits, part, longer=False, control=True): bits for bits, part in PARTS.items()}
EIGHT = Row(
    "SV11-qat-w8a8-over-dense",
    "SV11a",
    "perplexity of QAT, of weights and activations at 8 bits, over that of the dense model trained as many steps more",
    UNHARMED,
    "Q8BERT: within 1 % at 8 bits",
    (Aware(8, 8), Longer()),
    control=True,
)


@pytest.mark.parametrize("row", parameters(*AHEAD, *UNTRAINED))
def test_training_with_rounding_beats_rounding_after_training(trained: Trained, conclude: Conclude, row: Row) -> None:
    """QAT against the better of round-to-nearest and GPTQ, each of both kinds of grids, at equal bits a row."""
    bits = (AHEAD | UNTRAINED)[row]
    longer = trained.at_best_rate(Longer()) if row in AHEAD else None
    rounded, aware = trained.chosen(after_training(bits, longer)), trained.at_best_rate(Aware(bits))
    settle(conclude, trained, row, over(trained, rounded, aware), [rounded, aware, *([longer] if longer else [])])


@pytest.mark.parametrize("row", parameters(EIGHT))
def test_eight_bits_harm_nothing(trained: Trained, conclude: Conclude, row: Row) -> None:
    """QAT at 8 bits, of weights and of activations, as Q8BERT, against the dense model trained as long."""
    aware, longer = (trained.at_best_rate(recipe) for recipe in row.contestants)
    settle(conclude, trained, row, over(trained, aware, longer), [aware, longer])
