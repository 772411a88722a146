"""Attention on a GPU by kernels that never hold every score at once.

PyTorch picks the kernel of `scaled_dot_product_attention` by itself. For float32 with grouped queries none of the fused
ones serves, and it silently takes the one written as plain products: 9.7 GB for one score tensor at 8,192 tokens. Here
keys and values are repeated for their group, and a fall-back is an error.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

NAME = "fused_sdpa"
FUSED = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.CUDNN_ATTENTION]


def fused_attention(  # noqa: PLR0917 - the arguments that transformers gives
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
    **_rest: Any,
) -> tuple[Tensor, None]:
    """Attention `[batch, queries, heads, width]` by a fused kernel, as transformers asks for it.

    Args:
        module: the attention layer; its `num_key_value_groups` says how many heads share a key.
        query: `[batch, heads, queries, width]`.
        key: `[batch, key heads, keys, width]`.
        value: of the key's shape.
        attention_mask: what to add or leave out; None for a causal or a full one.
        dropout: of the weights.
        scaling: of the scores; by default 1 / sqrt(width).
        is_causal: by default what the layer says.

    Raises:
        RuntimeError: no fused kernel takes these tensors.
    """
    groups = key.shape[1] and query.shape[1] // key.shape[1]
    key, value = (x.repeat_interleave(groups, dim=1) if groups > 1 else x for x in (key, value))
    causal = bool(getattr(module, "is_causal", True)) if is_causal is None else is_causal
    with sdpa_kernel(FUSED):
        mixed = scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=attention_mask,
            dropout_p=dropout,
            scale=scaling,
            is_causal=causal and attention_mask is None and query.shape[2] > 1,
        )
    return mixed.transpose(1, 2).contiguous(), None


def use_fused_attention(model: PreTrainedModel) -> None:
    """Let a model attend by fused kernels alone, where it attends by PyTorch's function at all."""
    if getattr(model.config, "_attn_implementation", None) == "sdpa":
        model.set_attn_implementation(NAME)


AttentionInterface.register(NAME, fused_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
