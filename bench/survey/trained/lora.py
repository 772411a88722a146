"""Low-rank adapters (LoRA, Hu et al. 2021) of a model's linear layers, by peft."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel

from models.packages import needed

ALPHA = 16
"""Scale of all ranks, divided by the rank (§4.1); rates are tuned, which does as much."""
EVERY_LAYER = ["c_attn", "c_proj", "c_fc"]
"""Names of a GPT-2 block's linear layers."""


def with_adapters(model: PreTrainedModel, rank: int, seed: int) -> PreTrainedModel:
    """A GPT-2 with adapters, which alone are trained and change nothing at first; done in place.

    Args:
        model: all linear layers of its blocks get one.
        rank: of every adapter.
        seed: of the first adapters; the global generator is left as it was.

    Raises:
        InputError: peft is not installed.
    """
    peft = needed("peft", "fine-tuning with LoRA")
    config = peft.LoraConfig(r=rank, lora_alpha=ALPHA, target_modules=EVERY_LAYER)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return peft.inject_adapter_in_model(config, model)


def merged(model: PreTrainedModel) -> PreTrainedModel:
    """The model with its adapters added to its weights, in place."""
    tuners = needed("peft.tuners.tuners_utils", "merging adapters", package="peft")
    for name, module in list(model.named_modules()):
        if isinstance(module, tuners.BaseTunerLayer):
            module.merge()  # pyright: ignore[reportCallIssue]
            model.set_submodule(name, module.get_base_layer())  # pyright: ignore[reportCallIssue]
    return model
