"""Factorised layers in live models: which layers change, and the fit to calibration inputs."""

import math
from dataclasses import FrozenInstanceError

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM

from compress.factorisation.kronecker.fit import fit_to_inputs
from compress.factorisation.kronecker.method import (
    KroneckerFactorisation,
    KroneckerFitToInputs,
    Start,
    trained_scalars,
)
from compress.factorisation.kronecker.sums import materialise, pruned_factors, van_loan
from compress.statistics import GramMatrix
from compress.swap import apply, compressed
from models.gpt2 import save_as_gpt2, unique_parameters
from models.load import find_blocks, use_linear_layers
from tests.tiny_models import SHAPE, mlp


def test_only_chosen_layers_change_and_all_comes_back(model, batches):
    before = model(input_ids=batches[0]).logits
    blocks = find_blocks(model)
    with compressed(KroneckerFactorisation((4, 1)), blocks, model=model, chosen=mlp) as outcome:
        assert len(outcome.compressed) == 6
        assert {s.reason for s in outcome.skipped if ".attn.c_" in s.name} == {"not chosen"}
        assert not torch.equal(model(input_ids=batches[0]).logits, before)
        removed = 2 * 3 * 48 * 12 - 2 * 3 * (12 * 12 + 4)
        assert unique_parameters(model) == SHAPE.parameters() - removed
        assert outcome.storage.value_bits == 2 * 3 * (12 * 12 + 4) * 32
    assert torch.equal(model(input_ids=batches[0]).logits, before)
    with pytest.raises(ValueError, match="none chosen"):
        apply(KroneckerFactorisation((4, 1)), blocks, chosen=lambda *_: False)


@pytest.mark.parametrize("start", [Start.VAN_LOAN, Start.PERMUTED])
def test_all_terms_leave_logits_unchanged(model, batches, start):
    """Full rank = unchanged."""
    before = model(input_ids=batches[0]).logits
    with compressed(KroneckerFactorisation((2, 1), terms=2, start=start), find_blocks(model), chosen=mlp):
        torch.testing.assert_close(model(input_ids=batches[0]).logits, before, rtol=1e-4, atol=1e-4)


def test_narrowing_layers_have_the_pattern_transposed(model):
    blocks = find_blocks(model)
    with compressed(KroneckerFactorisation((4, 1), start=Start.PRUNED), blocks, chosen=mlp):
        wide, narrow = blocks[0].mlp.c_fc, blocks[0].mlp.c_proj
        assert wide.shapes.first == narrow.shapes.first == (12, 12)
        assert wide.shapes.second == (4, 1) and narrow.shapes.second == (1, 4)


def test_conv1d_and_linear_factorise_alike(tmp_path, model):
    """A Conv1D becomes a linear layer on loading, so its factors are those of the same weight."""
    save_as_gpt2(model, tmp_path / "gpt2")
    opened = AutoModelForCausalLM.from_pretrained(tmp_path / "gpt2").eval()
    use_linear_layers(opened)
    method = KroneckerFactorisation((4, 1))
    for ours, theirs in zip(find_blocks(model), find_blocks(opened), strict=True):
        a, b = method(ours.mlp.c_fc), method(theirs.mlp.c_fc)
        assert torch.equal(a.first, b.first) and torch.equal(a.second, b.second)


def test_fit_to_inputs_lowers_the_error_of_outputs(model, batches):
    layer = find_blocks(model)[1].mlp.c_fc
    inputs = torch.randn(60, 12, generator=torch.Generator().manual_seed(1)) * torch.logspace(-2, 1, 12)
    gram = GramMatrix(layer)
    gram.add(inputs[:20])
    gram.add(inputs[20:].view(2, 20, 12))
    torch.testing.assert_close(gram.sum, (inputs.T @ inputs).double(), rtol=1e-5, atol=1e-3)
    assert gram.tokens == 60
    plain, fitted = KroneckerFactorisation((2, 2))(layer), KroneckerFitToInputs((2, 2))(layer, gram)

    def error(factorised):
        return (factorised(inputs) - layer(inputs)).square().sum().item()

    assert error(fitted) < 0.9 * error(plain)
    with pytest.raises(TypeError, match="needs the Gram matrix"):
        KroneckerFitToInputs((4, 1))(layer)


@pytest.mark.parametrize("seed", range(4))
def test_damping_keeps_a_fit_to_few_tokens_from_what_it_never_saw(seed):
    """Undamped, nothing holds the factors along directions without tokens, and later inputs do go there."""
    generator = torch.Generator().manual_seed(seed)
    layer = nn.Linear(24, 24, bias=False).requires_grad_(False)
    layer.weight.copy_(torch.randn(24, 24, generator=generator))
    mix = torch.randn(24, 24, generator=generator) * torch.logspace(0, -2, 24)
    seen, later = (torch.randn(count, 24, generator=generator) @ mix.T for count in (16, 400))
    gram = GramMatrix(layer)
    gram.add(seen)

    def error(inputs, damping):
        fitted = KroneckerFitToInputs((3, 3), terms=4, damping=damping)(layer, gram)
        return (fitted(inputs) - layer(inputs)).square().sum().item()

    assert error(seen, 0) < error(seen, 0.01) and error(later, 0.01) < 0.9 * error(later, 0)


def test_a_fit_damped_beyond_its_inputs_is_van_loans(model):
    layer = find_blocks(model)[1].mlp.c_fc
    gram = GramMatrix(layer)
    gram.add(torch.randn(60, 12, generator=torch.Generator().manual_seed(1)))
    plain = KroneckerFactorisation((2, 2))(layer).dense().weight
    fitted = KroneckerFitToInputs((2, 2), damping=1e9)(layer, gram).dense().weight
    torch.testing.assert_close(fitted, plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("damping", [-0.1, math.inf, math.nan])
def test_damping_must_be_a_share(damping):
    with pytest.raises(ValueError, match="at least 0 and finite"):
        KroneckerFitToInputs((2, 2), damping=damping)


def test_refusals(model):
    layer = find_blocks(model)[0].mlp.c_fc
    with pytest.raises(ValueError, match="5 x 1 do not divide a weight of 48 x 12"):
        KroneckerFactorisation((5, 1))(layer)
    with pytest.raises(ValueError, match="one term, not 2"):
        KroneckerFactorisation((2, 1), terms=2, start=Start.PRUNED)
    with pytest.raises(ValueError, match=r"3 Kronecker terms.*1 to 2"):
        KroneckerFactorisation((2, 1), terms=3)(layer)
    with pytest.raises(ValueError, match="at least 1"):
        KroneckerFactorisation((0, 1))


@pytest.mark.parametrize("start", [Start.VAN_LOAN, Start.PRUNED])
def test_scalars_start_anywhere_and_the_weight_is_the_same(model, start):
    layer = find_blocks(model)[0].mlp.c_fc
    plain, scaled = (KroneckerFactorisation((2, 1), start=start, scalars=True, scalar=s)(layer) for s in (1.0, 8.0))
    assert scaled.scalars.tolist() == [8.0]
    torch.testing.assert_close(scaled.weight(), plain.weight())


@pytest.mark.parametrize("scalar", [0.0, -1.0, math.inf, math.nan])
def test_scalars_start_above_zero(scalar):
    with pytest.raises(ValueError, match="above 0 and finite"):
        KroneckerFactorisation((2, 1), scalars=True, scalar=scalar)


def test_scalars_of_other_starts_have_other_names():
    names = {str(KroneckerFactorisation((2, 1), scalars=True, scalar=s)) for s in (1.0, 2.0, 4.0)}
    assert len(names) == 3


@pytest.mark.parametrize("settings", [{"second": (0, 1)}, {"second": (2, 0)}, {"second": (2, 1), "terms": 0}])
def test_factors_and_terms_are_one_at_least(settings):
    with pytest.raises(ValueError, match="all must be at least 1"):
        KroneckerFactorisation(**settings)
    KroneckerFactorisation((1, 1), terms=1)


@pytest.mark.parametrize(
    ("method", "name"),
    [
        (KroneckerFactorisation((2, 1)), "kronecker-2x1-van-loan"),
        (KroneckerFactorisation((2, 1), 4, Start.PERMUTED), "kronecker-2x1-4-terms-permuted"),
        (KroneckerFactorisation((2, 1), scalars=True), "kronecker-2x1-van-loan-scalars"),
        (KroneckerFactorisation((2, 1), scalars=True, scalar=0.5), "kronecker-2x1-van-loan-scalars-from-0.5"),
        (KroneckerFitToInputs((2, 1), start=Start.PRUNED), "kronecker-2x1-pruned-fit"),
    ],
)
def test_names_tell_settings_apart(method, name):
    assert str(method) == name


@pytest.mark.parametrize(("shape", "second"), [((12, 6), (3, 2)), ((6, 12), (2, 3)), ((12, 12), (3, 2))])
@pytest.mark.parametrize("start", Start)
def test_the_pattern_is_transposed_where_a_layer_narrows_and_only_there(shape, second, start):
    layer = nn.Linear(shape[1], shape[0]).requires_grad_(False)
    layer.weight.copy_(torch.randn(shape, generator=torch.Generator().manual_seed(0)))
    made = KroneckerFactorisation((3, 2), start=start)(layer)
    assert made.shapes.second == second and made.shapes.weight == shape
    assert torch.equal(made.bias, layer.bias) and made.scalars is None
    assert (made.rows is None) == (made.columns is None) == (start is not Start.PERMUTED)


def test_each_start_is_what_it_is_called():
    layer = nn.Linear(6, 12).requires_grad_(False)
    layer.weight.copy_(torch.randn(12, 6, generator=torch.Generator().manual_seed(0)))
    van_loans, pruned, moved = (
        KroneckerFactorisation((3, 2), start=start)(layer).weight()
        for start in (Start.VAN_LOAN, Start.PRUNED, Start.PERMUTED)
    )
    torch.testing.assert_close(van_loans, materialise(*van_loan(layer.weight, (4, 3))))
    torch.testing.assert_close(pruned, materialise(*pruned_factors(layer.weight, (3, 2))))
    errors = [(weight - layer.weight).square().sum() for weight in (pruned, van_loans, moved)]
    assert errors[0] > errors[1] > errors[2]


def test_several_terms_have_a_scalar_each():
    layer = nn.Linear(6, 12)
    made = KroneckerFactorisation((3, 2), terms=2, scalars=True, scalar=4.0)(layer)
    assert made.scalars.tolist() == [4.0, 4.0] and made.terms == 2
    plain = KroneckerFactorisation((3, 2), terms=2)(layer)
    torch.testing.assert_close(made.weight(), plain.weight())
    torch.testing.assert_close(trained_scalars(nn.ModuleList([made, plain, nn.Linear(2, 2)])), torch.full((2,), 4.0))
    assert trained_scalars(plain).shape == (0,)


def test_settings_are_values():
    assert KroneckerFactorisation((2, 1)) == KroneckerFactorisation((2, 1), 1, Start.VAN_LOAN, False, 1.0)
    assert KroneckerFitToInputs((2, 1)) == KroneckerFitToInputs((2, 1), sweeps=10, damping=0.01)
    assert KroneckerFitToInputs((2, 1), damping=0.0).damping == 0
    for method, name in ((KroneckerFactorisation((2, 1)), "terms"), (KroneckerFitToInputs((2, 1)), "sweeps")):
        with pytest.raises(FrozenInstanceError):
            setattr(method, name, 2)
    with pytest.raises(ValueError, match="keeps their order"):
        KroneckerFitToInputs((2, 1), start=Start.PERMUTED)


def test_a_second_factor_that_divides_one_side_alone_is_refused():
    for second in ((5, 1), (1, 5)):
        with pytest.raises(ValueError, match="do not divide a weight of 12 x 6"):
            KroneckerFactorisation(second)(nn.Linear(6, 12))


def test_a_fit_damps_by_a_share_of_the_mean_diagonal_and_keeps_scalars():
    layer = nn.Linear(6, 12, bias=False).requires_grad_(False)
    layer.weight.copy_(torch.randn(12, 6, generator=torch.Generator().manual_seed(0)))
    inputs = torch.randn(20, 6, generator=torch.Generator().manual_seed(1)) * torch.logspace(-1, 1, 6)
    gram = GramMatrix(layer)
    gram.add(inputs)
    damped = gram.sum + 0.5 * gram.sum.diagonal().mean() * torch.eye(6, dtype=torch.float64)
    before = gram.sum.clone()
    made = KroneckerFitToInputs((3, 2), damping=0.5, sweeps=3)(layer, gram)
    (first, second), _ = fit_to_inputs(layer.weight, damped, van_loan(layer.weight, (4, 3)), sweeps=3)
    torch.testing.assert_close(made.weight(), materialise(first, second))
    assert torch.equal(gram.sum, before)
