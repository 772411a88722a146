"""Checks of stated times, which are worth little on a machine that has other work."""

from __future__ import annotations

import pytest

from bench.speed.stated import Stated


@pytest.fixture(autouse=True)
def _timed(request: pytest.FixtureRequest, pytestconfig: pytest.Config) -> None:
    """Skip what is timed where pytest-benchmark takes no times."""
    untimed = hasattr(pytestconfig, "workerinput") or pytestconfig.getoption("benchmark_disable")
    if untimed and "benchmark" in request.fixturenames:
        pytest.skip("no times are taken beside other workers; leave -n, or --benchmark-disable, out")


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
