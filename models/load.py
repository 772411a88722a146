"""One way to load any decoder: a hub id, a folder, a GGUF file, or the embedded SmolLM2."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.pytorch_utils import Conv1D

from models.attention import use_fused_attention
from models.checks import check_finite
from models.device import check_device
from models.errors import InputError
from models.first_token import first_token, read_first
from models.opening import opened
from models.sources import EMBEDDED, folder_of, identity


@dataclass(frozen=True)
class Decoder:
    """A causal language model in evaluation mode, with the parts that compression and measurement need."""

    name: str
    sha256: str
    """Hash of the source: the GGUF file, or a folder's configuration and weight files."""
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    blocks: tuple[nn.Module, ...]
    """The decoder blocks, in order."""
    head: nn.Linear
    """Output matrix, from final hidden states to logits; often the embedding matrix itself, and never compressed."""
    longest_context: int
    """Tokens of text, without one that goes before it."""

    @property
    def device(self) -> torch.device:
        """Device on which the model computes."""
        return self.head.weight.device

    def hidden(self, tokens: Tensor) -> Tensor:
        """The final hidden states, `[batch, tokens]` -> `[batch, tokens, width]`; `head` of them are the logits."""
        inner = self.model.base_model
        return inner(input_ids=tokens.to(self.device), use_cache=False).last_hidden_state


def load(name: str = EMBEDDED, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Decoder:
    """The model called `name`: the embedded one, a folder or `.gguf` file on disk, or a hub id.

    GPT-2's `Conv1D` layers become `nn.Linear` with the same outputs. Where the tokenizer writes a token before every
    text, the model reads it before every window. Only safetensors and GGUF weights are read, and no code that comes
    with a model is run.

    Raises:
        InputError: no such model, no safe weights in it, an architecture that is not a decoder, or no such device.
    """
    check_device(device)
    model, tokenizer = opened(name, folder_of(name), dtype, device)
    check_finite(name, model)
    use_linear_layers(model)
    model.eval().requires_grad_(False).to(torch.device(device))  # type: ignore[arg-type]
    if model.device.type == "cuda":
        use_fused_attention(model)
    head = model.get_output_embeddings()
    if not isinstance(head, nn.Linear):
        raise InputError(f"{name} has no linear output matrix; give a decoder-only language model")
    if (first := first_token(tokenizer)) is not None:
        read_first(model, first)
    decoder = Decoder(
        name=name,
        sha256=identity(name),
        model=model,
        tokenizer=tokenizer,
        blocks=find_blocks(model),
        head=head,
        longest_context=_longest_context(model.config, name) - (first is not None),
    )
    _check_head(decoder)
    return decoder


def use_linear_layers(model: nn.Module) -> None:
    """Put an `nn.Linear` with the same weights in the place of every `Conv1D` (GPT-2 stores them transposed)."""
    for name, layer in list(model.named_modules()):
        if isinstance(layer, Conv1D):
            d_in, d_out = layer.weight.shape
            linear = nn.Linear(d_in, d_out, device="meta")
            linear.weight = nn.Parameter(layer.weight.detach().T.contiguous())
            linear.bias = nn.Parameter(layer.bias.detach())
            model.set_submodule(name, linear)


def find_blocks(model: PreTrainedModel) -> tuple[nn.Module, ...]:
    """The decoder blocks in order: the first module list with as many members as the model has layers."""
    depth = model.config.num_hidden_layers
    for module in model.base_model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == depth:
            return tuple(module)
    raise InputError(f"{type(model).__name__} has no list of {depth} decoder blocks; give a decoder-only model")


def mlp_width(config: PreTrainedConfig) -> int:
    """The inner width of the MLPs.

    Raises:
        InputError: the configuration does not say it.
    """
    for name in ("intermediate_size", "ffn_dim", "n_inner"):
        if isinstance(width := getattr(config, name, None), int):
            return width
    if config.model_type == "gpt2":  # n_inner None stands for this
        return 4 * config.n_embd
    raise InputError(f"the configuration of this {config.model_type} model does not say how wide its MLPs are")


def _longest_context(config: PreTrainedConfig, name: str) -> int:
    longest = getattr(config, "max_position_embeddings", None)
    if not isinstance(longest, int):
        raise InputError(f"the configuration of {name} does not say max_position_embeddings; add it to config.json")
    return longest


@torch.inference_mode()
def _check_head(decoder: Decoder) -> None:
    """Refuse architectures that cap or scale logits after the head: hidden states do not give those."""
    tokens = torch.arange(8, device=decoder.device)[None] % decoder.head.weight.shape[0]
    expected = decoder.model(input_ids=tokens, use_cache=False).logits
    logits = decoder.head(decoder.hidden(tokens))
    if not torch.allclose(logits.float(), expected.float(), rtol=1e-3, atol=1e-3):
        raise InputError(
            f"{decoder.name} changes its logits after the output matrix (a cap or a scale), which is not supported"
        )
