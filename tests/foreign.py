"""Checkpoints of a small Llama as other programs lay them out, and the weights that each stands for."""

import json

import torch
from safetensors.torch import load_file, save_file

from tests.tiny_models import tiny_llama

GROUP = 32
AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
"""Outputs whose codes lie in the nibbles of an AWQ word, lowest first."""


def small_llama():
    """A Llama wide enough for every format, whose blocks are of 32 or 64 weights."""
    return tiny_llama(inner=128, width=64, layers=2)


def on_grid(weight):
    """Codes of four bits, scales and zero points of a weight `[d_out, d_in]` in groups of 32 inputs."""
    groups = weight.unflatten(1, (-1, GROUP))
    low, high = groups.amin(-1).clamp(max=0), groups.amax(-1).clamp(min=0)
    scales = ((high - low) / 15).half()
    zeros = (-low / scales.float()).round().clamp(1, 15)
    codes = (groups / scales.float()[..., None] + zeros[..., None]).round().clamp(0, 15)
    return codes.flatten(1).int(), scales, zeros.int()


def off_grid(codes, scales, zeros):
    """Weight that codes stand for, in float32."""
    groups = codes.unflatten(1, (-1, GROUP)) - zeros[..., None]
    return (groups * scales.float()[..., None]).flatten(1)


def words(nibbles):
    """Codes of four bits as words of eight, `[..., 8 n]` -> `[..., n]`, the first in the lowest bits."""
    shifted = nibbles.unflatten(-1, (-1, 8)).long() << (4 * torch.arange(8))
    return shifted.sum(-1).to(torch.uint32).view(torch.int32)


def gptq(codes, scales, zeros):
    """Tensors of a layer as GPTQ has them: words along the inputs, zero points less one."""
    inputs = torch.arange(codes.shape[1], dtype=torch.int32)
    packed, offsets = words(codes).T.contiguous(), words(zeros.T - 1)
    return {"qweight": packed, "qzeros": offsets, "scales": scales.T.contiguous(), "g_idx": inputs // GROUP}


def awq(codes, scales, zeros):
    """Tensors of a layer as AWQ has them: words along the outputs, in their own order."""
    order = torch.tensor(AWQ_ORDER)
    packed, offsets = (words(each.T.unflatten(-1, (-1, 8))[..., order].flatten(-2)) for each in (codes, zeros))
    return {"qweight": packed, "qzeros": offsets, "scales": scales.T.contiguous()}


def write(folder, layout, settings):
    """Packs the layers of the blocks in a folder by `gptq` or `awq`; gives the weights that must come out."""
    file = folder / "model.safetensors"
    packed, back = {}, load_file(file)
    for name, value in load_file(file).items():
        if "proj" not in name:
            packed[name] = value
            continue
        grid = on_grid(value)
        back[name] = off_grid(*grid)
        packed |= {f"{name.removesuffix('weight')}{key}": part for key, part in layout(*grid).items()}
    save_file(packed, file, metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": settings}))
    return back
