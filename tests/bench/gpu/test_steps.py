"""A step of the hour is a process of its own, with a log."""

from bench.gpu.steps import Step, run


def test_lines_of_a_step_are_shown_and_logged(tmp_path, capsys):
    step = Step("say", ("-c", "import sys; print('measured'); print('warned', file=sys.stderr); sys.exit(3)"), 60)
    assert run(step, tmp_path / "logs" / "say.log") == 3
    assert set((tmp_path / "logs" / "say.log").read_text().splitlines()) == {"measured", "warned"}
    assert "measured" in capsys.readouterr().out


def test_a_process_that_a_driver_takes_down_is_a_failed_step(tmp_path):
    step = Step("crash", ("-c", "import os, signal; print('one'); os.kill(os.getpid(), signal.SIGKILL)"), 60)
    assert run(step, tmp_path / "crash.log") < 0


def test_a_process_that_hangs_is_ended(tmp_path):
    step = Step("hang", ("-c", "import time; print('begun', flush=True); time.sleep(60)"), 0.5)
    assert run(step, tmp_path / "hang.log") < 0
