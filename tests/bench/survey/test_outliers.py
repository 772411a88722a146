"""Magnitudes of states by hand, LLM.int8()'s criterion, and what a pass leaves behind."""

import numpy as np
import pytest
import torch

from bench.survey.outliers import (
    HIDDEN,
    INPUTS,
    MAGNITUDE,
    NUMBERS,
    States,
    changed,
    in_the_most,
    numbers_of,
    standing_out,
    watching,
)
from models.load import find_blocks
from tests.layers import hooks


def test_numbers_of_a_layer_by_hand():
    magnitudes = torch.tensor([[1.0, 90.0, 2.0], [3.0, 4.0, 5.0], [7.0, 8.0, 6.0]])
    found = dict(zip(NUMBERS, numbers_of(magnitudes), strict=True))
    # After position 0 the features have the means 5, 6 and 5.5.
    assert found == pytest.approx(
        {"largest": 90, "later": 8, "median": 5, "mean": 14, "features": 6 / 5.5, "feature": 1, "position": 0}
    )


@pytest.mark.parametrize("broken", [torch.full((3, 2), torch.nan), torch.ones(1, 4)])
def test_numbers_are_of_finite_states_of_two_tokens_at_least(broken):
    with pytest.raises(ValueError, match="must be finite and of at least 2 tokens"):
        numbers_of(broken)


def states_of(*layers):
    states = States()
    for layer in layers:
        states.add(layer)
    return states


def test_an_outlier_is_large_in_a_quarter_of_the_layers_and_six_percent_of_positions():
    def layer(*high):
        plain = torch.ones(1, 50, 4)
        for position, feature in high:
            plain[0, position, feature] = -MAGNITUDE  # magnitudes count, and the limit itself does
        return plain

    three = [(position, 2) for position in (0, 7, 9)]  # 6 % of 50
    assert states_of(layer(*three), layer(), layer(), layer()).outliers() == 1
    assert states_of(layer(*three), layer(), layer(), layer(), layer()).outliers() == 0  # a fifth of the layers
    assert states_of(layer(*three[:2]), layer(), layer(), layer()).outliers() == 0  # 4 %
    # In different layers at different positions: both shares are over all layers.
    assert states_of(layer(three[0]), layer(three[1]), layer(three[2]), layer()).outliers() == 1
    assert States().outliers() == 0


def test_the_layer_where_it_is_most_is_of_means_over_documents():
    largest, median = np.array([[100.0, 10.0], [100.0, 1000.0], [100.0, 1.0]]), np.ones((3, 2))
    assert standing_out(largest, median).value == pytest.approx(100)  # the other's mean of logarithms is 21.5
    assert in_the_most(np.array([[1.0, 3.0], [4.0, 2.0]])).tolist() == [3.0, 4.0]
    known = {"hidden largest": largest, "hidden median": median}
    same = changed({name: values * 2 for name, values in known.items()}, known)
    assert same.value == pytest.approx(1)
    assert changed(known | {"hidden largest": largest * 3}, known).value == pytest.approx(3)


@torch.no_grad()
def test_a_pass_sees_every_block_and_input_once_and_leaves_no_hook(tiny, tokens):
    states = tiny(input_ids=tokens[:1], output_hidden_states=True, use_cache=False).hidden_states
    blocks, before = tuple(find_blocks(tiny)), hooks(tiny)
    with watching(blocks, tiny.get_output_embeddings().in_features) as seen:
        tiny(input_ids=tokens[:1], use_cache=False)
    assert hooks(tiny) == before
    assert len(seen[HIDDEN].layers) == 3
    assert len(seen[INPUTS].layers) == 9  # of each block: query, key and value together, the output, the expansion
    # The last of the model's own states is after the final norm.
    for own, expected in zip(seen[HIDDEN].layers[:2], states[1:3], strict=True):
        assert own == pytest.approx(numbers_of(expected[0].abs()))
    tiny(input_ids=tokens[:1], use_cache=False)
    assert len(seen[HIDDEN].layers) == 3
