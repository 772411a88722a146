"""Sources of models: the embedded SmolLM2, Gemma, a GGUF file, a folder, or a hub id; their hashes and sizes."""

from __future__ import annotations

import hashlib
from pathlib import Path

from models.data.assets import fetch, file_sha256
from models.data.embedded import SMOLLM2, dequantized, smollm2_folder
from models.data.gemma import GEMMA, gemma_folder, gemma_gguf
from models.data.gemma import SHA256 as GEMMA_SHA256
from models.errors import InputError

EMBEDDED = "smollm2-135m"
WEIGHTS = ("*.safetensors",)
REST = ("*.json", "*.txt", "*.model", "*.jinja")
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


def folder_of(name: str) -> Path:
    """Folder of a model in safetensors; what has to be fetched or unpacked for it is.

    Raises:
        InputError: no such model, or no safe weights in it.
    """
    if name == EMBEDDED:
        return smollm2_folder()
    if name == GEMMA:
        return gemma_folder()
    path = Path(name)
    if path.suffix == ".gguf":
        if not path.is_file():
            raise InputError(f"no GGUF file at {name}; give an existing file, a folder or a hub id")
        return dequantized(path, file_sha256(path))
    if path.is_dir():
        return _safe(path, name)
    if path.exists() or name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise InputError(f"no model folder at {name}; give an existing folder, a .gguf file or a hub id")
    return _safe(_from_hub(name), name)


def _safe(folder: Path, name: str) -> Path:
    if not (folder / "config.json").is_file():
        raise InputError(f"{name} has no config.json; a model folder is what save_pretrained writes")
    if any(file for pattern in WEIGHTS for file in folder.glob(pattern)):
        return folder
    pickles = sorted(file.name for pattern in PICKLES for file in folder.glob(pattern))
    if pickles:
        raise InputError(
            f"{name} holds only pickled weights ({', '.join(pickles[:3])}), which can run code when opened; "
            "convert them with save_pretrained(..., safe_serialization=True) in a place you trust"
        )
    raise InputError(f"{name} has no *.safetensors weights; a model folder is what save_pretrained writes")


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - only hub ids need it
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError  # noqa: PLC0415

    try:
        return Path(snapshot_download(name, allow_patterns=[*WEIGHTS, *REST]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError(
            f"no model {name!r}: it is no folder here and the hub does not give it ({reason}); "
            f"check the spelling and the network, or use {EMBEDDED!r}, which needs no hub"
        ) from error


def identity(name: str) -> str:
    """Hash of a model's source, without opening it: that of `Decoder.sha256`.

    Raises:
        InputError: no such model.
    """
    if name == EMBEDDED:
        return SMOLLM2.sha256
    if name == GEMMA:
        return GEMMA_SHA256
    path = Path(name)
    if path.suffix == ".gguf" and path.is_file():
        return file_sha256(path)
    return _fingerprint(folder_of(name))


def weight_bytes(name: str) -> int:
    """Bytes that a model's weights take on disk: a `.gguf` file, or the safetensors of a folder.

    Raises:
        InputError: no such model.
    """
    if name == EMBEDDED:
        return fetch(SMOLLM2).stat().st_size
    if name == GEMMA:
        return gemma_gguf().stat().st_size
    path = Path(name)
    if path.suffix == ".gguf":
        return path.stat().st_size
    folder = folder_of(name)
    return sum(file.stat().st_size for pattern in WEIGHTS for file in folder.glob(pattern))


def _fingerprint(folder: Path) -> str:
    files = sorted([folder / "config.json", *(file for pattern in WEIGHTS for file in folder.glob(pattern))])
    lines = "".join(f"{file.name} {file_sha256(file)}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()
