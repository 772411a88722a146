"""Write a model with compressed layers as a folder that transformers opens: whole, or packed as compressed-tensors."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase
from transformers.pytorch_utils import Conv1D

from models.errors import InputError
from models.folders import write_folder


def save_dense(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Every weight at full width, as the model computes with it now; loading gives the same logits.

    A folder that is there is replaced when the new one is complete, and untouched if that fails.

    Raises:
        InputError: a layer rounds its inputs, or its sizes are not the configuration's, which no such folder keeps.
    """
    for name, layer in model.named_modules():
        if getattr(layer, "quantize_inputs", None) is not None or getattr(layer, "input_scale", None) is not None:
            raise InputError(f"{name} changes its inputs, which a checkpoint of weights alone would lose")
    state = _as_configured(model)

    def write(beside: Path) -> None:
        model.save_pretrained(beside, state_dict=state)
        tokenizer.save_pretrained(beside)

    write_folder(folder, write)


def _as_configured(model: PreTrainedModel) -> dict[str, Tensor]:
    """The weights as the configuration's own architecture holds them: GPT-2's transposed."""
    plain = _configured(model)
    transposed = {f"{name}.weight" for name in _transposed(plain)}
    state = {name: value.T.contiguous() if name in transposed else value for name, value in model.state_dict().items()}
    for name, value in plain.state_dict().items():
        if name not in state or state[name].shape != value.shape:
            found = tuple(state[name].shape) if name in state else "missing"
            raise InputError(
                f"{name} is {found} and the configuration says {tuple(value.shape)}; it cannot be reloaded"
            )
    return state


def _configured(model: PreTrainedModel) -> nn.Module:
    """The configuration's own architecture, without weights."""
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(model.config)


def _transposed(plain: nn.Module) -> set[str]:
    return {name for name, layer in plain.named_modules() if isinstance(layer, Conv1D)}


def save_packed(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Codes of four or eight bits in the compressed-tensors format, which transformers and vLLM open.

    Where the grid is asymmetric, transformers needs `CompressedTensorsConfig(dequantize=True)`; `models.load` has it.

    All layers that lie on a grid must lie on one of the same bits and groups. Loading rounds nothing anew: weights come
    back as code less zero point, times scale, in the scale's dtype.

    Raises:
        InputError: no layer on a grid, different grids, bits or groups that the format does not have, or layers that
            the architecture keeps transposed.
    """
    from compressed_tensors.compressors import ModelCompressor  # noqa: PLC0415 - only packing needs it
    from compressed_tensors.quantization import (  # noqa: PLC0415
        QuantizationArgs,
        QuantizationConfig,
        QuantizationScheme,
        QuantizationStatus,
        apply_quantization_config,
    )

    grids = {name: grid for name, layer in model.named_modules() if (grid := getattr(layer, "grid", None)) is not None}
    bits, size, symmetric = _one_grid(model, grids)
    if misplaced := sorted(grids.keys() & _transposed(_configured(model))):
        raise InputError(
            f"{model.config.model_type} keeps {misplaced[0]} transposed, and the packed format has no place for that; "
            "use save_dense"
        )
    packed = copy.deepcopy(model)
    for name in grids:
        packed.set_submodule(name, _plain(packed.get_submodule(name)))
    arguments: dict[str, Any] = {"num_bits": bits, "symmetric": symmetric, "strategy": "group", "group_size": size}
    others = [name for name, layer in packed.named_modules() if isinstance(layer, nn.Linear) and name not in grids]
    scheme = QuantizationScheme(targets=["Linear"], weights=QuantizationArgs(**arguments))
    config = QuantizationConfig(
        config_groups={"group_0": scheme},
        ignore=others,
        format="pack-quantized",
        quantization_status=QuantizationStatus.COMPRESSED,
    )
    apply_quantization_config(packed, config)
    for name, grid in grids.items():
        layer: Any = packed.get_submodule(name)
        layer.quantization_status = QuantizationStatus.FROZEN
        layer.weight_scale.data = grid.scales.to(layer.weight.dtype)
        if not symmetric:  # the format's codes are signed
            layer.weight_zero_point.data = (grid.zero_points - 2 ** (bits - 1)).to(layer.weight_zero_point.dtype)
    compressor = ModelCompressor(quantization_config=config, force_compression_format="pack-quantized")
    compressor.compress_model(packed)

    def write(beside: Path) -> None:
        packed.save_pretrained(beside)
        compressor.update_config(str(beside))
        tokenizer.save_pretrained(beside)

    write_folder(folder, write)


def _one_grid(model: PreTrainedModel, grids: dict[str, Any]) -> tuple[int, int, bool]:
    kinds = {(grid.bits, grid.size, grid.symmetric) for grid in grids.values()}
    if len(kinds) != 1:
        raise InputError(f"{len(kinds)} different grids among {len(grids)} layers; a packed checkpoint has one")
    bits, size, symmetric = kinds.pop()
    if bits not in (4, 8):
        raise InputError(f"the packed format has 4 and 8 bits, not {bits}; save it dense")
    for name in grids:
        layer: Any = model.get_submodule(name)
        if layer.in_features % size:
            raise InputError(f"groups of {size} do not divide the {layer.in_features} inputs of {name}; save it dense")
    return bits, size, symmetric


def _plain(layer: Any) -> nn.Linear:
    linear = nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None, device="meta")
    linear.weight = nn.Parameter(layer.weight.detach().clone(), requires_grad=False)
    if layer.bias is not None:
        linear.bias = nn.Parameter(layer.bias.detach().clone(), requires_grad=False)
    return linear
