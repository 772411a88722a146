"""The embedding whose table is a Kronecker sum."""

import torch
from torch import nn

from compress.factorisation.kronecker.embedding import KroneckerEmbedding, factorised_embedding
from compress.factorisation.kronecker.sums import materialise
from tests.layers import random


def test_embedding_looks_rows_up():
    first, second = random(2, 5, 4, seed=1), random(2, 3, 2, seed=2)
    tokens = torch.tensor([[0, 14, 7], [3, 2, 1]])
    rows = KroneckerEmbedding(first, second)(tokens)
    torch.testing.assert_close(rows, materialise(first, second)[tokens], rtol=0, atol=1e-13)


def test_embedding_is_padded_and_exact_with_all_terms():
    table = nn.Embedding(29, 12)
    tokens = torch.arange(29)
    factorised = factorised_embedding(table, (4, 2), 8)
    torch.testing.assert_close(factorised(tokens), table(tokens), rtol=1e-5, atol=1e-5)
    assert materialise(factorised.first, factorised.second).shape == (32, 12)
