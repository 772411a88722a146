"""A Brief Survey of Model Compression in Language Models. Claims SV3 (magnitude against Wanda) and SV4.

Perplexity ratios are exp of the difference of mean losses on the same target tokens at the longest context.
"""

from __future__ import annotations

import pytest

from bench.conftest import Conclude
from bench.lab import Lab, Measured
from bench.statistics import Interval, difference_ratio
from bench.verdicts import GROWS, Region
from compress.methods import ComparisonGroup, MagnitudePruning, Method, WandaPruning

HALF = 0.5
LAYER = MagnitudePruning(HALF)
ROW = MagnitudePruning(HALF, ComparisonGroup.ROW)
MODEL = MagnitudePruning(HALF, ComparisonGroup.MODEL)
WANDA = WandaPruning(HALF)
DROPS = Region(low=2.0)
"""A serious drop: perplexity doubles or worse (OPT-125M: 27.65 to 193)."""
PERFORMANT = Region(high=1.5)
"""OPT-125M under SparseGPT at 50 %: 27.65 to 36.85, a ratio of 1.33."""


def against_dense(lab: Lab, measured: Measured) -> Interval:
    """Perplexity of a variant over that of the dense model."""
    curve = measured.curve
    losses = curve.by_document("loss")[:, -1], curve.by_document("dense_loss")[:, -1]
    return difference_ratio(*losses, resamples=lab.settings.resamples)


def against(lab: Lab, first: Measured, second: Measured) -> Interval:
    """Perplexity of one variant over that of another."""
    losses = (measured.curve.by_document("loss")[:, -1] for measured in (first, second))
    return difference_ratio(*losses, resamples=lab.settings.resamples)


@pytest.mark.claim("SV3")
@pytest.mark.parametrize(
    ("method", "accept"),
    [
        pytest.param(LAYER, DROPS, id=f"SV3-{LAYER}-drops"),
        pytest.param(WANDA, PERFORMANT, id=f"SV3-{WANDA}-performant"),
    ],
)
def test_perplexity_after_half_the_weights(lab: Lab, conclude: Conclude, method: Method, accept: Region) -> None:
    """Magnitude pruning drops seriously without retraining; Wanda stays performant."""
    measured = lab.measure(method)
    what = "perplexity over that of the dense model"
    row = f"SV3-{method}-{'drops' if accept is DROPS else 'performant'}"
    conclude(row, what, against_dense(lab, measured), accept, measured=measured)


@pytest.mark.claim("SV3")
@pytest.mark.parametrize("method", [pytest.param(LAYER, id="SV3-magnitude-over-wanda")])
def test_wanda_beats_magnitude(lab: Lab, conclude: Conclude, method: Method) -> None:
    """The two methods against each other at 50 %."""
    magnitude, wanda = lab.measure(method), lab.measure(WANDA)
    conclude(
        "SV3-magnitude-over-wanda", "perplexity of magnitude over that of Wanda", against(lab, magnitude, wanda), GROWS,
        measured=magnitude,
    )  # fmt: skip


@pytest.mark.claim("SV4")
@pytest.mark.parametrize(
    ("method", "control"),
    [pytest.param(LAYER, ROW, id="SV4-layer-over-row"), pytest.param(MODEL, LAYER, id="SV4-model-over-layer")],
)
def test_narrower_comparison_groups_are_better(
    lab: Lab, conclude: Conclude, method: MagnitudePruning, control: MagnitudePruning
) -> None:
    """Per output beats per layer beats one threshold for the model."""
    wider, narrower = lab.measure(method), lab.measure(control)
    row = f"SV4-{method.group.value}-over-{control.group.value}"
    what = f"perplexity per {method.group.value} over that per {control.group.value}"
    # The page shows every variant once; that per layer is there already.
    conclude(row, what, against(lab, wider, narrower), GROWS, measured=narrower if control == ROW else wider)
