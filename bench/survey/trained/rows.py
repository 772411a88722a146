"""Rows on models that were trained: what they compare, over seeds and documents, and what is kept of every seed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from bench.fixtures import Conclude
from bench.survey.trained.lab import Trained
from bench.survey.trained.recipes import (
    Adapted,
    Aware,
    Gradual,
    Longer,
    MoreOfItsOwn,
    OneShot,
    Pruned,
    Recipe,
    Retrained,
    Shared,
    Ticket,
)
from bench.verdict.crossed import CrossedInterval, crossed_interval
from bench.verdict.documents import Array, Interval
from bench.verdict.needed import Needed, which_would_decide
from bench.verdict.regions import Region
from bench.verdict.rows import Row


def times_as_long(recipe: Longer | Retrained | Shared) -> float:
    """Steps of a recipe over those that all have that go on from the dense model: a third of its training."""
    if isinstance(recipe, Shared):
        return 0.5 + times_as_long(recipe.pruned) * len(recipe.pruned.rounds) / recipe.pruned.of
    return 3 * recipe.of_training if recipe.of_training else 1.0


COSTS = [
    pytest.mark.cost(fixture="trained", embedded=(3, 0, 100), gpu=(40, 400, 1600)),
    pytest.mark.cost(of=(OneShot, Pruned), embedded=(1, 0, 8), gpu=(2, 4, 8)),
    pytest.mark.cost(of=Ticket, embedded=(2, 0, 100), gpu=(30, 400, 1600)),
    pytest.mark.cost(of=(Longer, Retrained, Shared), times=times_as_long, embedded=(2, 0, 50), gpu=(15, 150, 600)),
    pytest.mark.cost(of=(Gradual, Aware), embedded=(2, 0, 50), gpu=(15, 150, 600)),
    pytest.mark.cost(of=(Adapted, MoreOfItsOwn), embedded=(2, 0, 4), gpu=(20, 200, 800)),
    pytest.mark.cost(of=Recipe, embedded=(1, 0, 4), gpu=(1, 2, 4)),
]
"""Costs over all seeds, with the rates that are tried under the first; on one core of two."""
UNKNOWN = Interval(0.0, -math.inf, math.inf)
"""Share of a difference that there is not."""
FRESH = 5
"""Seeds of rows whose models spread widely over them."""
BETTER, HOWEVER_LITTLE = Region(low=1.0), "lower perplexity, however little"


def gaps(lab: Trained, first: Recipe, second: Recipe, seeds: Sequence[int] | None = None) -> Array:
    """Losses of the first minus those of the second, `[seeds, documents]`."""
    return lab.losses(first, seeds) - lab.losses(second, seeds)


def over(lab: Trained, first: Recipe, second: Recipe, seeds: Sequence[int] | None = None) -> Interval:
    """Perplexity of the first over that of the second, over seeds and documents."""
    return crossed_interval(gaps(lab, first, second, seeds), lambda means: means[..., 0]).map(np.exp)


def fresh_seeds(lab: Trained, *, after: int = 0) -> range:
    """Seeds after all those of other rows; no rate was chosen by them.

    Args:
        lab: the instrument.
        after: lots of fresh seeds that were scored before.
    """
    first = max(lab.settings.seeds) + 1 + after * FRESH
    return range(first, first + FRESH)


def share(
    lab: Trained, lost: tuple[Recipe, Recipe], left: tuple[Recipe, Recipe], seeds: Sequence[int] | None = None
) -> Interval:
    """One minus a ratio of differences of mean loss: the share of `lost` that is not `left`, over seeds and documents.

    It is unknown where `lost` is not clearly above zero.

    Args:
        lab: the instrument.
        lost: the difference that there was, the first's loss over the second's.
        left: the difference that remains.
        seeds: by default the settings'.
    """
    if not over(lab, *lost, seeds).low > 1:
        return UNKNOWN
    values = np.stack([gaps(lab, *left, seeds), gaps(lab, *lost, seeds)], axis=-1)
    return crossed_interval(values, lambda means: 1 - means[..., 0] / means[..., 1])


def settle(
    conclude: Conclude,
    lab: Trained,
    row: Row,
    interval: Interval,
    shown: list[Recipe],
    *,
    doubt: str = "",
    seeds: Sequence[int] | None = None,
    ratio: bool = True,
) -> None:
    """Conclude a row with the models that it stands on.

    Args:
        conclude: the fixture.
        lab: the instrument.
        row: as declared.
        interval: what was measured.
        shown: recipes whose seeds the page shows.
        doubt: why nobody could judge this row; the instrument's own reason goes first.
        seeds: that it was measured over, where they are not the settings'.
        ratio: the statistic is a ratio.
    """
    details = {"trained": {repr(recipe): described(lab, recipe, seeds) for recipe in shown}}
    doubtful = lab.doubt() or doubt
    decide: str | Needed = "more seeds and documents"
    if isinstance(interval, CrossedInterval):
        decide = which_would_decide(interval, row.accept, of=("seeds", "documents"), ratio=ratio)
    conclude(row, interval, lab, doubt=doubtful, details=details, decide=decide)


def described(lab: Trained, recipe: Recipe, seeds: Sequence[int] | None = None) -> dict:
    """Perplexity of every seed, size, zeros and rate."""
    runs = [lab.measure(recipe, seed) for seed in seeds or lab.settings.seeds]
    bits = float(np.mean([run["bits_per_weight"] for run in runs]))
    return {
        "name": str(recipe),
        "rate": getattr(recipe, "rate", None),
        "perplexity": [round(math.exp(min(float(run["loss"].mean()), 99.0)), 4) for run in runs],
        "sparsity": round(float(np.mean([run["sparsity"] for run in runs])), 4),
        "bits_per_weight": round(bits, 4) if math.isfinite(bits) else None,
        "seconds": [round(float(run["seconds"]), 1) for run in runs],
    }
