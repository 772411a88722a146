"""Smoke: the cheapest row of every test function, `pytest bench -p bench.gpu.smoke -m gpu --effort=quick`."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import pytest

from bench.select import estimated_seconds


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None, None, None]:
    """Leave one row of every test function, after all else has chosen."""
    yield
    kept = one_each(items)
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def one_each(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Cheapest item of every test function, in the order of the items; of equally cheap ones the first."""
    cheapest: dict[str, pytest.Item] = {}
    for item in items:
        function = item.nodeid.partition("[")[0]
        if function not in cheapest or estimated_seconds(item) < estimated_seconds(cheapest[function]):
            cheapest[function] = item
    kept = set(cheapest.values())
    return [item for item in items if item in kept]
