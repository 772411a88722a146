"""GPT-2 at any size: building it, counting it, and writing it back as the folder that everyone can open."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel
from transformers.pytorch_utils import Conv1D

from models.errors import InputError
from models.folders import write_folder
from models.load import find_blocks, use_linear_layers


@dataclass(frozen=True)
class GPT2Shape:
    """The sizes that decide a GPT-2's parameter count."""

    layers: int
    width: int
    heads: int
    vocabulary: int
    positions: int

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"{self.heads} heads do not divide a width of {self.width}")

    @property
    def mlp_weights(self) -> int:
        """Elements of one of a block's two MLP matrices, width by four times the width."""
        return 4 * self.width**2

    @property
    def embedding(self) -> int:
        """Elements of the token embedding, and of an output matrix that is not tied to it."""
        return self.vocabulary * self.width

    def parameters(self, *, tied: bool = True, mlp_matrix: int | None = None) -> int:
        """Parameters of the whole model.

        Args:
            tied: whether the output matrix is the token embedding (then it is counted once).
            mlp_matrix: what stands for each of a block's two MLP matrices; by default the matrices themselves.
        """
        w = self.width
        mlp = self.mlp_weights if mlp_matrix is None else mlp_matrix
        attention = (w * 3 * w + 3 * w) + (w * w + w)
        block = 2 * mlp + (4 * w + w) + attention + 4 * w  # matrices, MLP biases, attention, two norms
        total = self.embedding + self.positions * w + self.layers * block + 2 * w
        return total if tied else total + self.embedding


GPT2_SMALL = GPT2Shape(layers=12, width=768, heads=12, vocabulary=50_257, positions=1024)


def build(shape: GPT2Shape, *, seed: int, initial_scale: float = 0.02, dropout: float = 0.0) -> GPT2LMHeadModel:
    """A GPT-2 with random weights and linear layers in the place of Conv1D.

    Args:
        shape: its sizes.
        seed: of the weights; the global generator is left as it was.
        initial_scale: standard deviation of the weights. GPT-2's 0.02 suits widths near 768.
        dropout: of embeddings and of what blocks add. Attention has none: with it, CPUs take a slow path.
    """
    config = GPT2Config(
        vocab_size=shape.vocabulary,
        n_positions=shape.positions,
        n_embd=shape.width,
        n_layer=shape.layers,
        n_head=shape.heads,
        resid_pdrop=dropout,
        embd_pdrop=dropout,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
        initializer_range=initial_scale,
        use_cache=False,
        activation_function="gelu_pytorch_tanh",  # what GPT-2 calls gelu_new, in one kernel
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # transformers draws initial weights from the global generator
        model = GPT2LMHeadModel(config)
    use_linear_layers(model)
    return model


def unique_parameters(model: nn.Module) -> int:
    """Parameters of a model, one that is tied to another counted once."""
    return sum(parameter.numel() for parameter in model.parameters())


def keep_layers(model: PreTrainedModel, kept: list[int]) -> PreTrainedModel:
    """A copy of a decoder with only some of its blocks, in order: the student that DistilGPT2 starts from.

    Raises:
        ValueError: a number that is no block of the model, or none at all.
    """
    depth = len(find_blocks(model))
    if not kept or not all(0 <= index < depth for index in kept):
        raise ValueError(f"blocks {kept} are not all among the {depth} of the model (0 to {depth - 1})")
    student = copy.deepcopy(model)
    blocks = find_blocks(student)
    name = next(n for n, m in student.named_modules() if isinstance(m, nn.ModuleList) and tuple(m) == blocks)
    chosen = [blocks[index] for index in kept]
    for index, block in enumerate(chosen):
        for module in block.modules():
            if hasattr(module, "layer_idx"):
                module.layer_idx = index  # type: ignore[assignment]
    student.set_submodule(name, nn.ModuleList(chosen))
    student.config.num_hidden_layers = len(chosen)
    types = getattr(student.config, "layer_types", None)
    if types is not None:
        student.config.layer_types = [types[index] for index in kept]
    return student


def every_other_layer(model: PreTrainedModel) -> PreTrainedModel:
    """`keep_layers` of a half: the even ones, as DistilBERT and DistilGPT2 take them (Sanh et al. 2019, §3).

    DistilGPT2 itself kept 0, 2, 4, 7, 9 and 11 of twelve.
    """
    depth = len(find_blocks(model))
    kept = [0, 2, 4, 7, 9, 11] if depth == 12 else list(range(0, depth, 2))
    return keep_layers(model, kept)


def save_as_gpt2(model: PreTrainedModel, folder: Path) -> None:
    """Write a dense GPT-2 as a folder that `from_pretrained` opens: Conv1D layers, safetensors, written aside.

    Raises:
        InputError: a layer is not dense any more, or the model is no GPT-2.
    """
    if model.config.model_type != "gpt2":
        raise InputError(f"a {model.config.model_type} model is no GPT-2; use its own save_pretrained")
    dense = copy.deepcopy(model)
    for name, layer in list(dense.named_modules()):
        if name.split(".")[-1] in ("c_fc", "c_proj", "c_attn") and not isinstance(layer, Conv1D):
            if not isinstance(layer, nn.Linear):
                raise InputError(f"{name} is a {type(layer).__name__}; make it a dense layer before saving")
            conv = Conv1D(layer.out_features, layer.in_features)
            conv.weight = nn.Parameter(layer.weight.detach().T.contiguous())
            conv.bias = nn.Parameter(layer.bias.detach().clone())
            dense.set_submodule(name, conv)
    write_folder(folder, dense.save_pretrained)
