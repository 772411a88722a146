"""Plan of a session: the order of its items, what each is estimated to take, and what a time budget leaves out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from bench import threads
from bench.budget import REASON, Budget, claim_of, seconds_of
from bench.costs import OWN, Known, Made, cost_of, row_of_item, scale_of_item
from bench.measure.settings import SCALES
from bench.options import folders, settings
from bench.record import known_evidence
from bench.select import ordered
from bench.verdict.claims import CLAIMS
from bench.verdict.times import in_words

SECONDS = pytest.StashKey[float]()
"""Seconds that an item is estimated to take after those before it."""
BUDGET = pytest.StashKey[Budget]()


def planned(config: pytest.Config, items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Items in the order that they run in, each with its estimate, without what `--time-budget` leaves out."""
    known = _known(config, {scale_of_item(item) for item in items})
    costs = {item: cost_of(item, known) for item in items}

    def decided(item: pytest.Item) -> bool:
        row, of = row_of_item(item), known.get(scale_of_item(item))
        return row is not None and of is not None and of.decided(row.name)

    order = ordered(items, lambda item: costs[item].seconds, decided)
    if asked := config.getoption("time_budget"):
        config.stash[BUDGET] = budget = Budget(seconds_of(asked), costs)
        order = budget.fitting(order)
    made = Made()
    for item in order:
        item.stash[SECONDS] = made.owed(costs[item])
        made.add(costs[item])
    return order


def _known(config: pytest.Config, scales: set[str]) -> dict[str, Known]:
    known = {}
    for scale in scales & SCALES.keys():
        place = folders(config, scale)
        evidence = (known_evidence(config, folder) for folder in (place.record, place.run))
        resume = bool(config.getoption("resume"))
        known[scale] = Known(settings(config, scale), *evidence, resume=resume, threads=threads.here())
    return known


def check(config: pytest.Config) -> None:
    """Refuse a time budget that cannot be kept.

    Raises:
        pytest.UsageError: it is no time, or there are worker processes, which measure shared variants once each.
    """
    if (asked := config.getoption("time_budget")) is None:
        return
    seconds_of(asked)
    if config.getoption("tx", None) or config.getoption("numprocesses", None):
        raise pytest.UsageError("--time-budget is for one process and -n starts several; leave one of them out")


def leave_out(item: pytest.Item) -> None:
    """Skip an item that no longer fits in the time budget."""
    budget = item.config.stash.get(BUDGET, None)
    if budget is not None and not budget.starts(item):
        pytest.skip(REASON)


def estimated_seconds(item: pytest.Item) -> float:
    """Seconds that an item is estimated to take after those before it."""
    return item.stash.get(SECONDS, OWN)


def estimates(items: Sequence[pytest.Item], *, each: bool) -> Iterator[str]:
    """Lines of what is estimated: each item's seconds in the order of the run, then totals by paper.

    Args:
        items: planned.
        each: with a line an item.
    """
    if each:
        for item in items:
            row = row_of_item(item)
            yield f"{in_words(estimated_seconds(item)):>10}  {row.name if row else item.nodeid}"
    totals: dict[str, list[float]] = {}
    for item in items:
        totals.setdefault(_paper(item), []).append(estimated_seconds(item))
    width = max(map(len, totals), default=0)
    for paper, seconds in totals.items():
        yield f"{in_words(sum(seconds)):>10}  {paper:<{width}}  {len(seconds)} item(s)"
    on_cpu = {scale_of_item(item) == "embedded" for item in items}
    own = f"{(count := threads.here())} CPU thread{'s' * (count > 1)}"
    hardware = [own] * (True in on_cpu) + ["one H100"] * (False in on_cpu)
    total = sum(sum(seconds) for seconds in totals.values())
    yield f"{in_words(total):>10}  in all, on {' and '.join(hardware)}{_of_looks(items)}"


def _of_looks(items: Sequence[pytest.Item]) -> str:
    """Words on looks, where a scale measures documents in several: the estimates are of all of them."""
    chosen = [settings(item.config, scale) for item in items if (scale := scale_of_item(item)) in SCALES]
    return "; rows that an earlier look decides take less" if any(len(own.looks) > 1 for own in chosen) else ""


def _paper(item: pytest.Item) -> str:
    claim = claim_of(item)
    return CLAIMS[claim].paper.key if claim in CLAIMS else claim or "of no claim"
