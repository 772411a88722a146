"""Structured pruning: whole MLP channels and attention heads go, with all that is coupled to them.

LLM-Pruner's coupled groups (Ma et al. 2023, §3.1) with Wanda's measure of importance, which needs no gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from compress.layers import CompressedModule, SimulatedLinear
from compress.method import Method
from compress.selection import check_fraction, removed_count, smallest
from compress.size import Storage, element_bits
from compress.statistics import SquaredInputs, Statistic


@dataclass(frozen=True)
class Kept:
    """Masks of the outputs and inputs of a layer that stay; None for all."""

    outputs: Tensor | None = None
    inputs: Tensor | None = None


def channel_importance(weight: Tensor, squared_inputs: Tensor) -> Tensor:
    """Contribution of each input to the outputs' energy, `‖W_:j‖² E[x_j²]`: `[d_out, d_in]`, `[d_in]` -> `[d_in]`."""
    return weight.float().square().sum(0) * squared_inputs


def mlp_layers(layers: Mapping[str, nn.Linear]) -> tuple[str, list[str]]:
    """Names of the projection out of a block's MLP, and those into it (one, or two where it is gated).

    Raises:
        ValueError: no layer has others that lead from its outputs' width to its inputs'.
    """
    for down, last in sorted(layers.items(), key=lambda item: -item[1].in_features):
        ups = [
            name
            for name, layer in layers.items()
            if (layer.in_features, layer.out_features) == (last.out_features, last.in_features) and name != down
        ]
        if ups and last.in_features != last.out_features:
            return down, ups
    raise ValueError(f"no MLP among {', '.join(layers)}: no layer that others feed through a wider space")


PROJECTIONS = (
    (("q_proj", "k_proj", "v_proj"), ("o_proj", "out_proj")),
    (("attn.c_attn",), ("attn.c_proj",)),
)
"""Names of attention's layers: query, key and value, or the one that is all three; and the one out."""


def attention_layers(layers: Mapping[str, nn.Linear]) -> tuple[list[str], str]:
    """Names of the projections into a block's attention (query, key, value, or one for all), and out of it.

    Raises:
        ValueError: none that are known by name.
    """
    for kinds, outs in PROJECTIONS:
        into = [name for kind in kinds for name in layers if name.endswith(kind)]
        out = [name for kind in outs for name in layers if name.endswith(kind)]
        if len(into) == len(kinds) and len(out) == 1:
            return into, out[0]
    known = "; ".join(f"{', '.join(into)} and {' or '.join(out)}" for into, out in PROJECTIONS)
    raise ValueError(f"heads can be dropped where a block has {known}; this has {', '.join(layers)}")


@dataclass(frozen=True)
class StructuredPruning(Method):
    """Removal of the least important MLP channels, and of whole groups of heads where `head_width` is given.

    Heads that share keys and values go together. Attention that keeps their number (OPT) or width (GPT-2) besides its
    projections is told of it. Layers that belong to no group stay as they are.
    """

    fraction: float
    head_width: int | None = None
    statistic: ClassVar[type[Statistic] | None] = SquaredInputs

    def __post_init__(self) -> None:
        check_fraction("the fraction of channels", self.fraction)

    def __str__(self) -> str:
        return f"structured-{self.fraction:g}{'' if self.head_width is None else '-heads'}"

    def compress_block(
        self, layers: Mapping[str, nn.Linear], statistics: Mapping[str, Statistic], *, prefix: str = ""
    ) -> dict[str, CompressedModule]:
        """Layers of a block, those of its MLP and attention with fewer outputs or inputs."""

        def importance(name: str) -> Tensor:
            squared = self.measured(SquaredInputs, statistics.get(name), prefix + name)
            return channel_importance(layers[name].weight.detach(), squared.mean)

        down, ups = mlp_layers(layers)
        channels = self._stay(importance(down), 1)
        kept = {down: Kept(inputs=channels), **{up: Kept(outputs=channels) for up in ups}}
        if self.head_width is not None:
            kept |= self._heads(layers, importance, self.head_width)
        return {name: _smaller(layer, kept.get(name, Kept())) for name, layer in layers.items()}

    def _stay(self, importance: Tensor, size: int) -> Tensor:
        """Mask of the inputs that stay when runs of `size` neighbours go together, as many as the fraction asks."""
        runs = importance.view(-1, size).sum(1)
        gone = smallest(runs[None], min(removed_count(self.fraction, len(runs)), len(runs) - 1))[0]
        return (~gone).repeat_interleave(size)

    def _heads(
        self, layers: Mapping[str, nn.Linear], importance: Callable[[str], Tensor], width: int
    ) -> dict[str, Kept]:
        into, out = attention_layers(layers)
        if len(into) == 1:
            stay = self._stay(importance(out), width)
            return {into[0]: Kept(outputs=stay.repeat(3)), out: Kept(inputs=stay)}
        query, key, value = into
        shared = layers[key].out_features // width
        size = layers[query].out_features // shared
        queries = self._stay(importance(out), size)
        keys = queries.view(shared, size)[:, 0].repeat_interleave(width)
        return {
            query: Kept(outputs=queries),
            out: Kept(inputs=queries),
            key: Kept(outputs=keys),
            value: Kept(outputs=keys),
        }

    def settings(self, block: nn.Module, layers: Mapping[str, nn.Module]) -> list[tuple[nn.Module, str, int]]:
        """Number of heads that attention has now, and the width at which GPT-2 cuts query, key and value apart."""
        if self.head_width is None:
            return []
        linear = {name: layer for name, layer in layers.items() if isinstance(layer, nn.Linear)}
        into, _ = attention_layers(linear)
        outputs = linear[into[0]].out_features // (3 if len(into) == 1 else 1)
        known = {"num_heads": outputs // self.head_width, "split_size": outputs}
        attention = block.get_submodule(into[0].rpartition(".")[0])
        return [(attention, name, value) for name, value in known.items() if hasattr(attention, name)]


def _smaller(layer: nn.Linear, stay: Kept) -> SimulatedLinear:
    """Layer with the outputs and inputs that stay."""
    weight, bias = layer.weight.detach(), layer.bias
    if stay.outputs is not None:
        weight, bias = weight[stay.outputs], None if bias is None else bias.detach()[stay.outputs]
    if stay.inputs is not None:
        weight = weight[:, stay.inputs]
    bits = weight.numel() * element_bits(weight)
    return SimulatedLinear(weight.contiguous(), bias, storage=Storage(layer.weight.numel(), bits, held_bits=bits))
