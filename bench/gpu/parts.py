"""A folder as numbered parts with a manifest of hashes, and back: for machines that files are carried to.

Standard library alone: a bare machine runs `python3 -m bench.gpu.parts PARTS FOLDER` before it has an environment.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
PART_BYTES = 60 * 10**6


class DamagedPartsError(ValueError):
    """Parts that do not make the folder again; the message names them and the way out."""


def split(folder: Path, parts: Path, *, most: int = PART_BYTES) -> list[Path]:
    """Numbered parts of a folder's files, none above `most` bytes, and a manifest of their sha256; parts first.

    Args:
        folder: what is carried; names of files are kept relative to it.
        parts: where parts and manifest go; earlier ones there are replaced.
        most: bytes of a part.
    """
    parts.mkdir(parents=True, exist_ok=True)
    for old in (*parts.glob("part-*"), *parts.glob(MANIFEST)):
        old.unlink()
    with tempfile.TemporaryFile(dir=parts) as archive:
        with tarfile.open(fileobj=archive, mode="w") as tar:
            tar.add(folder, arcname=".")
        archive.seek(0)
        pieces = enumerate(iter(lambda: archive.read(most), b""))
        made = [_write(parts / f"part-{number:03}", data) for number, data in pieces]
    manifest = [{"name": part.name, "bytes": part.stat().st_size, "sha256": _sha256(part)} for part in made]
    (parts / MANIFEST).write_text(json.dumps({"parts": manifest}, indent=1) + "\n", encoding="utf-8")
    return [*made, parts / MANIFEST]


def join(parts: Path, folder: Path) -> None:
    """Make the folder again, after every part has been checked; what stood there goes.

    Raises:
        DamagedPartsError: there is no manifest, parts are missing or damaged, by name, or the folder holds them.
    """
    names = _checked(parts)
    if folder.resolve() in (parts.resolve(), *parts.resolve().parents, Path.cwd(), *Path.cwd().parents):
        raise DamagedPartsError(f"{folder} holds the parts or this folder, and what stands there goes; name a new one")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tempfile.TemporaryFile(dir=folder) as archive:
        for name in names:
            with (parts / name).open("rb") as part:
                shutil.copyfileobj(part, archive)
        archive.seek(0)
        with tarfile.open(fileobj=archive) as tar:
            tar.extractall(folder, filter="data")


def _checked(parts: Path) -> list[str]:
    """Names of the parts, all there and whole."""
    if not (parts / MANIFEST).is_file():
        raise DamagedPartsError(f"no {MANIFEST} in {parts}; carry it over together with the parts")
    entries = _entries(parts / MANIFEST)
    wrong = []
    for entry in entries:
        path = parts / entry["name"]
        if not path.is_file():
            wrong.append(f"{entry['name']} is missing")
        elif _sha256(path) != entry["sha256"]:
            wrong.append(f"{entry['name']} is damaged ({path.stat().st_size:,} of {entry['bytes']:,} bytes)")
    if wrong:
        raise DamagedPartsError(f"{', '.join(wrong)} in {parts}; carry over again what is named")
    return [entry["name"] for entry in entries]


def _entries(manifest: Path) -> list[dict[str, Any]]:
    try:
        entries = json.loads(manifest.read_text(encoding="utf-8"))["parts"]
        if all(Path(entry["name"]).name == entry["name"] and entry["sha256"] and entry["bytes"] for entry in entries):
            return entries
    except (ValueError, LookupError, TypeError):
        pass
    raise DamagedPartsError(f"{manifest} is damaged; carry it over again")


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main(arguments: list[str] | None = None) -> int:
    """Join parts; 1, with a sentence on stderr, where one is missing or damaged."""
    parser = argparse.ArgumentParser(prog="python3 -m bench.gpu.parts", description="Join parts into a folder.")
    parser.add_argument("parts", type=Path, help="folder with the parts and their manifest")
    parser.add_argument("folder", type=Path, help="folder to make of them; what stands there goes")
    chosen = parser.parse_args(arguments)
    try:
        join(chosen.parts, chosen.folder)
    except (DamagedPartsError, tarfile.TarError) as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.filename}: {error.strerror}; give a folder that can be written", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
