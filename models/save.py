"""Checkpoints of compressed models that transformers opens: whole, or packed as compressed-tensors.

Nothing is known here of how a model was compressed: its grids and the layers that change their inputs are given.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase
from transformers.pytorch_utils import Conv1D

from models.errors import InputError
from models.folders import write_folder


class Grid(Protocol):
    """Integer grid of a layer: a weight is its code less the zero point of its group, times the group's scale."""

    @property
    def bits(self) -> int:
        """Bits of a code."""
        ...

    @property
    def size(self) -> int:
        """Inputs of a group."""
        ...

    @property
    def symmetric(self) -> bool:
        """True for a grid without zero points."""
        ...

    @property
    def scales(self) -> Tensor:
        """Scale of each group, `[d_out, groups]`."""
        ...

    @property
    def zero_points(self) -> Tensor:
        """Zero point of each group, `[d_out, groups]`, between 0 and 2^bits - 1."""
        ...


def save_dense(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path, *, changing_inputs: Collection[str]
) -> None:
    """Saves every weight at full width, as the model computes with it now; loading gives the same logits.

    A folder that is there is replaced when the new one is complete, and untouched if that fails.

    Args:
        model: what is saved.
        tokenizer: saved beside it.
        folder: where.
        changing_inputs: names of the layers that scale or round their inputs, which no checkpoint of weights keeps.

    Raises:
        InputError: a layer changes its inputs, or its sizes are not the configuration's.
    """
    _check_inputs(changing_inputs)
    state = _as_configured(model)

    def write(beside: Path) -> None:
        model.save_pretrained(beside, state_dict=state)
        tokenizer.save_pretrained(beside)

    write_folder(folder, write)


def _check_inputs(changing_inputs: Collection[str]) -> None:
    if changing_inputs:
        raise InputError(f"{min(changing_inputs)} changes its inputs, which a checkpoint of weights alone would lose")


def _as_configured(model: PreTrainedModel) -> dict[str, Tensor]:
    """Weights as the configuration's own architecture holds them: GPT-2's transposed."""
    plain = _configured(model)
    transposed = {f"{name}.weight" for name in _transposed(plain)}
    state = {name: value.T.contiguous() if name in transposed else value for name, value in model.state_dict().items()}
    for name, value in plain.state_dict().items():
        if name not in state or state[name].shape != value.shape:
            shape = tuple(state[name].shape) if name in state else "missing"
            raise InputError(
                f"{name} is {shape} and the configuration says {tuple(value.shape)}; it cannot be reloaded"
            )
    return state


def _configured(model: PreTrainedModel) -> nn.Module:
    """Architecture of the model's configuration, without weights."""
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(model.config)


def _transposed(plain: nn.Module) -> set[str]:
    return {name for name, layer in plain.named_modules() if isinstance(layer, Conv1D)}


def save_packed(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    *,
    grids: Mapping[str, Grid],
    changing_inputs: Collection[str],
) -> None:
    """Saves codes of four or eight bits in the compressed-tensors format, which transformers and vLLM open.

    Where the grid is asymmetric, transformers needs `CompressedTensorsConfig(dequantize=True)`; `models.load` has it.
    Loading rounds nothing anew: weights come back as code less zero point, times scale, in the scale's dtype.

    Args:
        model: what is saved; it is left alone.
        tokenizer: saved beside it.
        folder: where; replaced when the new one is complete, and untouched if that fails.
        grids: by layer name, all of the same bits and groups; the weights of those layers lie on them already.
        changing_inputs: see `save_dense`.

    Raises:
        InputError: no layer on a grid, different grids, bits or groups that the format does not have, layers that
            the architecture keeps transposed, or a layer that changes its inputs.
    """
    from compressed_tensors.compressors import ModelCompressor  # noqa: PLC0415 - only packing needs it

    _check_inputs(changing_inputs)
    kind = _one_grid(model, grids)
    if misplaced := sorted(grids.keys() & _transposed(_configured(model))):
        raise InputError(
            f"{model.config.model_type} keeps {misplaced[0]} transposed, and the packed format has no place for that; "
            "use save_dense"
        )
    packed, config = _on_grids(model, grids, kind)
    compressor = ModelCompressor(quantization_config=config, force_compression_format="pack-quantized")
    compressor.compress_model(packed)

    def write(beside: Path) -> None:
        packed.save_pretrained(beside)
        compressor.update_config(str(beside))
        tokenizer.save_pretrained(beside)

    write_folder(folder, write)


Kind = tuple[int, int, bool]
"""Bits, size and symmetry of a grid."""


def _one_grid(model: PreTrainedModel, grids: Mapping[str, Grid]) -> Kind:
    """Kind of all grids, where the format has it."""
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


def _on_grids(model: PreTrainedModel, grids: Mapping[str, Grid], kind: Kind) -> tuple[PreTrainedModel, Any]:
    """Copy of a model whose layers have the format's scales and zero points, and the format's configuration."""
    from compressed_tensors.quantization import QuantizationStatus, apply_quantization_config  # noqa: PLC0415

    bits, _, symmetric = kind
    packed = copy.deepcopy(model)
    for name in grids:
        packed.set_submodule(name, _plain(packed.get_submodule(name)))
    others = [name for name, layer in packed.named_modules() if isinstance(layer, nn.Linear) and name not in grids]
    config = _configuration(kind, others)
    apply_quantization_config(packed, config)
    for name, grid in grids.items():
        layer: Any = packed.get_submodule(name)
        layer.quantization_status = QuantizationStatus.FROZEN
        layer.weight_scale.data = grid.scales.to(layer.weight.dtype)
        if not symmetric:  # the format's codes are signed
            layer.weight_zero_point.data = (grid.zero_points - 2 ** (bits - 1)).to(layer.weight_zero_point.dtype)
    return packed, config


def _configuration(kind: Kind, ignored: list[str]) -> Any:
    from compressed_tensors.quantization import (  # noqa: PLC0415
        QuantizationArgs,
        QuantizationConfig,
        QuantizationScheme,
        QuantizationStatus,
    )

    bits, size, symmetric = kind
    arguments: dict[str, Any] = {"num_bits": bits, "symmetric": symmetric, "strategy": "group", "group_size": size}
    return QuantizationConfig(
        config_groups={"group_0": QuantizationScheme(targets=["Linear"], weights=QuantizationArgs(**arguments))},
        ignore=ignored,
        format="pack-quantized",
        quantization_status=QuantizationStatus.COMPRESSED,
    )


def _plain(layer: Any) -> nn.Linear:
    linear = nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None, device="meta")
    linear.weight = nn.Parameter(layer.weight.detach().clone(), requires_grad=False)
    if layer.bias is not None:
        linear.bias = nn.Parameter(layer.bias.detach().clone(), requires_grad=False)
    return linear
