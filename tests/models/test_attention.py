"""Attention by fused kernels: the same logits as transformers' own, and never the kernel that holds every score."""

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from models.attention import NAME, fused_attention, use_fused_attention
from tests.tiny_models import tiny_gpt2, tiny_llama, tiny_opt


@pytest.mark.parametrize("make", [tiny_gpt2, tiny_llama, tiny_opt])
@torch.inference_mode()
def test_logits_are_those_of_the_models_own_attention(make, tokens):
    model = make().eval()
    own = model(input_ids=tokens).logits
    use_fused_attention(model)
    assert model.config._attn_implementation == NAME
    # The CPU's one fused kernel either way, on the same numbers.
    torch.testing.assert_close(model(input_ids=tokens).logits, own, rtol=0, atol=0)


@torch.inference_mode()
def test_grouped_queries_attend_to_their_groups_keys():
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(2, heads, 5, 8, generator=generator) for heads in (6, 2, 2))
    mixed, _ = fused_attention(nn.Identity(), query, key, value, None)
    scores = query.double() @ key.double().repeat_interleave(3, 1).mT / 8**0.5
    weights = scores.masked_fill(torch.ones(5, 5).triu(1).bool(), -torch.inf).softmax(-1)
    slow = (weights @ value.double().repeat_interleave(3, 1)).transpose(1, 2)
    torch.testing.assert_close(mixed.double(), slow, rtol=1e-5, atol=1e-6)  # float32 against float64


def test_no_fused_kernel_is_an_error_and_no_fall_back():
    """Dropout has no fused kernel on the CPU; PyTorch left to itself takes the one of plain products."""
    query = torch.randn(1, 1, 4, 8)
    with sdpa_kernel(SDPBackend.MATH):
        torch.nn.functional.scaled_dot_product_attention(query, query, query, dropout_p=0.5)
    with pytest.raises(RuntimeError, match=r"(?i)no (viable|available) (backend|kernel)"), pytest.warns():
        fused_attention(nn.Identity(), query, query, query, None, dropout=0.5)


def test_a_model_that_attends_otherwise_is_left_alone():
    model = tiny_gpt2()
    model.set_attn_implementation("eager")
    use_fused_attention(model)
    assert model.config._attn_implementation == "eager"
