"""Continuations that a model samples."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

BATCH = 256
"""Prompts that are continued at once."""


@torch.no_grad()
def continued(model: PreTrainedModel, prompts: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Prompts with the tokens that a model samples after them, at temperature 1 and from the whole vocabulary.

    Args:
        model: a decoder.
        prompts: `[prompts, tokens]`, on the CPU; all have one length.
        count: tokens to sample.
        generator: draws, on the CPU.

    Returns:
        `[prompts, tokens + count]`, on the CPU.
    """
    return torch.cat([_continued(model, part, count, generator) for part in prompts.split(BATCH)])


def _continued(model: PreTrainedModel, prompts: Tensor, count: int, generator: torch.Generator) -> Tensor:
    inner: Any = model.base_model
    head: Any = model.get_output_embeddings()
    cache, device, made = DynamicCache(), next(model.parameters()).device, [prompts]
    # transformers called the argument past_key_values up to 5.23.
    name = "cache" if "cache" in inspect.signature(inner.forward).parameters else "past_key_values"
    for _ in range(count):
        states = inner(input_ids=made[-1].to(device), use_cache=True, **{name: cache}).last_hidden_state[:, -1]
        made.append(torch.multinomial(head(states).float().softmax(-1).cpu(), 1, generator=generator))
    return torch.cat(made, dim=1)
