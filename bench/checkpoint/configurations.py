"""Configurations of two models compared: settings that decide what is computed, such as the base of RoPE."""

from __future__ import annotations

from typing import Any

from transformers import AutoConfig

from models.sources import folder_of

SAYS_NOTHING = {
    "architectures",
    "dtype",
    "id2label",
    "label2id",
    "name_or_path",
    "quantization_config",
    "torch_dtype",
    "transformers_version",
    "use_cache",
}
"""Settings that say how a model is stored, named or run, and not what it computes."""


def differing(dense: str, compressed: str) -> dict[str, tuple[Any, Any]]:
    """Settings whose values differ, each with the dense model's and the other's; token ids are left out."""
    ours, theirs = (_settings(name) for name in (dense, compressed))
    return {
        name: (ours.get(name), theirs.get(name))
        for name in sorted(ours.keys() | theirs.keys())
        if ours.get(name) != theirs.get(name)
    }


def _settings(name: str) -> dict[str, Any]:
    values = AutoConfig.from_pretrained(folder_of(name)).to_dict()
    return {
        key: value
        for key, value in _flat(values).items()
        if key.split(".")[0] not in SAYS_NOTHING and not key.startswith("_") and not key.endswith("_token_id")
    }


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
