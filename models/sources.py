"""Sources of models: the embedded SmolLM2, Gemma, a GGUF file, a folder, or a hub id; their hashes and sizes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from models.data.assets import fetch, file_sha256
from models.data.embedded import SMOLLM2, smollm2_folder
from models.data.gemma import GEMMA, gemma_folder, gemma_gguf
from models.data.gemma import SHA256 as GEMMA_SHA256
from models.errors import InputError

EMBEDDED = "smollm2-135m"
SAFETENSORS = "model.safetensors"
GGUF = ".gguf"
WEIGHTS = ("*.safetensors",)
REST = ("*.json", "*.txt", "*.model", "*.jinja")
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


def folder_of(name: str) -> Path:
    """Folder of a model in safetensors, or its `.gguf` file; what has to be fetched or unpacked for it is.

    Raises:
        InputError: no such model, or no safe weights in it.
    """
    if name == EMBEDDED:
        return smollm2_folder()
    if name == GEMMA:
        return gemma_folder()
    path = Path(name)
    if path.suffix == GGUF:
        if not path.is_file():
            raise InputError(f"no GGUF file at {name}; give an existing file, a folder or a hub id")
        return path
    if path.is_dir():
        return _safe(path, name)
    if path.exists() or name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise InputError(f"no model folder at {name}; give an existing folder, a .gguf file or a hub id")
    return _safe(_from_hub(name), name)


def _safe(folder: Path, name: str) -> Path:
    if not (folder / "config.json").is_file():
        raise InputError(f"{name} has no config.json; a model folder is what save_pretrained writes")
    weight_files(folder, name)
    return folder


def weight_files(folder: Path, name: str) -> list[Path]:
    """Files that transformers reads the weights of a folder from: one, or the shards that its index names.

    Raises:
        InputError: there are none, one of them is not there, or the index is damaged.
    """
    if (whole := folder / SAFETENSORS).is_file():
        return [whole]
    if not (index := folder / f"{SAFETENSORS}.index.json").is_file():
        raise InputError(_no_weights(folder, name))
    try:
        shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"the {index.name} of {name} names no shards; download or write it again") from error
    if absent := [shard for shard in shards if not (folder / str(shard)).is_file()]:
        raise InputError(
            f"{name} lacks {len(absent)} of the {len(shards)} files that hold its weights ({_first(absent)}); "
            "download or write them again"
        )
    return [folder / shard for shard in shards]


def _no_weights(folder: Path, name: str) -> str:
    """Sentence on a folder without the files of weights that transformers reads: what it has instead."""
    if (folder / "adapter_config.json").is_file():
        return f"{name} holds an adapter and no model; merge it into its model, save that, and give the folder"
    if others := sorted(file.name for pattern in WEIGHTS for file in folder.glob(pattern)):
        return (
            f"{name} has neither {SAFETENSORS} nor its index, only {_first(others)}; transformers reads no weights "
            "of another name: save the model with save_pretrained"
        )
    if pickles := sorted(file.name for pattern in PICKLES for file in folder.glob(pattern)):
        return (
            f"{name} holds only pickled weights ({_first(pickles)}), which can run code when opened; "
            "convert them with save_pretrained(..., safe_serialization=True) in a place you trust"
        )
    return f"{name} has no *.safetensors weights; a model folder is what save_pretrained writes"


def _first(names: list[str]) -> str:
    return ", ".join(names[:3])


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
    if path.suffix == GGUF and path.is_file():
        return file_sha256(path)
    return _fingerprint(folder_of(name))


def packed_file(name: str) -> Path | None:
    """File that holds a whole model with its weights packed, and from which it is unpacked; None for a folder.

    Raises:
        InputError: no such model.
    """
    if name == EMBEDDED:
        return fetch(SMOLLM2)
    if name == GEMMA:
        return gemma_gguf()
    place = folder_of(name)
    return place if place.suffix == GGUF and place.is_file() else None


def weight_bytes(name: str) -> int:
    """Bytes that a model's weights take on disk: its packed file, or just the safetensors that are read of a folder.

    Raises:
        InputError: no such model.
    """
    packed = packed_file(name)
    files = [packed] if packed else weight_files(folder_of(name), name)
    return sum(file.stat().st_size for file in files)


def _fingerprint(folder: Path) -> str:
    files = sorted([folder / "config.json", *(file for pattern in WEIGHTS for file in folder.glob(pattern))])
    lines = "".join(f"{file.name} {file_sha256(file)}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()
