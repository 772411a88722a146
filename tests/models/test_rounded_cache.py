"""Reading through a rounded cache: rounded entries are read, and nothing else changes."""

import torch

from compress.quantization.kv_cache import CacheQuantization
from models.rounded_cache import hidden_through_cache
from tests.tiny_models import hidden


def test_every_query_reads_rounded_entries_and_the_weights_stay(tiny, tokens):
    before = {name: value.clone() for name, value in tiny.state_dict().items()}
    rounded = hidden_through_cache(tiny, CacheQuantization(2).rounded, tokens)
    assert not torch.equal(rounded, hidden(tiny)(tokens))
    assert all(torch.equal(value, before[name]) for name, value in tiny.state_dict().items())


def test_with_entries_left_as_they_are_nothing_changes(tiny, tokens):
    through = hidden_through_cache(tiny, lambda states: states, tokens)
    # The same attention over the same entries.
    torch.testing.assert_close(through, hidden(tiny)(tokens), rtol=1e-5, atol=1e-6)


def test_fewer_bits_move_the_model_further(tiny, tokens):
    dense = hidden(tiny)(tokens)
    moved = [
        (hidden_through_cache(tiny, CacheQuantization(bits, 6).rounded, tokens) - dense).norm() for bits in (8, 4, 2)
    ]
    assert moved[0] < moved[1] < moved[2]
