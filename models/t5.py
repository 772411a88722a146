"""T5 at any size, with what may stand in the place of its feed-forward networks, and exact counts of both.

The Berkeley report (Lee 2023, "Exploring the Limits of Small Language Models"), §3.1 and Table 3.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from transformers import T5Config, T5ForConditionalGeneration
from transformers.models.t5.modeling_t5 import T5LayerFF

VOCABULARY = 32_128
"""T5's, padded to a multiple of 128."""


@dataclass(frozen=True)
class FeedForward:
    """Network between attention layers: T5's own, a chain of matrices, or nothing.

    T5's own is two matrices with a ReLU between them. A chain is 0 to 3 matrices with nothing between, which is one
    matrix in another form: its widths inside are `expansion` times the model's.
    """

    matrices: int | None = None
    """Length of the chain; None for T5's own network, 0 for nothing at all."""
    expansion: float = 4.0
    """Factor of the widths inside a chain of two or three matrices."""
    relu: bool = False
    """A ReLU after a single matrix."""

    def __post_init__(self) -> None:
        if self.matrices not in (None, 0, 1, 2, 3):
            raise ValueError(f"a chain has 0 to 3 matrices, not {self.matrices}")
        if not self.expansion > 0:
            raise ValueError(f"the expansion is {self.expansion}; it must be above 0")
        if self.relu and self.matrices != 1:
            raise ValueError("only a chain of one matrix has a ReLU after it")

    def __str__(self) -> str:
        if self.matrices is None:
            return "ffn"
        if self.matrices == 0:
            return "no-ffn"
        inside = f"-{self.expansion:g}x" if self.matrices > 1 else ""
        return f"{self.matrices}-matrix{inside}{'-relu' * self.relu}"

    def shapes(self, width: int, inner: int) -> list[tuple[int, int]]:
        """`(d_out, d_in)` of each matrix, in the order in which inputs meet them."""
        if self.matrices is None:
            return [(inner, width), (width, inner)]
        between = [round(self.expansion * width)] * (self.matrices - 1)
        sides = [width, *between, width] if self.matrices else []
        return [(d_out, d_in) for d_in, d_out in pairwise(sides)]


OWN, NOTHING = FeedForward(), FeedForward(matrices=0)


@dataclass(frozen=True)
class T5Shape:
    """The sizes that decide a T5's parameters and operations."""

    encoder_layers: int
    decoder_layers: int
    inner: int
    """d_ff."""
    width: int
    """d_model."""
    head_width: int
    """d_kv."""
    heads: int
    vocabulary: int = VOCABULARY
    encoder_feed_forward: FeedForward = OWN
    decoder_feed_forward: FeedForward = OWN
    buckets: int = 32
    """Buckets of relative positions."""

    def with_feed_forward(self, encoder: FeedForward, decoder: FeedForward | None = None) -> T5Shape:
        """Shape with other feed-forward networks; the decoder has the encoder's unless its own is given."""
        return replace(self, encoder_feed_forward=encoder, decoder_feed_forward=decoder or encoder)

    @property
    def attention_width(self) -> int:
        """Width of all heads together."""
        return self.heads * self.head_width

    def _feed_forward(self, kind: FeedForward) -> int:
        shapes = kind.shapes(self.width, self.inner)
        norm = self.width if shapes else 0  # without a network its norm goes too
        return sum(d_out * d_in for d_out, d_in in shapes) + norm

    def parameters(self, *, embeddings: bool = True) -> int:
        """Parameters of the whole model; the output matrix is the token embedding and counted once.

        Args:
            embeddings: whether the token embedding is counted.
        """
        attention = 4 * self.width * self.attention_width + self.width  # q, k, v, o and a norm
        encoder = self.encoder_layers * (attention + self._feed_forward(self.encoder_feed_forward))
        decoder = self.decoder_layers * (2 * attention + self._feed_forward(self.decoder_feed_forward))
        rest = 2 * self.buckets * self.heads + 2 * self.width  # position biases and final norms
        return encoder + decoder + rest + (self.vocabulary * self.width if embeddings else 0)

    def operations(self, encoder_tokens: int, decoder_tokens: int) -> int:
        """Floating-point operations of one pass over one sequence: two for each multiply-add of its matrix products."""
        e, d, inside = encoder_tokens, decoder_tokens, self.attention_width
        projection = 2 * self.width * inside
        own = 4 * projection
        encoder = self.encoder_layers * (e * own + 4 * e * e * inside)
        cross = 2 * d * projection + 2 * e * projection + 4 * d * e * inside
        decoder = self.decoder_layers * (d * own + 4 * d * d * inside + cross)
        for layers, tokens, kind in (
            (self.encoder_layers, e, self.encoder_feed_forward),
            (self.decoder_layers, d, self.decoder_feed_forward),
        ):
            encoder += layers * tokens * sum(2 * a * b for a, b in kind.shapes(self.width, self.inner))
        return encoder + decoder + 2 * d * self.width * self.vocabulary


TABLE_3_1 = {
    "tiny": T5Shape(4, 4, 1024, 256, 32, 4),
    "mini": T5Shape(4, 4, 1536, 384, 32, 8),
    "small": T5Shape(6, 6, 2048, 512, 32, 8),
    "base": T5Shape(12, 12, 3072, 768, 64, 12),
}


class MatrixChain(nn.Module):
    """Matrices one after the other, without biases, as T5's networks have none; a single one may end in a ReLU."""

    def __init__(self, shapes: list[tuple[int, int]], *, relu: bool = False) -> None:
        super().__init__()
        self.matrices = nn.ModuleList(nn.Linear(d_in, d_out, bias=False) for d_out, d_in in shapes)
        self.relu = relu

    def forward(self, hidden: Tensor) -> Tensor:
        """`[..., width]` -> `[..., width]`."""
        for matrix in self.matrices:
            hidden = matrix(hidden)
        return hidden.relu() if self.relu else hidden

    def layers(self) -> list[nn.Linear]:
        """The matrices, in the order in which inputs meet them."""
        return [matrix for matrix in self.matrices if isinstance(matrix, nn.Linear)]

    @torch.no_grad()
    def collapse(self) -> None:
        """Make it one matrix with the same outputs: the product, formed in float64 and stored in the weights' dtype."""
        first, *others = (layer.weight for layer in self.layers())
        product = first.double()
        for weight in others:
            product = weight.double() @ product
        single = nn.Linear(product.shape[1], product.shape[0], bias=False, device="meta")
        single.weight = nn.Parameter(product.to(first.dtype), requires_grad=first.requires_grad)
        self.matrices = nn.ModuleList([single])


def build(shape: T5Shape, *, seed: int) -> T5ForConditionalGeneration:
    """A T5 with random weights and no dropout, its feed-forward networks as the shape says.

    Matrices of a chain start as T5's own do, with variance one over their inputs' number.
    """
    # Eager: fused attention gives the position biases no gradient when models are stacked.
    sizes: dict[str, Any] = {
        "vocab_size": shape.vocabulary,
        "d_model": shape.width,
        "d_kv": shape.head_width,
        "d_ff": shape.inner,
        "num_layers": shape.encoder_layers,
        "num_decoder_layers": shape.decoder_layers,
        "num_heads": shape.heads,
        "relative_attention_num_buckets": shape.buckets,
        "dropout_rate": 0.0,
        "feed_forward_proj": "relu",
        "decoder_start_token_id": 0,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "tie_word_embeddings": True,
        "attn_implementation": "eager",
    }
    config = T5Config(**sizes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # transformers draws initial weights from the global generator
        model = T5ForConditionalGeneration(config)
        for stack, kind in ((model.encoder, shape.encoder_feed_forward), (model.decoder, shape.decoder_feed_forward)):
            _replace(stack, kind, kind.shapes(shape.width, shape.inner))
    return model


def _replace(stack: nn.Module, kind: FeedForward, shapes: list[tuple[int, int]]) -> None:
    """Put what `kind` says in the place of every network of an encoder or decoder."""
    for name, layer in list(_feed_forwards(stack)):
        if kind.matrices == 0:
            stack.set_submodule(name, nn.Identity())
        elif kind.matrices is not None:
            chain = MatrixChain(shapes, relu=kind.relu)
            for matrix in chain.layers():
                nn.init.normal_(matrix.weight, std=matrix.in_features**-0.5)
            layer.set_submodule("DenseReluDense", chain)


def _feed_forwards(stack: nn.Module) -> Iterator[tuple[str, T5LayerFF]]:
    for name, module in stack.named_modules():
        if isinstance(module, T5LayerFF):
            yield name, module


def collapse(model: nn.Module) -> int:
    """Collapse every chain of a model into one matrix each; says how many there were."""
    chains = [module for module in model.modules() if isinstance(module, MatrixChain)]
    for chain in chains:
        chain.collapse()
    return len(chains)
