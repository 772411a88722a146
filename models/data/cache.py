"""Cache of downloads and of what is made of them: how much of it stays, and what can go."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from models.errors import InputError

COPIES = 5
"""Float32 copies of GGUF files that stay, the last used ones; each is about six times its file."""
COPY = re.compile(r"tensors-[0-9a-f]{16}")
LEFT = re.compile(r"tensors-[0-9a-f]{16}-.+|dequantized-.+|.+\.part")
"""Names of what interrupted conversions and downloads leave; up to 0.3.0 copies were called dequantized too."""


class Freed(NamedTuple):
    """One thing that went from the cache."""

    name: str
    bytes: int


def used(copy: Path) -> None:
    """Note that a copy is in use, and let the copies go that were not used for the longest time."""
    os.utime(copy)
    copies = [path for path in copy.parent.glob("tensors-*") if COPY.fullmatch(path.name) and path.is_dir()]
    for old in sorted(copies, key=lambda path: path.stat().st_mtime, reverse=True)[COPIES:]:
        try:
            with FileLock(old.with_suffix(".lock"), blocking=False):
                shutil.rmtree(old)
        except Timeout:  # another process has just asked for it
            continue


def clean(cache: Path, keep: str) -> list[Freed]:
    """Frees what can be made or fetched again: unfinished downloads and conversions, and copies of GGUF files.

    Args:
        cache: the folder.
        keep: name of the one copy that stays, the embedded model's.

    Raises:
        InputError: a download or a conversion is under way, or something cannot be deleted.
    """
    with ExitStack() as held:
        for lock in sorted(cache.glob("*.lock")):
            try:
                held.enter_context(FileLock(lock, blocking=False))
            except Timeout as error:
                raise InputError(f"{cache} is in use ({lock.name} is held); wait until the other run ends") from error
        return [_deleted(path) for path in _freeable(cache, keep)]


def _freeable(cache: Path, keep: str) -> list[Path]:
    top = [path for path in cache.glob("*") if LEFT.fullmatch(path.name) or COPY.fullmatch(path.name)]
    return sorted(path for path in [*top, *cache.glob("*/*.part")] if path.name != keep and path.parent not in top)


def _deleted(path: Path) -> Freed:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    freed = Freed(path.name, sum(file.stat().st_size for file in files))
    try:
        path.unlink() if path.is_file() else shutil.rmtree(path)
    except OSError as error:
        raise InputError(f"{path} cannot be deleted ({error.strerror}); change its permissions") from error
    return freed


def said(cache: Path, freed: list[Freed]) -> str:
    """Lines that say what was freed and what stays."""
    lines = [f"freed {size / 1e6:,.1f} MB: {name}" for name, size in freed]
    stays = sum(file.stat().st_size for file in cache.rglob("*") if file.is_file())
    total = sum(size for _, size in freed)
    return "\n".join([*lines, f"{cache}: freed {total / 1e6:,.1f} MB, {stays / 1e6:,.1f} MB stay"])
