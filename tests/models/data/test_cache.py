"""The cache keeps a few copies, and cleaning frees just what can be had again."""

import os

import pytest
from filelock import FileLock

from models.data.cache import COPIES, clean, said, used
from models.errors import InputError

KEEP = "tensors-" + 16 * "a"
GONE = (
    "dequantized-x1",
    f"{KEEP}-k2x",
    f"{KEEP}-k2x.old",
    "tensors-" + 16 * "b",
    "pkg-1.0.whl.part",
    "asset/f.gguf.part",
)
STAYS = (KEEP, "tensors-mine", "asset/f.gguf", "wikipedia-1.jsonl", "some.lock")


def lay(cache, name, size=1000):
    path = cache / name
    if not path.suffix or path.suffix == ".old":
        path.mkdir(parents=True)
        path /= "model.safetensors"
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_bytes(bytes(size if path.suffix != ".lock" else 0))


@pytest.fixture
def cache(tmp_path):
    for name in (*GONE, *STAYS):
        lay(tmp_path, name)
    return tmp_path


def test_cleaning_frees_what_can_be_had_again_and_says_it(cache):
    freed = clean(cache, KEEP)
    assert {one.name for one in freed} == {name.rpartition("/")[2] for name in GONE}
    assert {one.bytes for one in freed} == {1000}
    assert not any((cache / name).exists() for name in GONE) and all((cache / name).exists() for name in STAYS)
    assert said(cache, freed).endswith(f"{cache}: freed 0.0 MB, 0.0 MB stay")
    assert clean(cache, KEEP) == []


def test_what_another_process_is_at_is_left_alone(cache):
    with FileLock(cache / "some.lock"), pytest.raises(InputError, match=r"is in use \(some.lock is held\); wait"):
        clean(cache, KEEP)
    assert all((cache / name).exists() for name in GONE)


def test_a_cache_that_is_not_there_has_nothing_to_free(tmp_path):
    assert clean(tmp_path / "none", KEEP) == []


def test_copies_are_bounded_and_the_last_used_ones_stay(tmp_path):
    names = [f"tensors-{number:016x}" for number in range(COPIES + 2)]
    for age, name in enumerate(names):
        lay(tmp_path, name)
        os.utime(tmp_path / name, (age, age))
    with FileLock(tmp_path / f"{names[0]}.lock"):  # which is asked for just now
        used(tmp_path / names[2])
    assert not (tmp_path / names[1]).exists()
    assert all((tmp_path / name).exists() for name in [names[0], *names[2:]])
