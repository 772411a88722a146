"""The suite at toy size, in this process, with a folder for the bad files of each case."""

import pytest

from tests.bench.battery.running import PROBE, Suite

CONFTEST = """
import pytest

pytest_plugins = ("bench.plugin", "bench.conftest")

@pytest.hookimpl(tryfirst=True)
def pytest_keyboard_interrupt(excinfo):
    excinfo.traceback = excinfo.traceback[:1]  # it is written out at an exit, in a second, and never shown
"""


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """Root of a project whose one row is the probe."""
    folder = tmp_path_factory.mktemp("battery")
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -ra --import-mode=importlib\nfilterwarnings = error\n")
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_probe.py").write_text(PROBE)
    return folder


@pytest.fixture
def suite(root, tmp_path, gpt2_folder, text_file, monkeypatch):
    """Runs of the suite; nothing is fetched, and what is kept goes with the case."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("LM_COMPRESSION_BENCH_CACHE", str(tmp_path / "cache"))
    return Suite(root, tmp_path, gpt2_folder, text_file)
