"""Factorised layers in live models: which layers change, and the fit to calibration inputs."""

import math

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM

from compress.factorisation.kronecker.method import KroneckerFactorisation, KroneckerFitToInputs, Start
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
