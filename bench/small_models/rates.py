"""Small models each at rates of its own: a chain of matrices moves further with each step than one matrix does.

On held-out examples of mini at a width of 16, two to five seeds, chains of three matrices do best where the fine-tuning
is at half the rate at which T5's own network does, and what has no networks at up to twice that rate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from bench.fixtures import Conclude
from bench.small_models.lab import SmallModels, joined
from bench.small_models.rows import Of, doubt, settle, sizes_of, variants_of
from bench.small_models.settings import UNSCORED
from bench.small_models.tuned import Tuned
from bench.small_models.variants import Variant
from bench.verdict.documents import Array
from bench.verdict.evidence import Origin
from bench.verdict.rows import Row
from bench.verdict.seeds import difference

Rates = tuple[float, float]
"""Factors on the protocol's rates of pre-training and of fine-tuning."""
TRIED: tuple[Rates, ...] = tuple(product((1.0, 1 / 27), (1.0, 1 / 4, 1 / 2, 2.0)))
"""The protocol's first; with its pre-training and with hardly any, and slower and faster fine-tuning."""
FIRST_SEEDS, MORE_SEEDS = 2, 3
"""Seeds by which all rates are tried, and those that the best of them are tried by as well: by two alone, chains of two
matrices took rates at which some seeds fail, and had 46 % right there where ten others had 31 %."""
BEST = 3
"""Rates that are tried by more seeds."""
AT_OWN = "at own rates"
"""Way in which models are made here, for estimates."""
SHIFT = 80
"""Seeds further on than those scored at the protocol's rates, and those that were while rates were looked for."""


def tried_at(effort: str) -> tuple[Rates, ...]:
    """Rates that are tried at an effort: the protocol's alone at quick."""
    return TRIED[:1] if effort == "quick" else TRIED


class OwnRates(SmallModels):
    """Small models each at the rates by which it does best on held-out examples, over seeds never scored."""

    def __init__(self, small: SmallModels, tried: Sequence[Rates] = TRIED) -> None:
        """Prepare; nothing is trained yet.

        Args:
            small: the protocol, with its task.
            tried: rates; one pair alone is taken as it is.
        """
        super().__init__(small.session, small.settings, small.label, lambda: small.trainer.read)
        self.trainer, self.small, self.tried = small.trainer, small, tuple(tried)
        self._tuned_at: dict[float, SmallModels] = {1.0: small}

    def tuned_at(self, factor: float) -> SmallModels:
        """Instrument that fine-tunes at a multiple of the protocol's rate."""
        if factor not in self._tuned_at:
            rate = factor * self.small.settings.tuning.learning_rate
            how = f"{factor:g} times the rate of fine-tuning"
            self._tuned_at[factor] = Tuned(self.small, how, learning_rate=rate)
        return self._tuned_at[factor]

    def rates(self, variant: Variant) -> Rates:
        """Rates at which a variant does best: of all by a few seeds, then of the best by more; ties to the first."""
        few = range(UNSCORED, UNSCORED + FIRST_SEEDS)
        more = range(few.stop, few.stop + MORE_SEEDS)

        def right(*chunks: range) -> Callable[[Rates], float]:
            return lambda rates: float(np.mean(np.concatenate([self._held_out(variant, rates, own) for own in chunks])))

        if len(self.tried) == 1:
            return self.tried[0]
        best = sorted(self.tried, key=right(few), reverse=True)[:BEST]
        return max(best, key=right(few, more))

    def _held_out(self, variant: Variant, rates: Rates, seeds: range) -> Array:
        pretraining, tuning = rates
        return self.tuned_at(tuning).held_out(_pretrained_at(variant, pretraining), seeds)

    def untried(self, variants: dict[str, Variant], seeds: int) -> str:
        """Reason to try more rates: the variant that is behind does best at an end of those of fine-tuning; else empty.

        Args:
            variants: by name.
            seeds: by which it is seen which is behind.
        """
        behind = min(variants, key=lambda name: float(self.accuracy(variants[name], seeds).mean()))
        ends = {pick(tuning for _, tuning in self.tried) for pick in (min, max)}
        if len(self.tried) == 1 or self.rates(variants[behind])[1] not in ends:
            return ""
        return f"{behind} is behind and best at an end of the rates tried, so others might be better; add rates"

    def runs(self, variant: Variant, seeds: int) -> dict[str, Array]:
        """Measurements of the first so many seeds, at the variant's own rates."""
        pretraining, tuning = self.rates(variant)
        tuned, own = self.tuned_at(tuning), _pretrained_at(variant, pretraining)
        chunks = self.settings.chunks(seeds)
        return joined([tuned.measure(own, range(chunk.start + SHIFT, chunk.stop + SHIFT)) for chunk in chunks])

    def described(self, variants: dict[str, Variant], seeds: int) -> dict:
        """Accuracy of every seed, what failed, curves of pre-training, and the rates over the protocol's."""
        shown = super().described(variants, seeds)
        for name, variant in variants.items():
            shown["variants"][name]["lesson"] = "rates × {:.2g} and {:.2g}".format(*self.rates(variant))
        return shown

    def origin(self) -> Origin:
        """Models that are trained here, each at its own rates."""
        own = super().origin()
        return replace(own, protocol=f"{own.protocol}; rates chosen on held-out examples for each kind of model")


class OwnBaseline(OwnRates):
    """Models on labels each at the rates by which it does best, and students as the protocol has them."""

    def rates(self, variant: Variant) -> Rates:
        """Rates at which a model on labels does best; for a student the first of those tried."""
        return self.tried[0] if variant.distilled else super().rates(variant)

    def runs(self, variant: Variant, seeds: int) -> dict[str, Array]:
        """Measurements of the first so many seeds; a student's are those of the protocol."""
        return self.small.runs(variant, seeds) if variant.distilled else super().runs(variant, seeds)


def _pretrained_at(variant: Variant, factor: float) -> Variant:
    return replace(variant, rate_factor=factor * variant.rate_factor)


def no_more_than_rates_give(small: SmallModels, row: Row) -> str:
    """Reason why a student's gain says nothing: better rates give its baseline as much; empty where it is more.

    The paper's own scale has the paper's rates, and is not asked.

    Args:
        small: the protocol.
        row: on a student and its baseline.
    """
    of, seeds = small.session.settings, small.settings.looks[-1]
    if of.scale.startswith("paper"):
        return ""
    own = OwnBaseline(small, tried_at(of.effort))
    gain = difference(*(own.accuracy(small.resolved(variant), seeds) for variant in variants_of(row).values()))
    if gain.low > 0:
        return ""
    return f"it is {gain} points ahead of its baseline at rates of its own, needed > 0; tune both"


def settle_at_own_rates(conclude: Conclude, small: SmallModels, row: Row, measure: Of) -> None:
    """Conclude a row on two models, each at rates of its own; the protocol qualifies the task."""
    resolved = {name: small.resolved(variant) for name, variant in variants_of(row).items()}
    own, looked = OwnRates(small, tried_at(small.session.settings.effort)), small.settings.looks[0]
    settle(
        conclude,
        own,
        row,
        variants_of(row),
        measure,
        sizes=sizes_of(small, row),
        doubtful=doubt(small, list(resolved.values())),
        reasons=lambda: own.untried(resolved, looked),
    )
