"""Folders with the thin matrices of a model: all its tensors as safetensors, and the layers' ranks beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_model, save_model
from torch import nn

from compress.factorisation.low_rank.layer import LowRankLinear
from compress.files import written_aside

LAYOUT, WEIGHTS = "low-rank.json", "model.safetensors"


def save_low_rank(model: nn.Module, folder: Path) -> None:
    """Writes a model with low-rank layers to a folder; `load_low_rank` gives the same outputs bit for bit.

    Raises:
        ValueError: the model has no such layer.
    """
    layers = {name: module for name, module in model.named_modules() if isinstance(module, LowRankLinear)}
    if not layers:
        raise ValueError(f"no layer of {type(model).__name__} is a LowRankLinear; save it as it is")
    layout = {
        name: {"rank": layer.rank, "bias": layer.bias is not None, "residual": layer.residual is not None}
        for name, layer in layers.items()
    }
    kept = {"dtype": str(next(iter(layers.values())).left.dtype), "layers": layout}
    with written_aside(folder / LAYOUT) as ranks, written_aside(folder / WEIGHTS) as weights:
        save_model(model, str(weights))
        ranks.write_text(json.dumps(kept, indent=1), encoding="utf-8")


def load_low_rank(model: nn.Module, folder: Path) -> None:
    """Gives a dense model of the same architecture the low-rank layers and all the tensors of a folder.

    The model is left as it was where the folder cannot be used.

    Raises:
        ValueError: the folder was not written by `save_low_rank`, or holds another architecture or dtype.
    """
    kept = _layout(folder)
    dense = {name: _dense_layer(model, name, folder) for name in kept["layers"]}
    like = next(iter(dense.values())).weight
    if str(like.dtype) != kept["dtype"]:
        raise ValueError(f"{folder} holds {kept['dtype']} and the model {like.dtype}; load it as {kept['dtype']} first")
    before = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    for name, layer in dense.items():
        model.set_submodule(name, _empty(layer, kept["layers"][name]))
    try:
        load_model(model, str(folder / WEIGHTS))
    except (RuntimeError, SafetensorError) as error:
        for name, layer in dense.items():
            model.set_submodule(name, layer)
        model.load_state_dict(before)
        reason = str(error).split("\n")[0]
        raise ValueError(f"{folder} holds another architecture than {type(model).__name__} ({reason})") from error


def _layout(folder: Path) -> dict[str, Any]:
    """Ranks and dtype that a folder states."""
    if not (folder / LAYOUT).is_file() or not (folder / WEIGHTS).is_file():
        raise ValueError(f"{folder} has no {LAYOUT} and {WEIGHTS}; give a folder that save_low_rank wrote")
    try:
        kept = json.loads((folder / LAYOUT).read_text(encoding="utf-8"))
        layers = {name: {key: kind(of[key]) for key, kind in _KINDS.items()} for name, of in kept["layers"].items()}
        if not layers or min(of["rank"] for of in layers.values()) < 1:
            raise ValueError("no layer of rank 1 or more")
        return {"dtype": str(kept["dtype"]), "layers": layers}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{folder / LAYOUT} is not as save_low_rank writes it ({type(error).__name__}: {error}); save it again"
        ) from error


_KINDS: dict[str, Any] = {"rank": int, "bias": bool, "residual": bool}


def _dense_layer(model: nn.Module, name: str, folder: Path) -> nn.Linear:
    layer = dict(model.named_modules()).get(name)
    if not isinstance(layer, nn.Linear):
        raise ValueError(f"{folder} has factors of {name}, which is no linear layer of this {type(model).__name__}")
    return layer


def _empty(layer: nn.Linear, of: dict[str, Any]) -> LowRankLinear:
    d_out, d_in = layer.weight.shape
    left, right = layer.weight.new_empty(d_out, of["rank"]), layer.weight.new_empty(of["rank"], d_in)
    bias = layer.weight.new_empty(d_out) if of["bias"] else None
    residual = torch.empty_like(layer.weight) if of["residual"] else None
    return LowRankLinear(left, right, bias, residual=residual)
