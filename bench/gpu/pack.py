"""One file to carry away from a borrowed machine: evidence, pages and logs."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

MOST_BYTES = 60 * 10**6
LEFT = ("measurements",)
"""Folders of large things that only this machine can use."""


def pack(folders: Mapping[str, Path], archive: Path, *, most: int = MOST_BYTES) -> Sequence[str]:
    """Write folders into one compressed archive; names of what was left out so that it stays small enough.

    Plots are left out first: they are made again from the evidence. What is left is packed, however large.

    Args:
        folders: by the name that they get inside; one that is not there is passed over.
        archive: a `.tar.xz` file; it moves into place when it is whole.
        most: bytes.
    """
    files = [
        (f"{name}/{path.relative_to(folder).as_posix()}", path)
        for name, folder in folders.items()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(".lock") and not set(LEFT) & set(path.relative_to(folder).parts)
    ]
    _write(files, archive)
    if archive.stat().st_size <= most:
        return ()
    _write([file for file in files if file[1].suffix != ".png"], archive)
    return [name for name, path in files if path.suffix == ".png"]


def slug(card: str) -> str:
    """Name of a card in letters, digits and hyphens, for files and keys: NVIDIA-H100-PCIe."""
    return re.sub(r"[^A-Za-z0-9]+", "-", card).strip("-")


def _write(files: Sequence[tuple[str, Path]], archive: Path) -> None:
    archive.parent.mkdir(parents=True, exist_ok=True)
    beside = archive.with_name(f"{archive.name}.part")
    with tarfile.open(beside, "w:xz") as tar:
        for name, path in files:
            tar.add(path, arcname=name)
    beside.replace(archive)
