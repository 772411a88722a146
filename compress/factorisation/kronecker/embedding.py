"""Embedding whose table is a sum of Kronecker products."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from compress.factorisation.kronecker.sums import van_loan


class KroneckerEmbedding(nn.Module):
    """Embedding whose table `[tokens, width]` is a Kronecker sum, as TQCompressor's is; no output matrix is tied.

    Rows past the table's own length, where it had to be padded, are never looked up.
    """

    def __init__(self, first: Tensor, second: Tensor) -> None:
        super().__init__()
        self.first, self.second = nn.Parameter(first), nn.Parameter(second)

    def forward(self, tokens: Tensor) -> Tensor:
        """Rows `[..., width]` of token ids `[...]`: row t of A ⊗ B is row t // p of A times row t % p of B."""
        p = self.second.shape[1]
        a = self.first[:, tokens // p]  # [k, ..., n]
        b = self.second[:, tokens % p]  # [k, ..., q]
        return torch.einsum("k...n,k...q->...nq", a, b).flatten(-2)


def factorised_embedding(embedding: nn.Embedding, second: tuple[int, int], terms: int) -> KroneckerEmbedding:
    """Embedding with its table as a Kronecker sum; rows are padded with zeros to a multiple of p.

    Raises:
        ValueError: q does not divide the width, or too many terms.
    """
    table = embedding.weight.detach()
    p, q = second
    rows = math.ceil(len(table) / p)
    padded = torch.cat([table, table.new_zeros(rows * p - len(table), table.shape[1])])
    return KroneckerEmbedding(*van_loan(padded, (rows, max(1, table.shape[1] // q)), terms))
