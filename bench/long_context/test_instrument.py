"""Can the instrument see what it judges? Noise floors, a positive control, and the verdict engine's own errors."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
import torch

from bench.conftest import Conclude
from bench.measure.session import Lab
from bench.verdict.documents import Interval, growth, ratio
from bench.verdict.regions import GROWS, GROWS_CLEARLY, UNCHANGED, Region
from bench.verdict.simulation import Population, rate_of_reproduced
from compress.method import Method
from compress.quantization.rounding import CastWeights, RoundToNearest

FALSE_RATE = Region(0.0, 0.05)
WELL_BELOW = Region(high=0.1)
SCENARIOS = {
    "grows-when-flat": (1.0, GROWS),
    "grows-clearly-when-at-band": (1.25, GROWS_CLEARLY),
    "unchanged-when-grown-to-band": (1.25, UNCHANGED),
    "unchanged-when-fallen-to-band": (0.8, UNCHANGED),
}
POWERS = {
    "grows": (GROWS, (1.1, 1.25, 1.5, 2.0)),
    "grows-clearly": (GROWS_CLEARLY, (1.5, 2.0, 3.0)),
    "unchanged": (UNCHANGED, (1.0, 1.1)),
}
FALSE_RATE_FACTOR = 8
"""A rate near 2.5 % needs more simulations than a power does, to be bounded by 5 %."""
TAIL = RoundToNearest(3)
"""The variant whose per-token KL the simulated documents are made of."""


@pytest.mark.claim("INSTRUMENT")
@pytest.mark.parametrize("method", [pytest.param(RoundToNearest(8), id="INSTRUMENT-noise-floor")])
def test_noise_floor_lies_well_under_the_mildest_variant(lab: Lab, conclude: Conclude, method: Method) -> None:
    """KL of the dense model against itself in other batches, against that of 8-bit weights on the same documents."""
    floor, mildest = lab.noise_floor(), lab.measure(method).curve.by_document()[:2]
    worst = floor.max(1) / mildest.min(1)
    found = Interval(float(worst.mean()), float(worst.min()), float(worst.max()))
    what = "KL of dense against dense over KL of 8-bit weights (range over 2 documents)"
    conclude("INSTRUMENT-noise-floor", what, found, WELL_BELOW, details={"floor": floor.mean(0).tolist()})


@pytest.mark.claim("INSTRUMENT")
@pytest.mark.parametrize("method", [pytest.param(CastWeights(torch.bfloat16), id="INSTRUMENT-dtype")])
@pytest.mark.parametrize("control", [RoundToNearest(8)], ids=[""])
def test_storage_dtype_moves_less_than_the_mildest_variant(
    lab: Lab, conclude: Conclude, method: Method, control: Method
) -> None:
    """KL of weights rounded to bfloat16 against that of 8-bit weights: which effects the dtype could hide."""
    cast, mildest = lab.measure(method), lab.measure(control)
    found = ratio(*(m.curve.by_document().mean(1) for m in (cast, mildest)), resamples=lab.settings.resamples)
    what = "KL of bfloat16 weights over KL of 8-bit weights"
    conclude("INSTRUMENT-dtype", what, found, Region(high=1.0), measured=cast)


@pytest.mark.claim("INSTRUMENT")
@pytest.mark.parametrize("row", ["INSTRUMENT-forgetting"])
def test_a_model_that_forgets_is_seen_to_drift(lab: Lab, conclude: Conclude, row: str) -> None:
    """Positive control: the dense model with only the shortest context, against itself with longer ones."""
    if len(lab.settings.contexts) < 3:
        pytest.skip("growth from the second context on needs at least 3 contexts; use --effort=normal")
    curves = lab.forgetting()
    what = f"KL at {lab.settings.contexts[-1]} over KL at {lab.settings.contexts[1]} tokens of context"
    found = growth(curves[:, 1:], resamples=lab.settings.resamples)
    details = {"contexts": list(lab.settings.contexts), "kl": curves.mean(0).tolist()}
    conclude(row, what, found, GROWS, details=details)


def simulated(lab: Lab, name: str, truth: float, accept: Region, simulations: int) -> tuple[Interval, float]:
    """The rate of "reproduced" on documents made of the model's own KL, on draws of the scenario's own."""
    tokens = lab.measure(TAIL).curve.tokens["kl"]

    def run() -> dict[str, np.ndarray]:
        found, bca = rate_of_reproduced(
            Population.of(tokens),
            documents=len(tokens),
            truth=truth,
            accept=accept,
            simulations=simulations,
            resamples=lab.settings.resamples,
            seed=lab.settings.seed + zlib.crc32(name.encode()),
        )
        return {"rate": np.array([found.value, found.low, found.high, bca])}

    kept = lab.measured(f"rate {name} {truth} {accept} {simulations}", run)["rate"]
    return Interval(*kept[:3]), float(kept[3])


@pytest.mark.claim("VERDICTS")
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda name: f"VERDICTS-{name}")
def test_false_reproduced_is_rare(lab: Lab, conclude: Conclude, scenario: str) -> None:
    """Where a claim is false, at its very boundary, at most 5 % of experiments call it reproduced."""
    truth, accept = SCENARIOS[scenario]
    simulations = FALSE_RATE_FACTOR * lab.settings.simulations
    found, bca = simulated(lab, scenario, truth, accept, simulations)
    what = f"rate of false 'reproduced' when growth is {truth:g} and the claim is {accept}"
    details = {"truth": truth, "bca": bca, "simulations": simulations}
    conclude(f"VERDICTS-{scenario}", what, found, FALSE_RATE, decide="more simulations", details=details)


@pytest.mark.claim("VERDICTS")
@pytest.mark.parametrize("claim", POWERS, ids=lambda name: f"VERDICTS-power-{name}")
def test_power_is_known(lab: Lab, conclude: Conclude, claim: str) -> None:
    """Where a claim is true, how often it is called reproduced; the last truth listed must mostly be seen."""
    accept, truths = POWERS[claim]
    rates = {truth: simulated(lab, claim, truth, accept, lab.settings.simulations)[0] for truth in truths}
    clearest = truths[0] if claim == "unchanged" else truths[-1]
    details = {"power": {f"{truth:g}": rate.value for truth, rate in rates.items()}}
    what = f"rate of 'reproduced' when growth is {clearest:g} and the claim is {accept}"
    conclude(
        f"VERDICTS-power-{claim}", what, rates[clearest], Region(0.5, 1.0), decide="more documents", details=details
    )
