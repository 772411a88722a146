"""A Brief Survey of Model Compression in Language Models: second-order saliencies against magnitude, SV23.

Half the weights of every row go, by Optimal Brain Damage, Surgeon or Compression, or by magnitude. The rankings
themselves vote: none of the kept weights moves, and errors are measured on inputs that nothing was calibrated on.
Controls fit the kept weights anew to the calibration inputs, the same way under each ranking.
"""

from __future__ import annotations

import numpy as np
import pytest

from bench.fixtures import Conclude
from bench.parameters import parameters
from bench.survey.saliency import REFIT, SecondOrder
from bench.verdict.crossed import crossed_interval
from bench.verdict.documents import Array, Interval, difference_ratio
from bench.verdict.needed import Needed, what_would_decide, which_would_decide
from bench.verdict.regions import Region
from bench.verdict.rows import Row
from compress.method import Method
from compress.pruning.magnitude import ComparisonGroup, MagnitudePruning
from compress.pruning.second_order import OBC, SaliencyPruning
from compress.pruning.sparsegpt import SparseGPT

PAPER_SCALE = "paper-opt"
pytestmark = [
    pytest.mark.cost(shared="output errors", embedded=(3, 45, 600), gpu=(5, 60, 300)),
    pytest.mark.cost(of=OBC, embedded=(4, 40, 60), gpu=(5, 60, 90)),
    pytest.mark.cost(of=(SaliencyPruning, SparseGPT), embedded=(2, 8, 60), gpu=(2, 5, 10)),
    pytest.mark.cost(of=Method, embedded=(1, 5, 20), gpu=(1, 2, 4)),
]
BETTER, WHY_BETTER = Region(high=1.0), "a better ranking leaves less error, however little"
NAMES = {"obd": ("SV23a", "Optimal Brain Damage"), "obs": ("SV23b", "Optimal Brain Surgeon"), "obc": ("SV23c", "OBC")}
UNITS = ("calibration samples", "blocks", "documents")
RANKINGS = [
    Row(
        f"SV23-{kind}-over-magnitude{ending}",
        of,
        f"output error on fresh inputs of the half that {name} keeps over that of magnitude's{said}",
        BETTER,
        WHY_BETTER,
        (f"{kind}{ending}", f"magnitude{ending}"),
        control=bool(ending),
    )
    for ending, said in (("", ", none moved"), (REFIT, ", both fitted anew"))
    for kind, (of, name) in NAMES.items()
]
GPTQ = Row(
    "SV23-gptq-over-obq",
    "SV23c",
    "output error of GPTQ on fresh inputs over that of OBQ, at 3 bits a row",
    Region(high=1.1),
    "a fixed order does as well as the cheapest first: at most a tenth worse",
    ("gptq", "obq"),
    control=True,
)


@pytest.mark.parametrize("row", parameters(*RANKINGS, GPTQ))
def test_output_error_of_rankings(second_order: SecondOrder, conclude: Conclude, row: Row) -> None:
    """Error of one over that of another, layer by layer on the same inputs."""
    first, second = map(str, row.contestants)
    logs = np.stack([errors[first] - errors[second] for errors in _samples(second_order)])
    interval = crossed_interval(logs, lambda means: means[..., 0], factors=3).map(np.exp)
    settle(conclude, second_order, row, interval, which_would_decide(interval, row.accept, of=UNITS))


def _samples(second_order: SecondOrder) -> list[dict[str, Array]]:
    return [second_order.errors(sample) for sample in range(second_order.settings.samples)]


def settle(conclude: Conclude, second_order: SecondOrder, row: Row, interval: Interval, decide: Needed) -> None:
    """Conclude a row with what would decide it."""
    conclude(row, interval, second_order, doubt=second_order.doubt(), decide=decide)


SHARE = Row(
    "SV23-share-of-obc-by-sparsegpt",
    "SV23c",
    "share of what OBC takes off magnitude's output error, both with the kept weights moved, that SparseGPT takes off",
    Region(low=0.8),
    "an approximation of it: four fifths at least",
    ("sparsegpt", f"obc{REFIT}"),
    control=True,
)


@pytest.mark.parametrize("row", parameters(SHARE))
def test_share_of_the_exact_reduction(second_order: SecondOrder, conclude: Conclude, row: Row) -> None:
    """Magnitude's error less SparseGPT's over magnitude's less OBC's, each over magnitude's own."""
    kinds = [str(kind) for kind in row.contestants]
    left = [np.stack([np.exp(of[kind] - of["magnitude"]) for kind in kinds], -1) for of in _samples(second_order)]
    interval = crossed_interval(np.stack(left), lambda means: (1 - means[..., 0]) / (1 - means[..., 1]), factors=3)
    settle(conclude, second_order, row, interval, which_would_decide(interval, row.accept, of=UNITS, ratio=False))


MAGNITUDE = MagnitudePruning(0.5, ComparisonGroup.ROW)
PERPLEXITY = [
    Row(
        f"SV23-perplexity-{method}",
        of,
        f"perplexity with {method} of a few neighbouring blocks over that with magnitude of the same",
        BETTER,
        "the better ranking predicts better",
        (method, MAGNITUDE),
        control=True,
    )
    for of, method in (("SV23a", SaliencyPruning(0.5)), ("SV23c", OBC(0.5)), ("SV23c", SparseGPT(0.5)))
]


@pytest.mark.parametrize("row", parameters(*PERPLEXITY))
def test_perplexity_with_a_few_blocks_pruned(second_order: SecondOrder, conclude: Conclude, row: Row) -> None:
    """Layers that exact pruning can take, of neighbouring blocks; all others stay dense."""
    first, second = (second_order.losses(method) for method in row.contestants)  # pyright: ignore[reportArgumentType]
    interval = difference_ratio(first, second)
    settle(conclude, second_order, row, interval, what_would_decide(interval, len(first), row.accept))
