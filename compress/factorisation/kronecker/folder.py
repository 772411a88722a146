"""Folders with the factors of a model: all its tensors as safetensors, and the factors' shapes beside them."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_model, save_model
from torch import Tensor, nn

from compress.factorisation.kronecker.embedding import KroneckerEmbedding
from compress.factorisation.kronecker.linear import KroneckerLinear
from compress.files import written_aside

LAYOUT, WEIGHTS = "factors.json", "model.safetensors"
FACTORISED = (KroneckerLinear, KroneckerEmbedding)


def _shapes(module: nn.Module) -> dict:
    """Shapes of a factorised layer's tensors, enough to make an empty one."""
    named = dict(module.named_parameters(recurse=False)) | dict(module.named_buffers(recurse=False))
    return {"layer": type(module).__name__} | {name: list(tensor.shape) for name, tensor in named.items()}


def save_factorised(model: nn.Module, folder: Path) -> None:
    """Writes a model with factorised layers to a folder."""
    layout = {name: _shapes(module) for name, module in model.named_modules() if isinstance(module, FACTORISED)}
    with written_aside(folder / LAYOUT) as shapes, written_aside(folder / WEIGHTS) as weights:
        save_model(model, str(weights))
        shapes.write_text(json.dumps(layout, indent=1))


def load_factorised(model: nn.Module, folder: Path) -> None:
    """Gives a dense model of the same architecture the factorised layers and all the tensors of a folder.

    Raises:
        ValueError: the folder was not written by `save_factorised`, or holds another architecture.
    """
    if not (folder / LAYOUT).is_file() or not (folder / WEIGHTS).is_file():
        raise ValueError(f"{folder} has no {LAYOUT} and {WEIGHTS}; give a folder that save_factorised wrote")
    layout = json.loads((folder / LAYOUT).read_text())
    names = {name for name, _ in model.named_modules()}
    if missing := sorted(set(layout) - names):
        raise ValueError(f"{folder} factorises {missing[0]}, which {type(model).__name__} does not have")
    like = next(model.parameters())
    for name, shapes in layout.items():
        model.set_submodule(name, _empty(shapes, like))
    try:
        load_model(model, str(folder / WEIGHTS))
    except RuntimeError as error:
        reason = str(error).split("\n")[0]
        raise ValueError(f"{folder} holds another architecture than {type(model).__name__} ({reason})") from error


def _empty(shapes: dict, like: Tensor) -> nn.Module:
    first, second = (like.new_empty(shapes[name]) for name in ("first", "second"))
    if shapes["layer"] == KroneckerEmbedding.__name__:
        return KroneckerEmbedding(first, second)
    bias, scalars = (like.new_empty(shapes[name]) if name in shapes else None for name in ("bias", "scalars"))
    orders = [
        torch.arange(*shapes[name], device=like.device) if name in shapes else None for name in ("rows", "columns")
    ]
    return KroneckerLinear(first, second, bias, scalars=scalars, rows=orders[0], columns=orders[1])
