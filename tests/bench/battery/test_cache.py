"""Caches that cannot be written or are in use, and what cleaning them says."""

from __future__ import annotations

from pathlib import Path

import pytest
from filelock import FileLock

from tests.bench.battery.running import Case, cases

CHOOSE = "set LM_COMPRESSION_BENCH_CACHE to one that can"


def a_file(here: Path) -> None:
    (here / "cache").write_text("no folder")


TABLE = (Case("a-file", "--model=smollm2-135m", ("cache cannot be written", CHOOSE), a_file),)


@cases(*TABLE)
def test_a_cache_that_cannot_be_written_is_one_sentence(suite, case):
    case.lay(suite.here)
    suite.bench(case.arguments).check(case.words)
    assert not suite.out.exists()


def test_cleaning_a_cache_in_use_is_one_sentence(suite):
    cache = suite.here / "cache"
    cache.mkdir()
    (cache / "a.part").write_bytes(b"half")
    with FileLock(cache / "a.lock"):
        suite.bench("--clean-cache").check(("cache is in use (a.lock is held)", "wait until the other run ends"))
    assert (cache / "a.part").exists() and not suite.out.exists()


def test_cleaning_says_what_it_freed_and_runs_nothing(suite):
    cache = suite.here / "cache"
    (cache / "dequantized-x").mkdir(parents=True)
    (cache / "dequantized-x" / "model.safetensors").write_bytes(bytes(2_000_000))
    said = suite.bench("--clean-cache")
    assert said.status == pytest.ExitCode.OK and "freed 2.0 MB: dequantized-x" in said.text
    assert not (cache / "dequantized-x").exists() and not suite.out.exists()
