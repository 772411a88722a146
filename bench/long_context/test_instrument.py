"""Can the instrument see what it judges? Noise floors, a positive control, and the verdict engine's own errors.

Where there are looks, the instrument is asked on the documents of the first, the engine on those of the last.
"""

from __future__ import annotations

import pytest
import torch

from bench.fixtures import Conclude
from bench.long_context.lab import TAIL, LongContext
from bench.long_context.looks import first_look
from bench.long_context.rows import COSTS
from bench.parameters import parameters
from bench.verdict.documents import Interval, growth, ratio
from bench.verdict.regions import GROWS, GROWS_CLEARLY, UNCHANGED, Region
from bench.verdict.rows import Row
from compress.method import Method
from compress.quantization.rounding import CastWeights, RoundToNearest

pytestmark = COSTS
MILDEST = RoundToNearest(8)
FLOOR = Row(
    "INSTRUMENT-noise-floor",
    "INSTRUMENT",
    "KL of dense against dense over KL of 8-bit weights (range over 2 documents)",
    Region(high=0.1),
    "well below the mildest variant",
    (MILDEST,),
)
DTYPE = Row(
    "INSTRUMENT-dtype",
    "INSTRUMENT",
    "KL of bfloat16 weights over KL of 8-bit weights",
    Region(high=1.0),
    "a dtype must move less than the mildest variant",
    (CastWeights(torch.bfloat16), MILDEST),
)
FORGETTING = Row(
    "INSTRUMENT-forgetting",
    "INSTRUMENT",
    "KL of a model that forgets, at the longest context over that at the second",
    GROWS,
    "a positive control: forgetting must be seen as growth",
)


@pytest.mark.parametrize("row", parameters(FLOOR))
def test_noise_floor_lies_well_under_the_mildest_variant(
    long_context: LongContext, conclude: Conclude, row: Row
) -> None:
    """KL of the dense model against itself in other batches, against that of 8-bit weights on the same documents."""
    lab = first_look(long_context)
    floor, mildest = lab.noise_floor(), lab.measure(MILDEST).kl[:2]
    worst = floor.max(1) / mildest.min(1)
    interval = Interval(float(worst.mean()), float(worst.min()), float(worst.max()))
    conclude(row, interval, lab, details={"floor": floor.mean(0).tolist()})


@pytest.mark.parametrize("row", parameters(DTYPE))
def test_storage_dtype_moves_less_than_the_mildest_variant(
    long_context: LongContext, conclude: Conclude, row: Row
) -> None:
    """KL of weights rounded to bfloat16 against that of 8-bit weights: which effects the dtype could hide."""
    methods: list[Method] = [method for method in row.contestants if isinstance(method, Method)]
    lab = first_look(long_context)
    cast, mildest = (lab.measure(method) for method in methods)
    interval = ratio(cast.kl.mean(1), mildest.kl.mean(1), resamples=lab.settings.resamples)
    conclude(row, interval, lab, details=lab.described(cast), method=cast.method)


@pytest.mark.parametrize("row", parameters(FORGETTING))
def test_a_model_that_forgets_is_seen_to_drift(long_context: LongContext, conclude: Conclude, row: Row) -> None:
    """Positive control: the dense model with only the shortest context, against itself with longer ones."""
    contexts = long_context.settings.contexts
    if len(contexts) < 3:
        pytest.skip("growth from the second context on needs at least 3 contexts; use --effort=normal")
    lab = first_look(long_context)
    curves = lab.forgetting()
    interval = growth(curves[:, 1:], resamples=lab.settings.resamples)
    conclude(row, interval, lab, details={"contexts": list(contexts), "kl": curves.mean(0).tolist()})


SCENARIOS = {
    "grows-when-flat": (1.0, GROWS),
    "grows-clearly-when-at-band": (1.25, GROWS_CLEARLY),
    "unchanged-when-grown-to-band": (1.25, UNCHANGED),
    "unchanged-when-fallen-to-band": (0.8, UNCHANGED),
}
"""True growth and region of false claims, each at its region's very boundary."""
FALSE_RATE_FACTOR = 8
"""A rate near 2.5 % needs more simulations than a power does, to be bounded by 5 %."""
FALSE = [
    Row(
        f"VERDICTS-{name}",
        "VERDICTS",
        f"rate of false 'reproduced' when growth is {truth:g} and the claim is {accept}",
        Region(0.0, 0.05),
        "at most one false claim of twenty may be called reproduced",
        (name,),
    )
    for name, (truth, accept) in SCENARIOS.items()
]
POWERS = {
    "grows": (GROWS, (1.1, 1.25, 1.5, 2.0), 2.0),
    "grows-clearly": (GROWS_CLEARLY, (1.5, 2.0, 3.0), 3.0),
    "unchanged": (UNCHANGED, (1.0, 1.1), 1.0),
}
"""Region, true growths, and the clearest of them."""
POWER = [
    Row(
        f"VERDICTS-power-{name}",
        "VERDICTS",
        f"rate of 'reproduced' when growth is {clearest:g} and the claim is {accept}",
        Region(0.5, 1.0),
        "the clearest case must mostly be seen",
        (name,),
    )
    for name, (accept, _, clearest) in POWERS.items()
]


@pytest.mark.cost(shared=repr(TAIL), embedded=(3, 42, 500), gpu=(1, 8, 12))
@pytest.mark.cost(embedded=(1, 15, 100), gpu=(1, 10, 20))
@pytest.mark.parametrize("row", parameters(*FALSE))
def test_false_reproduced_is_rare(long_context: LongContext, conclude: Conclude, row: Row) -> None:
    """A false claim, at its very boundary, is called reproduced in at most 5 % of experiments."""
    scenario = str(row.contestants[0])
    truth, accept = SCENARIOS[scenario]
    simulations = FALSE_RATE_FACTOR * long_context.settings.simulations
    interval, bca = long_context.rate(scenario, truth, accept, simulations)
    details = {"truth": truth, "bca": bca, "simulations": simulations}
    conclude(row, interval, long_context, decide="more simulations", details=details)


@pytest.mark.cost(shared=repr(TAIL), embedded=(3, 42, 500), gpu=(1, 8, 12))
@pytest.mark.cost(embedded=(1, 10, 50), gpu=(1, 5, 10))
@pytest.mark.parametrize("row", parameters(*POWER))
def test_power_is_known(long_context: LongContext, conclude: Conclude, row: Row) -> None:
    """Rate at which a true claim is called reproduced; the clearest truth must mostly be seen."""
    name = str(row.contestants[0])
    accept, truths, clearest = POWERS[name]
    simulations = long_context.settings.simulations
    rates = {truth: long_context.rate(name, truth, accept, simulations)[0] for truth in truths}
    details = {"power": {f"{truth:g}": rate.value for truth, rate in rates.items()}}
    conclude(row, rates[clearest], long_context, decide="more documents", details=details)
