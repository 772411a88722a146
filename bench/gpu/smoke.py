"""Smoke: the first GPU row of every test function, `pytest bench -p bench.gpu.smoke -m gpu --effort=quick`."""

from __future__ import annotations

from collections.abc import Sequence

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave one row of every test function, before they are ordered and held against a time budget."""
    kept = one_each(items)
    chosen = set(kept)
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = kept


def one_each(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """First item of every test function at the GPU scale, in the order of the items."""
    first: dict[str, pytest.Item] = {}
    for item in items:
        if item.get_closest_marker("gpu"):
            first.setdefault(item.nodeid.partition("[")[0], item)
    return list(first.values())
