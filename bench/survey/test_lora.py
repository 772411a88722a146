"""A Brief Survey of Model Compression in Language Models: low-rank adapters, SV18.

§3.1: low-rank factorisation matters "for the fine-tuning of language models", and "the rank that you pick can be
extremely low, down to 1 or 2 (Hu et al. 2021)". The dense model is fine-tuned on another domain, by adapters of every
linear layer or of all weights, for as many steps; rates are chosen for each on held-out text of that domain.
"""

from __future__ import annotations

import pytest

from bench.fixtures import Conclude
from bench.parameters import parameters
from bench.survey.trained.lab import Trained
from bench.survey.trained.recipes import Adapted, MoreOfItsOwn, Unadapted
from bench.survey.trained.rows import COSTS, UNKNOWN, over, settle, share
from bench.verdict.documents import Interval
from bench.verdict.regions import Region
from bench.verdict.rows import Row
from models.packages import installed, lacking

pytestmark = COSTS
SUFFICES = Region(low=0.9)
WHY = "Hu et al. 2021, table 6: ranks 1 and 2 are within 1 % of all higher ones; a tenth less gain still suffices"
GAINED = Region(low=1.0)
FULL = Adapted(None)
RANKS = (1, 2, 4, 8, 64)


def of_rank(rank: int) -> Row:
    """Row on the share of full fine-tuning's gain that a rank reaches; rank 2 votes."""
    return Row(
        f"SV18-rank-{rank}",
        "SV18a",
        f"share of full fine-tuning's gain in loss on the other domain that rank {rank} reaches",
        SUFFICES,
        WHY,
        (Unadapted(), Adapted(rank), FULL),
        control=rank != 2,
    )


SHARES = {of_rank(rank): rank for rank in RANKS}
GAIN = Row(
    "SV18-gain",
    "SV18a",
    "perplexity on the other domain before fine-tuning over that after it, of all weights",
    GAINED,
    "there must be something to gain",
    (Unadapted(), FULL),
    control=True,
)


OWN = Row(
    "SV18-gain-from-own-text",
    "SV18a",
    "share of full fine-tuning's gain on the other domain that as many steps more of the dense model's own text reach",
    Region(high=0.1),
    "no more than what a rank that suffices may lack; else the gain is not of the domain",
    (Unadapted(), MoreOfItsOwn(), FULL),
    control=True,
)


def tuned(lab: Trained, rank: int | None) -> Adapted:
    """Fine-tuned model at the best of its own rates."""
    rates = lab.settings.full_rates if rank is None else lab.settings.adapter_rates
    return lab.at_best_rate(Adapted(rank), rates)


@pytest.mark.parametrize("row", parameters(*SHARES, GAIN, OWN))
def test_low_ranks_suffice(trained: Trained, conclude: Conclude, row: Row) -> None:
    """The gain of adapters of one rank over that of all weights."""
    if not installed("peft"):
        pytest.skip(lacking("peft", "fine-tuning with LoRA"))
    full, before, own = tuned(trained, None), Unadapted(), trained.at_best_rate(MoreOfItsOwn())
    if row is GAIN:
        settle(conclude, trained, row, over(trained, before, full), [before, full])
        return
    undomained = share(trained, (before, full), (own, full))
    if row is OWN:
        settle(conclude, trained, row, undomained, [before, own, full], ratio=False)
        return
    adapted = tuned(trained, SHARES[row])
    interval = share(trained, (before, full), (adapted, full))
    doubt = _still_learning(undomained)
    settle(conclude, trained, row, interval, [before, adapted, full], doubt=doubt, ratio=False)


def _still_learning(undomained: Interval) -> str:
    """Reason why the gain is not that of adapting to a domain; empty where it is.

    Low ranks are said to suffice for a model that has learned its language, not for learning it.
    """
    if undomained is UNKNOWN:
        return "fine-tuning gains nothing to have a share of; train longer"
    if undomained.value <= OWN.accept.high:
        return ""
    return (
        f"the dense model has not done learning: as many steps more of its own text give {undomained} of what "
        "fine-tuning all weights gains on the other domain; train it longer before"
    )
