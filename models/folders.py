"""Files and folders that are written as a whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Path beside `path` to write to; the file moves into place at the end, and goes if writing fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.part")
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_folder(folder: Path, write: Callable[[Path], object]) -> None:
    """Has `write` fill a folder beside, then swap; what stood there goes only when the new one is in its place.

    Args:
        folder: what is replaced or made.
        write: called with the folder to fill; if it fails, nothing has changed.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f"{folder.name}-"))
    old = beside.with_name(f"{beside.name}.old")
    try:
        write(beside)
        if folder.exists():
            folder.rename(old)
        beside.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
