"""Bundle for a machine without a package index: `python -m bench.gpu.bundle` gathers wheels and pinned files in parts.

`make gpu` joins and verifies them where they lie in build/gpu-bundle/. Wheels are for the Python and the platform that
the bundle is made on.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import pkgutil
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import models.data
from bench.gpu.parts import MANIFEST, split
from models.data.assets import Asset, cache_folder, fetch
from models.errors import InputError
from models.folders import written_aside

PROJECT = "lm-compression-bench"
BUNDLE = Path("build/gpu-bundle")
ASSUMED = ("torch", "numpy", "transformers")
"""Packages that a machine with a GPU has, and with them all that they ask for."""
BUILD = "setuptools>=77"
"""What installing the project itself takes, as pyproject.toml says."""


def required(names: Iterable[str], leave: Iterable[str] = ()) -> dict[str, str]:
    """Packages that the named ones ask for, directly or not, with the versions installed here; themselves too.

    Args:
        names: installed packages.
        leave: packages that are not followed and not listed.

    Raises:
        InputError: one is asked for here and not installed.
    """
    left = {canonicalize_name(name) for name in leave}
    waiting = [Requirement(name) for name in names]
    found: dict[str, str] = {}
    done: set[tuple[str, str]] = set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        # A package that is left may still be asked for with an extra, which brings what nobody else does.
        extras = {extra for extra in ("", *requirement.extras) if extra or name not in left}
        extras -= {extra for known, extra in done if known == name}
        if not extras:
            continue
        done |= {(name, extra) for extra in extras}
        distribution = _installed(name)
        if name not in left:
            found[name] = distribution.version
        waiting += _asked(distribution.requires or (), extras)
    return found


def _installed(name: str) -> importlib.metadata.Distribution:
    try:
        return importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError as error:
        raise InputError(f"{name} is not installed here; make the environment first, with make bench") from error


def _asked(lines: Iterable[str], extras: Iterable[str]) -> Iterator[Requirement]:
    """Requirements that hold on this machine for some of the extras; the empty one stands for none."""
    for requirement in map(Requirement, lines):
        marker = requirement.marker
        if any(not extra if marker is None else marker.evaluate({"extra": extra}) for extra in extras):
            yield requirement


def missing(assumed: Iterable[str]) -> dict[str, str]:
    """Packages that the project needs beyond the assumed ones and what those bring, with versions."""
    brought = required(assumed)
    needed = required([PROJECT], leave=(*assumed, *brought))
    return {name: version for name, version in sorted(needed.items()) if name != PROJECT}


def known_assets() -> list[Asset]:
    """Pinned files of all modules of `models.data`."""
    names = [each.name for each in pkgutil.iter_modules(models.data.__path__)]
    modules = [importlib.import_module(f"models.data.{name}") for name in names]
    found = {asset.sha256: asset for module in modules for value in vars(module).values() for asset in _assets(value)}
    return list(found.values())


def _assets(value: object) -> Iterator[Asset]:
    if isinstance(value, Asset):
        yield value
    elif isinstance(value, Mapping):
        yield from _assets(tuple(value.values()))
    elif isinstance(value, (tuple, list)):
        for each in value:
            yield from _assets(each)


def gather(packages: Mapping[str, str], assets: Iterable[Asset], parts: Path) -> list[Path]:
    """Parts with the wheels of packages and with pinned files, and their manifest.

    Raises:
        InputError: a wheel or a file cannot be had.
    """
    with tempfile.TemporaryDirectory() as aside:
        folder = Path(aside)
        if packages:
            _wheels([*(f"{name}=={version}" for name, version in packages.items()), BUILD], folder / "wheels")
        for asset in assets:
            place = folder / "assets" / asset.sha256[:16]
            place.mkdir(parents=True)
            shutil.copy(fetch(asset), place / asset.name)
        return split(folder, parts)


def _wheels(wanted: Iterable[str], folder: Path) -> None:
    """Fill a folder with wheels; what is published as source only is built."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), *wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it does not say why"])[-1]
        raise InputError(f"pip does not give the wheels ({said}); check the network and pip's index and run again")


def fill(assets: Path, cache: Path | None = None) -> list[Path]:
    """Files of a joined bundle, put where `fetch` looks for them and checks their hashes; those there already stay."""
    cache = cache or cache_folder()
    made = []
    for file in sorted(assets.glob("*/*")):
        place = cache / file.parent.name / file.name
        if not place.exists():
            with written_aside(place) as beside:
                shutil.copy(file, beside)
        made.append(place)
    return made


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 1, with a sentence on stderr, where something cannot be had."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu.bundle", description="Gather a bundle in parts.")
    parser.add_argument("--assume", default=",".join(ASSUMED), help="packages that the other machine has")
    parser.add_argument("--without", default="", help="projects whose pinned files are left out, such as gensim")
    parser.add_argument("--into", type=Path, default=BUNDLE, help="folder for the parts")
    chosen = parser.parse_args(arguments)
    without = chosen.without.split(",")
    try:
        packages = missing([name for name in chosen.assume.split(",") if name])
        assets = [asset for asset in known_assets() if asset.project not in without]
        made = gather(packages, assets, chosen.into)
    except InputError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"assumed to be there: {chosen.assume}, and what they bring")
    print(f"wheels: {', '.join(f'{name} {version}' for name, version in packages.items()) or 'none'}")
    print(f"files: {', '.join(asset.name for asset in assets) or 'none'}")
    total = sum(path.stat().st_size for path in made)
    print(f"{len(made) - 1} parts and {MANIFEST} in {chosen.into}, {total / 1e6:.0f} MB; carry the folder over")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
