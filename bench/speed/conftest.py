"""What a stated ratio of times is worth on a machine that may have other work."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Stated = Callable[[bool, str], None]


@pytest.fixture
def stated(pytestconfig: pytest.Config) -> Stated:
    """Check of a stated time: it fails the test at thorough effort, and is shown as an expected failure below that."""

    def check(holds: bool, what: str) -> None:
        if holds:
            return
        if pytestconfig.getoption("effort") == "thorough":
            pytest.fail(what, pytrace=False)
        pytest.xfail(f"{what}; a machine with other work says little, use --effort=thorough on a quiet one")

    return check
