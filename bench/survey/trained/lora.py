"""Low-rank adapters (LoRA, Hu et al. 2021) of a model's linear layers, by peft."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel

from models.packages import needed

ALPHA = 16
"""Scale of all ranks, divided by the rank (§4.1); rates are tuned, which does as much."""
EVERY_LAYER = ("c_attn", "c_proj", "c_fc")
"""Names of a GPT-2 block's linear layers."""


def with_adapters(model: PreTrainedModel, rank: int, seed: int) -> torch.nn.Module:
    """Model of peft around a GPT-2, with adapters that alone are trained; they change nothing at first.

    Args:
        model: its linear layers are wrapped in place.
        rank: of every adapter.
        seed: of the first adapters; the global generator is left as it was.

    Raises:
        InputError: peft is not installed.
    """
    peft = needed("peft", "fine-tuning with LoRA")
    config = peft.LoraConfig(r=rank, lora_alpha=ALPHA, target_modules=list(EVERY_LAYER), task_type="CAUSAL_LM")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return peft.get_peft_model(model, config)


def merged(model: torch.nn.Module) -> PreTrainedModel:
    """The model with its adapters added to its weights."""
    return model.merge_and_unload()  # pyright: ignore
