"""Formats of packed checkpoints: how a folder says which one it has, and the packages that open it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import transformers
from transformers import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.quantizers.auto import AUTO_QUANTIZATION_CONFIG_MAPPING

from models.errors import InputError
from models.packages import installed, lacking

COMPRESSED_TENSORS, QUANTO = "compressed-tensors", "quanto"
QUANTO_MAP = "quanto_qmap.json"
"""File by which optimum-quanto marks its folders: their config.json says nothing."""
VERSION = f"transformers {transformers.__version__}"


@dataclass(frozen=True)
class Format:
    """Name of a format, and the packages that open it beside transformers."""

    name: str
    modules: Mapping[str, str] = field(default_factory=dict)
    """Module to import, and what pip knows it by."""


FORMATS = {
    "awq": Format("AWQ", {"gptqmodel": "gptqmodel"}),
    "bitsandbytes": Format("bitsandbytes", {"bitsandbytes": "bitsandbytes"}),
    COMPRESSED_TENSORS: Format("compressed-tensors", {"compressed_tensors": "compressed-tensors"}),
    "gptq": Format("GPTQ", {"optimum": "optimum", "gptqmodel": "gptqmodel"}),
    "hqq": Format("HQQ", {"hqq": "hqq"}),
    QUANTO: Format("optimum-quanto", {"optimum.quanto": "optimum-quanto"}),
    "torchao": Format("torchao", {"torchao": "torchao"}),
}
"""Formats by the `quant_method` of config.json; of others, transformers itself says what it needs."""


def read_config(folder: Path, name: str) -> dict[str, Any]:
    """Configuration of a folder, as it stands in config.json.

    Raises:
        InputError: it is no JSON, or no object.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"the config.json of {name} is not JSON ({error}); write it again") from error
    if not isinstance(config, dict):
        raise InputError(f"the config.json of {name} holds a {type(config).__name__}, not an object; write it again")
    return config


def check_architecture(config: Mapping[str, Any], name: str) -> None:
    """Refuse what transformers has no decoder for, and what only code that comes with it could open.

    Raises:
        InputError: an unknown model type, or one of no causal language model.
    """
    kind = config.get("model_type")
    if kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return
    if kind in CONFIG_MAPPING:
        raise InputError(f"{name} is of model type {kind!r}, which is no decoder; give a causal language model")
    if config.get("auto_map"):
        raise InputError(
            f"{name} needs code that comes with it (auto_map in config.json), which is never run here; give a model "
            f"whose architecture {VERSION} has"
        )
    raise InputError(
        f"the config.json of {name} says model type {kind!r}, which {VERSION} does not know; correct it, or install a "
        "version that does"
    )


def format_of(folder: Path, config: Mapping[str, Any], name: str) -> str | None:
    """Format that a folder's weights are packed in, by its `quant_method`; None for weights at full width.

    Raises:
        InputError: a format that transformers does not have, or a configuration that does not say which.
    """
    if (folder / QUANTO_MAP).is_file():
        return QUANTO
    packed = config.get("quantization_config")
    if packed is None:
        return None
    if not isinstance(packed, dict):
        raise InputError(
            f"the quantization_config of {name} is a {type(packed).__name__}, not an object; write it again"
        )
    method = packed.get("quant_method")
    if method is None and (packed.get("load_in_4bit") or packed.get("load_in_8bit")):
        return "bitsandbytes"  # as its first versions wrote it
    if method not in {*AUTO_QUANTIZATION_CONFIG_MAPPING, "bitsandbytes"}:
        raise InputError(
            f"{name} is packed in the format {method!r}, which {VERSION} does not open; save it with its weights at "
            "full width, or in another format"
        )
    return method


def rounds_activations(config: Mapping[str, Any]) -> bool:
    """True if a compressed-tensors folder rounds what goes into a layer or comes out of it, not only its weights."""
    groups = config["quantization_config"].get("config_groups") or {}
    for name, group in groups.items():
        if not isinstance(group, dict):  # a scheme by its name, such as W8A8, with its layers
            if not name.endswith("A16"):
                return True
        elif group.get("input_activations") or group.get("output_activations"):
            return True
    return False


def check_packages(method: str | None, name: str) -> None:
    """Refuse a format whose package is not there.

    Raises:
        InputError: the format, the package and the command that installs it.
    """
    known = FORMATS.get(method or "", Format(""))
    for module, package in known.modules.items():
        if not installed(module):
            raise InputError(lacking(module, f"{name} is in the format {known.name}, which", package=package))


def title(method: str | None) -> str:
    """Format as a sentence names it."""
    return FORMATS[method].name if method in FORMATS else str(method)
