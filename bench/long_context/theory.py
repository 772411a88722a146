"""The paper's argument for growing errors (Wang et al. 2024, §4.1, eq. 1–5), simulated on its own terms.

Noise e ~ N(0, s²) is added to every key and value; all vectors have one dimension, as in the paper:

    h_t = sum_i a_i v_i,   a = softmax(q k),   noisy: k_i + e_ki, v_i + e_vi.

The paper concludes that the variance of the noise in h_t grows linearly with t. The weights a_i sum to one, so
diffuse attention averages the noise away (variance ∝ 1/t) and peaked attention keeps it (constant).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from bench.long_context.curves import Array
from bench.long_context.windows import PairedWindows
from models.load import Decoder

POSITIONS = (16, 32, 64, 128, 256, 512, 1024, 2048)
SEQUENCES = 32
DRAWS = 256
NOISE = 0.05
DIFFUSE_QUERY = 0.1
"""A query so small that all keys weigh nearly the same."""
PEAKED_SCORE = 12.0
"""Score of one key above all others, enough to hold most of the weight at any position here."""
MOST_ROWS_TOKENS = 1024
"""Attention rows are materialised up to this length."""
FIRST_ROW = 16


def exponent(positions: Array, variances: Array) -> Array:
    """The least-squares slope of ln variance on ln position: `[..., positions]` -> `[...]`."""
    x = np.log(positions) - np.log(positions).mean()
    return (np.log(variances) @ x) / (x @ x)


def simulated_noise(attention: str, *, seed: int) -> dict[str, Array]:
    """Variance over noise draws of h_t by eq. 3, `[sequences, positions]`, for one kind of attention.

    Args:
        attention: `diffuse`, `peaked`, or `summed` for weights of one that are not normalised.
        seed: of keys, values and noise.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = [[_noise_variance(attention, position, generator) for position in POSITIONS] for _ in range(SEQUENCES)]
    return {"positions": np.array(POSITIONS), "variances": np.array(rows)}


def _noise_variance(attention: str, position: int, generator: torch.Generator) -> float:
    keys, values = torch.randn(2, position, generator=generator, dtype=torch.float64)
    key_noise, value_noise = NOISE * torch.randn(2, DRAWS, position, generator=generator, dtype=torch.float64)
    query = DIFFUSE_QUERY if attention == "diffuse" else 1.0
    scores = query * keys
    if attention == "peaked":
        scores[position // 2] = PEAKED_SCORE
    if attention == "summed":
        return float((value_noise + values).sum(-1).var())
    weights = torch.softmax(scores + query * key_noise, dim=-1)
    return float((weights * (values + value_noise)).sum(-1).var())


@torch.inference_mode()
def attention_noise(decoder: Decoder, windows: PairedWindows) -> dict[str, Array]:
    """The variance that eq. 5 gives with the model's own attention rows, in units of s²: `[documents, positions]`.

    For unit queries and values, eq. 5 has the variance `s² sum_i (a_i² + (a_i (1 - a_i))²)`; it is averaged over
    layers and heads. Rows are read at doubling positions of the first tokens of each document.
    """
    length = min(MOST_ROWS_TOKENS, windows.segments.shape[1])
    positions = [FIRST_ROW << i for i in range((length // FIRST_ROW).bit_length()) if FIRST_ROW << i <= length]
    rows = []
    for segment in windows.segments[:, :length]:
        with _attention_rows(decoder, [position - 1 for position in positions]) as variances:
            decoder.hidden(segment[None])
        rows.append(torch.stack(variances).mean(0).cpu().numpy())
    return {"positions": np.array(positions), "variances": np.array(rows, dtype=np.float64)}


@contextmanager
def _attention_rows(decoder: Decoder, positions: list[int]) -> Iterator[list[Tensor]]:
    """While open, each layer's forward adds the noise variance at those positions, meaned over heads."""
    before = decoder.model.config._attn_implementation or "eager"
    variances: list[Tensor] = []

    def read(_module: nn.Module, _args: tuple, output: object) -> None:
        if isinstance(output, tuple) and len(output) > 1 and isinstance(output[1], Tensor):
            weights = output[1][0, :, positions].double()  # [heads, positions, keys]
            variance = weights.square() + (weights * (1 - weights)).square()
            variances.append(variance.sum(-1).mean(0))

    hooks = [
        module.register_forward_hook(read)
        for block in decoder.blocks
        for name, module in block.named_modules()
        if name.endswith("attn")
    ]
    decoder.model.set_attn_implementation("eager")
    try:
        yield variances
    finally:
        decoder.model.set_attn_implementation(before)
        for hook in hooks:
            hook.remove()
    if not variances:
        raise ValueError(f"{decoder.name} gave no attention weights; its attention modules are not called *attn")
