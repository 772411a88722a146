"""Folders that are written as a whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path


def write_folder(folder: Path, write: Callable[[Path], object]) -> None:
    """Have `write` fill a folder beside, then swap; what stood there goes only when the new one is in its place.

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
