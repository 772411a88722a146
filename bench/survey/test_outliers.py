"""A Brief Survey of Model Compression in Language Models: outlier features, SV22.

"Outlying features which are orders of magnitude larger than average" (§ Pruning, after Sun et al. 2023): the largest
magnitude among a layer's hidden states over the median of all of them, in the layer where that is most. Orders are two
at least. Models much smaller than the 6.7 billion parameters at which LLM.int8() sees its outliers in all layers may
have them at the first position alone, where much of attention goes; a control leaves that out.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bench.fixtures import Conclude
from bench.parameters import parameters
from bench.survey.outliers import HIDDEN, INPUTS, Outliers, changed, in_the_most, standing_out
from bench.verdict.documents import Array, Interval, mean
from bench.verdict.needed import what_would_decide
from bench.verdict.regions import UNCHANGED, Region
from bench.verdict.rows import Row
from compress.pruning.wanda import WandaPruning
from compress.quantization.grouping import PerGroup
from compress.quantization.rounding import RoundToNearest

PAPER_SCALE = "paper-opt"
pytestmark = [
    pytest.mark.cost(fixture="outliers", embedded=(1, 4, 8), gpu=(1, 2, 4)),
    pytest.mark.cost(of=WandaPruning, embedded=(1, 12, 500), gpu=(2, 6, 10)),
    pytest.mark.cost(of=RoundToNearest, embedded=(1, 6, 25), gpu=(1, 2, 4)),
]
ORDERS, WHY_ORDERS = Region(low=100.0), "orders of magnitude: two at least"
States = dict[str, Array]


def _at_median(layers: Array) -> Array:
    return np.median(layers, -1)


def _ratio(
    kind: str, over: str = "largest", under: str = "median", of_layers: Callable[[Array], Array] = in_the_most
) -> Callable[[States], Interval]:
    """From a model's states to the ratio of two numbers of its layers."""
    return lambda states: standing_out(states[f"{kind} {over}"], states[f"{kind} {under}"], of_layers)


def _features(states: States) -> Interval:
    found = states[f"{HIDDEN} features"]
    return standing_out(found, np.ones_like(found))


def of_dense(
    name: str, statistic: str, measure: Callable[[States], Interval], accept: Region, because: str, **more: bool
) -> Row:
    """Row on the dense model's states."""
    return Row(f"SV22-{name}", "SV22a", statistic, accept, because, ("dense",), measure, **more)


LARGEST = "largest magnitude of a hidden state over the median, in the layer where it is most"
VOTING = of_dense("largest-over-median", LARGEST, _ratio(HIDDEN), ORDERS, WHY_ORDERS)
CONTROLS = [
    of_dense(f"{name}", statistic, measure, ORDERS, WHY_ORDERS, control=True)
    for name, statistic, measure in (
        ("after-first-position", f"{LARGEST}; position 0 left out of the largest", _ratio(HIDDEN, "later")),
        ("median-layer", "the same in the median layer", _ratio(HIDDEN, of_layers=_at_median)),
        ("largest-over-mean", "largest magnitude of a hidden state over the mean", _ratio(HIDDEN, under="mean")),
        (
            "mean-of-feature",
            "largest mean magnitude of a feature after position 0 over the features' median",
            _features,
        ),
        ("linear-inputs", "largest magnitude of a linear layer's input over the median", _ratio(INPUTS)),
    )
]
CRITERION = of_dense(
    "llm-int8-criterion",
    "linear layers' inputs of magnitude 6 in a quarter of the layers and 6 % of the positions, features of a document",
    lambda states: mean(states[f"{INPUTS} outliers"]),
    Region(low=1.0),
    "one feature at least meets LLM.int8()'s criterion",
    control=True,
)


@pytest.mark.parametrize("row", parameters(VOTING, *CONTROLS, CRITERION))
def test_outlier_features(outliers: Outliers, conclude: Conclude, row: Row) -> None:
    """Magnitudes of the dense model's states."""
    assert row.measure is not None
    interval = row.measure(outliers.states())
    settle(conclude, outliers, row, interval)


def settle(conclude: Conclude, outliers: Outliers, row: Row, interval: Interval) -> None:
    """Conclude a row on states of the scored documents."""
    decide = what_would_decide(interval, len(outliers.windows.tokens), row.accept)
    conclude(row, interval, outliers, doubt=outliers.doubt(), decide=decide)


AFTER = [
    Row(
        f"SV22-after-{method}",
        "SV22a",
        f"{LARGEST}; after {method} over before",
        UNCHANGED,
        "compression leaves them: within a quarter",
        (method,),
        control=True,
    )
    for method in (RoundToNearest(4, PerGroup(128)), WandaPruning(0.5))
]


@pytest.mark.parametrize("row", parameters(*AFTER))
def test_outlier_features_after_compression(outliers: Outliers, conclude: Conclude, row: Row) -> None:
    """Magnitudes with all blocks compressed over the dense model's."""
    after = outliers.states(row.contestants[0])  # pyright: ignore[reportArgumentType]
    settle(conclude, outliers, row, changed(after, outliers.states()))
