"""A Brief Survey of Model Compression in Language Models: lottery tickets, SV14.

§3.2: dense networks "contain subnetworks - often a tenth of the size or less - which, when trained in isolation, reach
test accuracy comparable to the original dense network" (Frankle & Carbin 2019). Masks are found by magnitude in three
rounds over all blocks' linear layers; a ticket begins with its first weights again. The tenth votes, and larger tickets
are controls. Only a sparsity at which pruning and retraining keeps the dense model's quality can be judged: there a
subnetwork of that size is known to exist.
"""

from __future__ import annotations

import pytest

from bench.fixtures import Conclude
from bench.parameters import parameters
from bench.survey.trained.lab import Trained
from bench.survey.trained.recipes import Longer, Recipe, Retrained, Ticket
from bench.survey.trained.rows import BETTER, COSTS, HOWEVER_LITTLE, over, settle
from bench.survey.trained.settings import SPARSITIES
from bench.verdict.regions import Region, Verdict, judge
from bench.verdict.rows import Row

pytestmark = COSTS
COMPARABLE, WHY = Region(high=1.02), "comparable: no worse than 2 %, about what a dense model's seed makes"
WORSE, WHY_WORSE = Region(low=1.02), "outside of what is called comparable for tickets"
ROUNDS = {sparsity: SPARSITIES[: place + 1] for place, sparsity in enumerate(SPARSITIES)}
OVER_DENSE = "perplexity over that of the dense model, trained for as many steps"
TENTH = SPARSITIES[-1]
ENDS = (SPARSITIES[0], TENTH)
"""Sparsities at which random tickets are trained, and those at which the dense model is trained longer."""


def known(sparsity: float) -> Retrained:
    """Subnetwork that is known to be there: pruned and retrained in rounds."""
    return Retrained(ROUNDS[sparsity], len(SPARSITIES))


def against_dense(sparsity: float, kind: str, of: str, accept: Region, why: str) -> Row:
    """Row on a ticket over the dense model: a control where it is larger than the tenth, or late."""
    ticket = Ticket(ROUNDS[sparsity], early=kind == "late", random=kind == "random")
    contestants = (
        Recipe(),
        *(Ticket(rounds) for rounds in _before(ROUNDS[sparsity])),
        ticket,
        known(sparsity),
        Longer(),
    )
    return Row(
        f"SV14-{kind}-ticket-{sparsity:g}",
        of,
        f"{kind} ticket's {OVER_DENSE}",
        accept,
        why,
        contestants,
        control=kind == "late" or sparsity != TENTH,
    )


def _before(rounds: tuple[float, ...]) -> list[tuple[float, ...]]:
    return [rounds[: count + 1] for count in range(len(rounds) - 1)]


WINNING = {against_dense(s, "winning", "SV14a", COMPARABLE, WHY): s for s in SPARSITIES}
RANDOM = {against_dense(s, "random", "SV14b", WORSE, WHY_WORSE): s for s in ENDS}
LATE = {
    against_dense(s, "late", "SV14a", COMPARABLE, "Frankle et al. 2020: rewound to after a warm-up"): s
    for s in SPARSITIES
}
IN_ALL = {
    Row(
        f"SV14-winning-ticket-{s:g}-over-longer",
        "SV14a",
        "perplexity over that of the dense model, trained for as many steps as finding the ticket and training it take",
        COMPARABLE,
        WHY,
        (Ticket(ROUNDS[s]), Longer(of_training=float(len(ROUNDS[s])))),
        control=True,
    ): s
    for s in ENDS
}
LUCK = {
    Row(
        f"SV14-random-over-winning-{s:g}",
        "SV14b",
        "perplexity of the random ticket over that of the winning one",
        BETTER,
        HOWEVER_LITTLE,
        (Ticket(ROUNDS[s]), Ticket(ROUNDS[s], random=True)),
        control=True,
    ): s
    for s in ENDS
}


@pytest.mark.parametrize("row", parameters(*WINNING))
def test_a_ticket_reaches_the_dense_model(trained: Trained, conclude: Conclude, row: Row) -> None:
    """A ticket from its first weights against the dense model."""
    _settle_ticket(conclude, trained, row, Ticket(ROUNDS[WINNING[row]]))


@pytest.mark.parametrize("row", parameters(*IN_ALL))
def test_a_ticket_against_as_much_training_of_the_dense_model(trained: Trained, conclude: Conclude, row: Row) -> None:
    """A ticket against the dense model that went on for the trainings by which the ticket's mask was found."""
    ticket, longer = row.contestants
    longer = trained.at_best_rate(longer)
    settle(conclude, trained, row, over(trained, ticket, longer), [ticket, longer])  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("row", parameters(*RANDOM, *LUCK))
def test_a_random_ticket_does_not(trained: Trained, conclude: Conclude, row: Row) -> None:
    """A subnetwork of as many weights in each layer, drawn at random, from the same first weights."""
    sparsity = (RANDOM | LUCK)[row]
    random, winning = Ticket(ROUNDS[sparsity], random=True), Ticket(ROUNDS[sparsity])
    other = Recipe() if row in RANDOM else winning
    settle(conclude, trained, row, over(trained, random, other), [random, winning, Recipe()])


@pytest.mark.parametrize("row", parameters(*LATE))
def test_a_late_ticket_reaches_the_dense_model(trained: Trained, conclude: Conclude, row: Row) -> None:
    """A ticket from the weights after the warm-up against the dense model."""
    _settle_ticket(conclude, trained, row, Ticket(ROUNDS[LATE[row]], early=True))


def _settle_ticket(conclude: Conclude, lab: Trained, row: Row, ticket: Ticket) -> None:
    interval = over(lab, ticket, Recipe())
    # A ticket that is as good is a subnetwork that is known to be there.
    seen = judge(interval, row.accept) is Verdict.REPRODUCED
    doubt = "" if seen else _no_such_subnetwork(lab, ticket.rounds[-1])
    settle(conclude, lab, row, interval, [ticket, Recipe()], doubt=doubt)


def _no_such_subnetwork(lab: Trained, sparsity: float) -> str:
    """Reason why no ticket can be asked for at a sparsity; empty where a subnetwork is known to be as good."""
    found = over(lab, lab.at_best_rate(known(sparsity)), lab.at_best_rate(Longer()))
    if found.value <= COMPARABLE.high:
        return ""
    return (
        f"a model this small has no known subnetwork of {1 - sparsity:.0%} of its weights that is as good: pruned and "
        f"retrained it has {found} of the perplexity of the dense model trained as long; train a larger one"
    )
