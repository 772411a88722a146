"""An hour on a card keeps what it measured, however it ends."""

import pytest

from bench.gpu.__main__ import hour
from bench.gpu.steps import Step, steps

PLANNED = tuple(Step(name, (), 1) for name in ("check", "smoke", "measure", "pages"))


def run_hour(folder, statuses):
    """Status of an hour whose steps end so, the steps that ran, and how often what they left was kept."""
    ran, kept = [], []

    def execute(step, log):
        assert log == folder / f"{step.name}.log"
        ran.append(step.name)
        if isinstance(status := statuses.get(step.name, 0), BaseException):
            raise status
        return status

    try:
        status = hour(PLANNED, folder, lambda: kept.append(True), execute)
    except KeyboardInterrupt:
        status = None
    return status, ran, len(kept)


def test_all_steps_run_in_turn_and_are_packed(tmp_path):
    assert run_hour(tmp_path, {}) == (0, ["check", "smoke", "measure", "pages"], 1)


def test_without_a_gpu_nothing_runs_and_nothing_is_packed(tmp_path):
    assert run_hour(tmp_path, {"check": 2}) == (2, ["check"], 0)


@pytest.mark.parametrize("broken", ["check", "smoke", "measure", "pages"])
def test_a_step_that_fails_stops_no_other_and_is_named(tmp_path, capsys, broken):
    status = -9 if broken == "measure" else 1
    assert run_hour(tmp_path, {broken: status}) == (1, ["check", "smoke", "measure", "pages"], 1)
    assert f"not all went well in: {broken}" in capsys.readouterr().err


def test_an_interrupted_hour_is_packed(tmp_path):
    assert run_hour(tmp_path, {"measure": KeyboardInterrupt()}) == (None, ["check", "smoke", "measure"], 1)


def test_the_scale_goes_on_with_what_an_earlier_hour_left(tmp_path):
    measure = steps(tmp_path, tmp_path / "results", "50m")[2].arguments
    assert {"--resume", "--time-budget=50m", f"--report-dir={tmp_path / 'results'}"} <= set(measure)
