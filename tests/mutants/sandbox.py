"""A copy of the working tree in which mutants are tested, each in a fork of a process that has torch already."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

PRELOADED = (
    *("torch", "torch._dynamo", "scipy.stats", "hypothesis", "tabulate", "compressed_tensors"),
    *("transformers.models.gpt2.modeling_gpt2", "transformers.models.llama.modeling_llama"),
    *("transformers.models.opt.modeling_opt", "transformers.models.t5.modeling_t5", "transformers.quantizers.auto"),
)
"""Slow imports that no mutant touches; nothing of this project may be among them."""
OPTIONS = (
    *("-x", "-q", "-m", "not slow", "-p", "no:cacheprovider"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # plugins came with what was preloaded
)


@dataclass(frozen=True)
class Run:
    """How the tests of a file ended."""

    outcome: str
    """`passed`, `failed` or `timed out`."""
    seconds: float
    first_failure: str = ""
    """Name of the first test that failed, or the file that could not be read."""


class _First:
    """Remembers the first failure, as a pytest plugin."""

    def __init__(self) -> None:
        self.name = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.name:
            self.name = report.nodeid

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and not self.name:
            self.name = f"{report.nodeid} (import)"


class Sandbox:
    """Files of a repository in a temporary folder; the working tree is only read."""

    def __init__(self, root: Path, preloaded: Sequence[str] = PRELOADED) -> None:
        self._temporary = TemporaryDirectory(prefix="mutants-")
        self.root = Path(self._temporary.name) / "tree"
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=root,
            capture_output=True,
            check=True,
        )
        for name in filter(None, listed.stdout.decode().split("\0")):
            if (root / name).is_file():
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(root / name, self.root / name)
        for name in preloaded:
            importlib.import_module(name)

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self._temporary.cleanup()

    def test(self, tests: Sequence[str], *, timeout: float, path: str = "", source: str = "") -> Run:
        """Outcome of the tests until the first failure, with one file's text replaced if a path is given."""
        if not path:
            return self._fork(tests, timeout)
        file = self.root / path
        before, times = file.read_text(encoding="utf-8"), file.stat()
        file.write_text(source, encoding="utf-8")
        # Bytecode is told apart by time and size, and many mutants are as long as the original.
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns + 5_000_000_000))
        try:
            return self._fork(tests, timeout)
        finally:
            file.write_text(before, encoding="utf-8")
            os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))

    def _fork(self, tests: Sequence[str], timeout: float) -> Run:
        answer = self.root.parent / "answer.json"
        answer.unlink(missing_ok=True)
        sys.stdout.flush()
        began = time.monotonic()
        child = os.fork()
        if not child:
            self._run_and_leave(tests, answer)
        ended = _wait(child, timeout)
        seconds = round(time.monotonic() - began, 2)
        if not ended:
            return Run("timed out", seconds)
        if not answer.exists():  # the interpreter itself fell
            return Run("failed", seconds, "crash")
        status, first = json.loads(answer.read_text(encoding="utf-8"))
        if status == pytest.ExitCode.NO_TESTS_COLLECTED:
            raise RuntimeError(f"no tests in {' '.join(tests)}")
        return Run("failed" if status else "passed", seconds, first or "pytest itself" * bool(status))

    def _run_and_leave(self, tests: Sequence[str], answer: Path) -> None:
        """The child's whole life: it becomes a session of its own, so that what it started can be ended with it."""
        try:
            os.setsid()
            os.chdir(self.root)
            output = os.open(self.root.parent / "output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(output, 1)
            os.dup2(output, 2)
            sys.path[:] = [str(self.root), *sys.path[1:]]
            for name in [name for name in sys.modules if name.split(".")[0] == "tests"]:
                del sys.modules[name]
            first = _First()
            arguments = [*OPTIONS, "--rootdir", str(self.root), *tests]
            status = pytest.main(arguments, plugins=[first])
            answer.write_text(json.dumps([int(status), first.name]), encoding="utf-8")
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)


def _wait(child: int, timeout: float) -> bool:
    """True when the child ends in time; its whole session is ended otherwise."""
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        if os.waitpid(child, os.WNOHANG)[0]:
            return True
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False
