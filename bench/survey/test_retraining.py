"""A Brief Survey of Model Compression in Language Models: pruning with retraining, SV21 and SV13b.

§2: "Pruned models may require significant retraining to regain accuracy"; §3.2: Han, Pool, et al. 2015, and Deep
Compression's 35 to 49 times. Retraining takes as many times the steps of the training as the paper's, all rounds of
pruning together; it is compared with the dense model that was trained as much longer, so that nothing is regained by
more training alone.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.fixtures import Conclude
from bench.parameters import parameters
from bench.survey.rates import KEPT, WIDE, largest_rate
from bench.survey.trained.lab import Trained
from bench.survey.trained.recipes import Gradual, Longer, OneShot, Pruned, Retrained, Shared
from bench.survey.trained.rows import (
    BETTER,
    COSTS,
    HOWEVER_LITTLE,
    UNKNOWN,
    fresh_seeds,
    over,
    settle,
    share,
)
from bench.survey.trained.settings import SPARSITIES
from bench.verdict.regions import Region
from bench.verdict.rows import Row
from compress.coding import DeepCompression

pytestmark = COSTS
REGAINED, ALL = Region(low=0.9), "regained: all but a tenth of what was lost (Han et al. 2015 lose nothing)"
PAPERS_LEAST, WHY_LEAST = Region(low=35.0), "Deep Compression's smallest rate, AlexNet's"
MOST = SPARSITIES[-1]
AS_LONG = 173 / 75
"""Retraining over training: hours of AlexNet's (Han et al. 2015, §4.2)."""
IN_ROUNDS = Retrained(SPARSITIES, len(SPARSITIES), of_training=AS_LONG)
DENSE = Longer(of_training=AS_LONG)
SEEN = 1
"""Lots of fresh seeds that were scored when retraining had a third of the training's steps."""


def at_once(sparsity: float, of_training: float | None = AS_LONG) -> Retrained:
    """One round of pruning, then all of the retraining."""
    return Retrained((sparsity,), 1, of_training=of_training)


SHARE = {
    Row(
        f"SV21-regained-{sparsity:g}",
        "SV21a",
        "share of the loss that pruning adds which retraining takes away again, over the dense model trained as long",
        REGAINED,
        ALL,
        (Pruned(sparsity), at_once(sparsity), DENSE),
    ): sparsity
    for sparsity in SPARSITIES
}
RATIO = {
    Row(
        f"SV21-retrained-over-dense-{sparsity:g}",
        "SV21a",
        "perplexity pruned and retrained over that of the dense model trained as long",
        KEPT,
        "quality is kept: within 5 %",
        (at_once(sparsity), DENSE),
        control=True,
    ): sparsity
    for sparsity in SPARSITIES
}


@pytest.mark.parametrize("row", parameters(*SHARE, *RATIO))
def test_retraining_regains_what_pruning_loses(trained: Trained, conclude: Conclude, row: Row) -> None:
    """Pruned in one shot and retrained, against pruned alone and against the dense model trained as long."""
    sparsity, seeds = (SHARE | RATIO)[row], fresh_seeds(trained, after=SEEN)
    longer, retrained = trained.at_best_rate(DENSE), trained.at_best_rate(at_once(sparsity))
    shown = [Pruned(sparsity), retrained, longer]
    if row in RATIO:
        settle(conclude, trained, row, over(trained, retrained, longer, seeds), shown, seeds=seeds)
        return
    interval = share(trained, (Pruned(sparsity), longer), (retrained, longer), seeds)
    doubt = "pruning alone loses nothing that could be regained" if interval is UNKNOWN else ""
    settle(conclude, trained, row, interval, shown, doubt=doubt, seeds=seeds, ratio=False)


ROUNDS = Row(
    f"SV21-one-shot-over-iterative-{MOST:g}",
    "SV21b",
    "perplexity pruned at once over that pruned in three rounds, each retrained for as many steps in all",
    BETTER,
    HOWEVER_LITTLE,
    (at_once(MOST), IN_ROUNDS),
)
GRADUALLY = Row(
    f"SV21-one-shot-over-gradual-{MOST:g}",
    "SV21b",
    "perplexity pruned at once over that pruned gradually (Zhu & Gupta 2017), for as many steps",
    BETTER,
    HOWEVER_LITTLE,
    (at_once(MOST, None), Gradual(MOST)),
    control=True,
)


@pytest.mark.parametrize("row", parameters(ROUNDS, GRADUALLY))
def test_iterative_pruning_beats_one_shot(trained: Trained, conclude: Conclude, row: Row) -> None:
    """One shot against rounds and against a gradual schedule, each at the best of its rates, over more seeds."""
    first, second = (trained.at_best_rate(recipe) for recipe in row.contestants)
    seeds = fresh_seeds(trained, after=SEEN if row is ROUNDS else 0)
    settle(conclude, trained, row, over(trained, first, second, seeds), [first, second], seeds=seeds)


CURVE = tuple(
    Shared(replace(IN_ROUNDS, rounds=SPARSITIES[:count]), bits) for count, bits in ((1, 5), (2, 5), (3, 5), (3, 4))
)
"""Settings of Deep Compression, of rising rate."""
LARGEST = Row(
    "SV13-largest-rate-retrained",
    "SV13b",
    "largest rate against 32 bits a weight with perplexity within 5 % of that of the dense model trained as long as "
    "pruning retrains, of the curve's",
    PAPERS_LEAST,
    WHY_LEAST,
    (*CURVE, DENSE),
)
UNTRAINED = Row(
    "SV13-retrained-over-one-shot",
    "SV13b",
    f"perplexity of one-shot Deep Compression at {MOST:g} and 5 bits over that with retraining",
    BETTER,
    HOWEVER_LITTLE,
    (OneShot(DeepCompression(MOST, 5)), CURVE[2]),
    control=True,
)


def coded(lab: Trained, shared: Shared) -> Shared:
    """Deep Compression at the best rate of its retraining, and then at the best of its shared values'."""
    return lab.at_best_rate(replace(shared, pruned=lab.at_best_rate(shared.pruned)))


@pytest.mark.parametrize("row", parameters(LARGEST))
def test_largest_rate_with_retraining(trained: Trained, conclude: Conclude, row: Row) -> None:
    """Over a curve of sparsities and bits, retrained after pruning and after values are shared."""
    curve, longer = [coded(trained, each) for each in CURVE], trained.at_best_rate(DENSE)
    seeds = fresh_seeds(trained, after=SEEN)
    rates = [
        WIDE / float(np.mean([trained.measure(each, seed)["bits_per_weight"] for seed in seeds])) for each in curve
    ]
    ratios = [over(trained, each, longer, seeds) for each in curve]
    interval = largest_rate(dict(zip(rates, ratios, strict=True)))
    settle(conclude, trained, row, interval, [*curve, longer], seeds=seeds)


@pytest.mark.parametrize("row", parameters(UNTRAINED))
def test_retraining_against_one_shot_coding(trained: Trained, conclude: Conclude, row: Row) -> None:
    """One-shot Deep Compression against the same setting with retraining."""
    once, shared = OneShot(DeepCompression(MOST, 5)), coded(trained, CURVE[2])
    seeds = fresh_seeds(trained, after=SEEN)
    settle(conclude, trained, row, over(trained, once, shared, seeds), [once, shared], seeds=seeds)
