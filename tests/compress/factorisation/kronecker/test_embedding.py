"""The embedding whose table is a Kronecker sum."""

import pytest
import torch
from torch import nn

from compress.factorisation.kronecker.embedding import KroneckerEmbedding, factorised_embedding
from compress.factorisation.kronecker.sums import materialise, van_loan
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


@pytest.mark.parametrize(("second", "padded"), [((4, 2), 32), ((29, 3), 29), ((1, 12), 29), ((30, 1), 30)])
def test_rows_are_padded_to_a_multiple_and_the_width_is_cut(second, padded):
    table = nn.Embedding(29, 12)
    made = factorised_embedding(table, second, 1)
    p, q = second
    assert made.first.shape == (1, padded // p, 12 // q) and made.second.shape == (1, p, q)
    whole = torch.cat([table.weight.detach(), torch.zeros(padded - 29, 12)])
    expected = materialise(*van_loan(whole, (padded // p, 12 // q)))[:29]
    torch.testing.assert_close(made(torch.arange(29)), expected)
