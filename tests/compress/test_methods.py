"""Methods on real modules: what is stored, what is skipped, and that nothing is left behind."""

import numpy as np
import pytest
import torch
from torch import nn

from compress.calibrate import block_inputs, linear_layers, measuring
from compress.grid import fake_quantize
from compress.layers import SimulatedLinear
from compress.pruning.magnitude import ComparisonGroup, MagnitudePruning
from compress.pruning.random import RandomPruning
from compress.pruning.wanda import WandaPruning
from compress.quantization.grouping import PerGroup, PerRow, PerTensor
from compress.quantization.mixed_precision import Keep, Protection
from compress.quantization.rounding import CastWeights, RoundToNearest
from compress.statistics import SquaredInputs
from compress.swap import apply, compressed
from models.load import find_blocks
from tests.tiny_models import run

ALL = [
    MagnitudePruning(0.5),
    MagnitudePruning(0.3, ComparisonGroup.ROW),
    MagnitudePruning(0.4, ComparisonGroup.MODEL),
    MagnitudePruning(0.01, largest=True),
    RandomPruning(0.1),
    WandaPruning(0.5),
    WandaPruning(0.5, (2, 4)),
    RoundToNearest(3),
    RoundToNearest(4, PerRow(), symmetric=True),
    RoundToNearest(8, PerTensor()),
    RoundToNearest(3, PerGroup(7), protect=Protection(0.1)),
    RoundToNearest(4, activation_bits=8),
    CastWeights(torch.bfloat16),
]


def hooks(model):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


@pytest.mark.parametrize("method", ALL, ids=str)
def test_undo_gives_back_the_very_same_model(tiny, tokens, method):
    before, count = run(tiny)(tokens).logits, hooks(tiny)
    modules = list(tiny.modules())
    outcome = apply(method, find_blocks(tiny), forward=run(tiny), batches=[tokens], model=tiny)
    assert not torch.equal(run(tiny)(tokens).logits, before)
    assert len(outcome.compressed) == sum(len(linear_layers(block)) for block in find_blocks(tiny))
    outcome.undo()
    outcome.undo()
    assert torch.equal(run(tiny)(tokens).logits, before)
    assert list(tiny.modules()) == modules
    assert hooks(tiny) == count


@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.37, 0.5, 0.9])
@pytest.mark.parametrize("group", ComparisonGroup, ids=lambda group: group.value)
def test_magnitude_removes_exactly_what_was_asked(tiny, sparsity, group):
    blocks = find_blocks(tiny)
    layers = [layer for block in blocks for layer in linear_layers(block).values()]
    sizes = {
        ComparisonGroup.MODEL: [sum(layer.weight.numel() for layer in layers)],
        ComparisonGroup.LAYER: [layer.weight.numel() for layer in layers],
        ComparisonGroup.ROW: [layer.in_features for layer in layers for _ in range(layer.out_features)],
    }[group]
    outcome = apply(MagnitudePruning(sparsity, group), blocks)
    zeros = sum(round(layer.sparsity * layer.storage.weights) for layer in outcome.compressed)
    assert zeros == sum(round(sparsity * size) for size in sizes)


def test_wanda_in_a_model_is_wanda_by_hand_on_the_compressed_prefix(tiny, tokens):
    """Each block's mask comes from the inputs it gets when all blocks before it are already pruned."""
    blocks = find_blocks(tiny)
    inputs = block_inputs(run(tiny), blocks[0], tokens.split(2))
    expected = {}
    with torch.no_grad():
        for index, block in enumerate(blocks):
            kept = {name: layer.weight.clone() for name, layer in linear_layers(block).items()}
            with measuring(linear_layers(block), SquaredInputs) as measured:
                for batch in inputs:
                    batch.through(block)
            for name, layer in linear_layers(block).items():
                scores = (kept[name].abs() * measured[name].sum.sqrt()).numpy()
                count = round(0.5 * scores.shape[1])
                order = np.argsort(scores, axis=1, kind="stable")[:, :count]
                for row, columns in enumerate(order):
                    layer.weight[row, columns] = 0
                expected[f"{index}.{name}"] = layer.weight.clone()
            inputs = [batch.through(block) for batch in inputs]
            for name, layer in linear_layers(block).items():
                layer.weight.copy_(kept[name])
    with compressed(WandaPruning(0.5), blocks, forward=run(tiny), batches=tokens.split(2)):
        for index, block in enumerate(blocks):
            for name, layer in linear_layers(block).items():
                torch.testing.assert_close(layer.weight, expected[f"{index}.{name}"], rtol=0, atol=0)


def test_hooks_come_off_and_layers_come_back_after_an_error(tiny, tokens):
    before, count = run(tiny)(tokens).logits, hooks(tiny)

    class Failing(WandaPruning):
        def __call__(self, layer, statistic, *, name=""):
            if name.startswith("2."):
                raise RuntimeError("in the middle")
            return super().__call__(layer, statistic, name=name)

    with pytest.raises(RuntimeError, match="in the middle"):
        apply(Failing(0.5), find_blocks(tiny), forward=run(tiny), batches=[tokens])
    assert torch.equal(run(tiny)(tokens).logits, before)
    assert hooks(tiny) == count


def test_a_method_that_measures_refuses_to_run_blind(tiny):
    with pytest.raises(ValueError, match="at least one calibration batch"):
        apply(WandaPruning(0.5), find_blocks(tiny))


def test_compressing_nothing_is_an_error():
    with pytest.raises(ValueError, match="nothing would be compressed"):
        apply(RoundToNearest(4), nn.ModuleList([nn.LayerNorm(3)]))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite_are_named(tiny, bad):
    block = find_blocks(tiny)[1]
    name, layer = next(iter(linear_layers(block).items()))
    layer.weight[0, 0] = bad
    with pytest.raises(ValueError, match=rf"1\.{name} holds NaN or infinity"):
        apply(RoundToNearest(4), find_blocks(tiny))


def test_what_was_skipped_is_named_with_its_reason(tiny):
    outcome = apply(RoundToNearest(4), find_blocks(tiny), model=tiny)
    reasons = {skipped.name: skipped.reason for skipped in outcome.skipped}
    assert any("norm" in name or "ln" in name for name, reason in reasons.items() if "no linear layer" in reason)
    assert any("emb" in name or "wte" in name for name, reason in reasons.items() if "outside" in reason)
    counted = sum(layer.storage.weights for layer in outcome.compressed)
    outcome.undo()
    biases = sum(x.bias.numel() for b in find_blocks(tiny) for x in linear_layers(b).values() if x.bias is not None)
    inside = {skipped.name for skipped in outcome.skipped}
    tied = tiny.config.tie_word_embeddings
    head = tiny.get_output_embeddings().weight.numel() if tied and "lm_head" in inside else 0
    everything = sum(parameter.numel() for parameter in tiny.parameters())
    assert counted + biases + sum(skipped.parameters for skipped in outcome.skipped) - head == everything


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MagnitudePruning(1.0), r"sparsity is 1.0; it must be at least 0 and below 1"),
        (lambda: WandaPruning(-0.1), r"sparsity is -0.1"),
        (lambda: RandomPruning(float("nan")), r"sparsity is nan"),
        (lambda: WandaPruning(0.4, (2, 4)), r"2:4 sparsity is 0.5, not 0.4"),
        (lambda: WandaPruning(0.5, (5, 4)), r"cannot keep 5 of every 4"),
        (lambda: RoundToNearest(9), r"bits is 9"),
        (lambda: RoundToNearest(4, activation_bits=1), r"bits is 1"),
        (lambda: RoundToNearest(4, PerRow(), protect=Protection(0.02)), r"needs a group size"),
        (lambda: PerGroup(0), r"group size is 0"),
        (lambda: Protection(1.5), r"protected groups is 1.5"),
    ],
)
def test_bad_settings_name_the_value_and_the_limit(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def layer_of(weight):
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight.data.copy_(weight)
    return layer


@pytest.mark.parametrize("keep", Keep, ids=lambda keep: keep.value)
def test_protected_groups_are_exactly_those_asked_for(keep):
    weight = torch.randn(10, 20, generator=torch.Generator().manual_seed(0))
    method = RoundToNearest(2, PerGroup(6), protect=Protection(0.1, keep))
    found = method(layer_of(weight), name="layer").weight
    grouping = PerGroup(6)
    eight, two = (grouping.cut(fake_quantize(grouping.cut(weight), bits).reshape(10, -1)[:, :20]) for bits in (8, 2))
    cut = grouping.cut(found.detach())
    protected = (cut == eight).all(-1) & (cut != two).any(-1)
    assert protected.sum() == 4  # 10 rows of 4 groups, a tenth of 40
    assert ((cut == two).all(-1) | protected).all()
    magnitude = grouping.cut(weight).abs().sum(-1) / torch.tensor(grouping.lengths(20))
    if keep is Keep.LARGEST:
        assert magnitude[protected].min() >= magnitude[~protected].max()
    if keep is Keep.SMALLEST:
        assert magnitude[protected].max() <= magnitude[~protected].min()


def test_random_choices_depend_on_seed_and_name_alone():
    layer = layer_of(torch.ones(8, 8))
    first = RandomPruning(0.25)(layer, name="a").weight
    assert torch.equal(first, RandomPruning(0.25)(layer, name="a").weight)
    assert not torch.equal(first, RandomPruning(0.25)(layer, name="b").weight)
    assert not torch.equal(first, RandomPruning(0.25, seed=1)(layer, name="a").weight)
    assert (first == 0).sum() == 16


def test_the_largest_go_where_that_is_asked():
    weight = torch.arange(1.0, 101).view(10, 10) * torch.tensor([1.0, -1.0]).repeat(5)
    found = MagnitudePruning(0.05, largest=True)(layer_of(weight)).weight
    assert sorted(weight[found == 0].abs().tolist()) == [96, 97, 98, 99, 100]


def test_storage_is_counted_from_what_is_there():
    weight = torch.randn(4, 20, generator=torch.Generator().manual_seed(0))
    rounded = RoundToNearest(3, PerGroup(8))(layer_of(weight)).storage
    # 80 codes of 3 bits, 12 groups (8 + 8 + 4 a row) of a float32 scale and a 3-bit zero point.
    assert (rounded.value_bits, rounded.scale_bits, rounded.zero_point_bits) == (240, 12 * 32, 36)
    assert rounded.simulated
    assert rounded.bits_per_weight == (240 + 384 + 36) / 80
    half = MagnitudePruning(0.5)(layer_of(weight)).storage
    assert (half.value_bits, half.mask_bits) == (40 * 32, 80)
    statistic = SquaredInputs(layer_of(weight))
    statistic.add(torch.ones(1, 20))
    pattern = WandaPruning(0.5, (2, 4))(layer_of(weight), statistic).storage
    assert (pattern.value_bits, pattern.mask_bits) == (40 * 32, 40 * 2)
    mixed = RoundToNearest(3, PerGroup(8), protect=Protection(0.25))(layer_of(weight)).storage
    assert mixed.mask_bits == 12
    assert mixed.value_bits > rounded.value_bits


@pytest.mark.parametrize("bits", range(2, 9))
def test_measured_bits_never_exceed_those_asked(bits):
    weight = torch.randn(16, 64, generator=torch.Generator().manual_seed(bits))
    storage = RoundToNearest(bits)(layer_of(weight)).storage
    assert storage.value_bits == bits * weight.numel()


def test_activations_are_rounded_per_token_and_outputs_are_not():
    weight = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    layer = RoundToNearest(8, PerRow(), activation_bits=4)(layer_of(weight))
    inputs = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(1))
    expected = fake_quantize(inputs, 4) @ layer.weight.T
    torch.testing.assert_close(layer(inputs), expected)
    assert len(fake_quantize(inputs, 4)[0, 0].unique()) <= 16


def test_a_bias_survives():
    layer = nn.Linear(4, 3)
    found = MagnitudePruning(0.5)(layer)
    assert isinstance(found, SimulatedLinear)
    torch.testing.assert_close(found.bias, layer.bias)
    inputs = torch.randn(2, 4)
    torch.testing.assert_close(found(inputs), inputs @ found.weight.T + layer.bias)


def test_weights_in_a_narrow_dtype_keep_it():
    layer = layer_of(torch.randn(4, 64)).to(torch.bfloat16)
    found = RoundToNearest(4)(layer)
    assert found.weight.dtype is torch.bfloat16
    expected = RoundToNearest(4)(layer_of(layer.weight.detach().float())).weight.to(torch.bfloat16)
    assert torch.equal(found.weight, expected)
