"""Low-rank layers take the places of linear ones, as small as they were asked to be."""

import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from compress.calibrate import linear_layers
from compress.factorisation.low_rank.layer import LowRankLinear
from compress.factorisation.low_rank.methods import ActivationAwareSVD, TruncatedSVD
from compress.factorisation.low_rank.sparse import LowRankPlusSparse
from compress.statistics import GramMatrix
from compress.swap import apply, compressed
from models.load import find_blocks, use_linear_layers
from tests.layers import correlated, layer_of, measured, random
from tests.tiny_models import hidden

METHODS = [TruncatedSVD(0.5), TruncatedSVD(rank=3), ActivationAwareSVD(0.5), LowRankPlusSparse(0.7, 0.3)]


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_every_layer_of_any_decoder_is_replaced_and_comes_back(tiny, tokens, method):
    expected = tiny(input_ids=tokens).logits
    blocks = find_blocks(tiny)
    with compressed(method, blocks, forward=hidden(tiny), batches=[tokens]) as outcome:
        assert not any(isinstance(module, nn.Linear) for block in blocks for module in block.modules())
        assert tiny(input_ids=tokens).logits.isfinite().all()
        assert outcome.storage.total_bits < outcome.storage.weights * 32
    assert torch.equal(tiny(input_ids=tokens).logits, expected)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_model_takes_no_more_than_the_share_of_its_bytes(model, share):
    with compressed(TruncatedSVD(share), find_blocks(model)) as outcome:
        for layer in outcome.compressed:
            assert layer.storage.total_bits <= share * layer.storage.weights * 32
            assert layer.storage.total_bits == layer.storage.held_bits


def test_conv1d_and_linear_copies_of_one_weight_become_the_same_layer():
    conv = Conv1D(6, 4)
    nn.init.normal_(conv.weight, generator=torch.Generator().manual_seed(1))
    holder = nn.ModuleDict({"conv": conv})
    use_linear_layers(holder)
    ours = TruncatedSVD(rank=2)(holder["conv"])
    plain = nn.Linear(4, 6)
    plain.weight.data.copy_(conv.weight.T)
    plain.bias.data.copy_(conv.bias)
    again = TruncatedSVD(rank=2)(plain)
    inputs = random(3, 4).float()
    assert torch.equal(ours(inputs), again(inputs))


def test_activation_aware_factors_change_outputs_less_than_plain_ones():
    weight, _, inputs = correlated(9, 7, seed=3)
    layer = layer_of(weight).double()
    statistic = measured(layer, inputs, GramMatrix)
    ours = ActivationAwareSVD(rank=2, damping=0.0)(layer, statistic)
    plain = TruncatedSVD(rank=2)(layer)

    @torch.no_grad()
    def error(other):
        return float((other(inputs) - layer(inputs)).square().sum())

    assert error(ours) < error(plain)


def test_activation_aware_svd_needs_its_statistic():
    with pytest.raises(TypeError, match=r"needs the Gram matrix of the inputs of 0\.q; calibrate first"):
        ActivationAwareSVD(0.5)(layer_of(random(6, 6).float()), None, name="0.q")
    with pytest.raises(ValueError, match="damping is -1"):
        ActivationAwareSVD(0.5, damping=-1.0)


def test_a_layer_that_would_not_shrink_stops_the_whole_and_the_model_stays(model):
    before = [id(module) for module in model.modules()]
    with pytest.raises(ValueError, match=r"0\.attn\.c_attn: rank 9 makes its 36 x 12 weight no smaller"):
        apply(TruncatedSVD(rank=9), find_blocks(model))
    assert [id(module) for module in model.modules()] == before


def test_layers_of_a_bfloat16_model_are_in_bfloat16(model, batches):
    model.bfloat16()
    with compressed(TruncatedSVD(0.5), find_blocks(model)) as outcome:
        layers = [module for module in model.modules() if isinstance(module, LowRankLinear)]
        assert {layer.left.dtype for layer in layers} == {torch.bfloat16}
        assert outcome.storage.total_bits <= 0.5 * outcome.storage.weights * 16
        assert model(input_ids=batches[0]).logits.isfinite().all()


def test_names_say_what_was_asked():
    assert [str(method) for method in METHODS] == [
        "svd-0.5",
        "svd-rank-3",
        "activation-svd-0.5",
        "low-rank-0.3-and-sparse-0.7",
    ]
    assert repr(ActivationAwareSVD(0.5)) == "ActivationAwareSVD(share=0.5, rank=None, only=(), damping=0.01)"


def test_only_the_chosen_layers_are_factorised_and_the_others_count_as_they_are(tiny):
    blocks, endings = find_blocks(tiny), ("c_proj", "o_proj", "out_proj")
    weights = {name: layer.weight.clone() for name, layer in linear_layers(blocks[1]).items()}
    with compressed(TruncatedSVD(0.5, only=endings), blocks) as outcome:
        for layer in outcome.compressed:
            assert (layer.storage.bits_per_weight < 32) == layer.name.endswith(endings)
        for name, module in linear_layers(blocks[1]).items():
            assert torch.equal(module.weight, weights[name])
        assert 0 < len(linear_layers(blocks[1])) < len(weights)


def test_endings_that_no_layer_has_are_refused(model):
    with pytest.raises(ValueError, match=r"no layer's name ends in q_proj; there are 0\.attn\.c_attn"):
        apply(TruncatedSVD(0.5, only=("q_proj",)), find_blocks(model))
