"""Folders that optimum-quanto wrote, which transformers alone would fill with random weights."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from safetensors.torch import load_file
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from models.errors import InputError
from models.formats import QUANTO_MAP
from models.packages import needed


def open_quanto(folder: Path, files: Sequence[Path], dtype: torch.dtype) -> tuple[PreTrainedModel, Mapping[str, Any]]:
    """Model with weights at full width, as codes stand for them, and names that its files lack or have too many.

    Packed, its four-bit weights do not run in inference mode, nor any in another dtype than they were saved in.

    Args:
        folder: with its configuration and the map of what is packed.
        files: safetensors with the weights.
        dtype: that the model computes in.

    Raises:
        InputError: it rounds activations too, or optimum-quanto is not installed.
    """
    quanto = needed("optimum.quanto", f"{folder.name} is in the format optimum-quanto, which", package="optimum-quanto")
    packed: dict[str, dict[str, str]] = json.loads((folder / QUANTO_MAP).read_text(encoding="utf-8"))
    if rounding := [name for name, layer in packed.items() if layer.get("activations", "none") != "none"]:
        raise InputError(
            f"{folder.name} rounds the activations of {len(rounding)} layers, {rounding[0]} first, which only "
            "optimum-quanto can do; quantize the weights alone"
        )
    with init_empty_weights():
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder, trust_remote_code=False))
    weights = {key: value for file in files for key, value in load_file(file).items()}
    quanto.requantize(model, weights, packed)
    wanted = set(model.state_dict())
    model.tie_weights()
    tied = {key for key in model.all_tied_weights_keys if key not in weights}
    for name in packed:
        model.set_submodule(name, _unpacked(model.get_submodule(name)))
    return model.to(dtype), {"missing_keys": wanted - set(weights) - tied, "unexpected_keys": set(weights) - wanted}


def _unpacked(layer: Any) -> nn.Linear:
    linear = nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None, device="meta")
    linear.weight = nn.Parameter(layer.weight.dequantize(), requires_grad=False)
    if layer.bias is not None:
        linear.bias = nn.Parameter(layer.bias.detach(), requires_grad=False)
    return linear
