"""Factorised layers in live models: swapping, healing, saving, the way back to dense."""

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from transformers import AutoModelForCausalLM

from compress.calibrate import block_inputs
from compress.distillation.heal import Healing, heal, relative_error
from compress.distillation.losses import hidden_direction_loss, soft_target_loss, triple_loss
from compress.factorisation.kronecker.embedding import factorised_embedding
from compress.factorisation.kronecker.folder import load_factorised, save_factorised
from compress.factorisation.kronecker.linear import KroneckerLinear
from compress.factorisation.kronecker.method import KroneckerFactorisation, KroneckerFitToInputs, Start, make_dense
from compress.factorisation.kronecker.sums import materialise
from compress.statistics import GramMatrix
from compress.swap import apply, compressed
from models.gpt2 import GPT2Shape, build, keep_layers, save_as_gpt2, unique_parameters
from models.load import find_blocks, use_linear_layers

SHAPE = GPT2Shape(layers=3, width=12, heads=2, vocabulary=29, positions=16)


def mlp(_name, layer):
    return 48 in (layer.in_features, layer.out_features)


@pytest.fixture
def model():
    return build(SHAPE, seed=1, initial_scale=0.3).eval().requires_grad_(False)


@pytest.fixture
def batches():
    return list(torch.randint(0, 29, (4, 2, 16), generator=torch.Generator().manual_seed(3)))


def hidden(model):
    return lambda tokens: model.base_model(input_ids=tokens, use_cache=False).last_hidden_state


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

    def error(found):
        return (found(inputs) - layer(inputs)).square().sum().item()

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


@pytest.mark.parametrize("scalars", [False, True])
def test_saved_and_dense_give_the_same_logits(model, batches, tmp_path, scalars):
    dense_twin = copy.deepcopy(model)
    apply(KroneckerFactorisation((2, 1), scalars=scalars), find_blocks(model), chosen=mlp)
    expected = model(input_ids=batches[0]).logits
    save_factorised(model, tmp_path / "factors")
    again = build(SHAPE, seed=77).eval()
    load_factorised(again, tmp_path / "factors")
    assert torch.equal(again(input_ids=batches[0]).logits, expected)
    with pytest.raises(ValueError, match=r"another architecture|does not have"):
        load_factorised(build(GPT2Shape(2, 12, 2, 29, 16), seed=0), tmp_path / "factors")
    with pytest.raises(ValueError, match="save_factorised wrote"):
        load_factorised(dense_twin, tmp_path)
    assert make_dense(model) == 6
    save_as_gpt2(model, tmp_path / "dense")
    opened = AutoModelForCausalLM.from_pretrained(tmp_path / "dense").eval()
    torch.testing.assert_close(opened(input_ids=batches[0]).logits, expected, rtol=1e-4, atol=1e-5)


def test_factorised_embedding_and_orders_are_saved_too(model, batches, tmp_path):
    apply(KroneckerFactorisation((4, 2), terms=2, start=Start.PERMUTED), find_blocks(model)[1::2], chosen=mlp)
    model.lm_head.weight = nn.Parameter(model.lm_head.weight.detach().clone())
    model.set_input_embeddings(factorised_embedding(model.get_input_embeddings(), (2, 1), 1))
    expected = model(input_ids=batches[0]).logits
    save_factorised(model, tmp_path)
    again = build(SHAPE, seed=5).eval()
    again.lm_head.weight = nn.Parameter(again.lm_head.weight.detach().clone())
    load_factorised(again, tmp_path)
    assert torch.equal(again(input_ids=batches[0]).logits, expected)


def test_embedding_is_padded_and_exact_with_all_terms(model, batches):
    table = model.get_input_embeddings()
    found = factorised_embedding(table, (4, 2), 8)
    torch.testing.assert_close(found(batches[0]), table(batches[0]), rtol=1e-5, atol=1e-5)
    assert materialise(found.first, found.second).shape == (32, 12)


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


def trained(block):
    return [p for m in block.modules() if isinstance(m, KroneckerLinear) for p in m.parameters()]


def test_healing_lowers_every_blocks_error_and_nothing_else(model, batches):
    student = copy.deepcopy(model)
    apply(KroneckerFactorisation((4, 1)), find_blocks(student), chosen=mlp)
    before = {name: value.clone() for name, value in student.named_parameters()}
    inputs = block_inputs(hidden(model), find_blocks(model)[0], batches)
    errors = heal(find_blocks(student), find_blocks(model), inputs, trained, Healing(passes=20, learning_rate=3e-3))
    assert len(errors) == 3 and all(after < start for start, after in errors)
    changed = {name for name, value in student.named_parameters() if not torch.equal(value, before[name])}
    assert changed and all(".mlp." in name for name in changed)
    assert not any(parameter.requires_grad and parameter.grad is not None for parameter in student.parameters())


def test_healing_an_exact_copy_changes_nothing(model, batches):
    student = copy.deepcopy(model)
    inputs = block_inputs(hidden(model), find_blocks(model)[0], batches)
    errors = heal(
        find_blocks(student), find_blocks(model), inputs, lambda block: block.mlp.parameters(), Healing(passes=3)
    )
    assert errors == [(0.0, 0.0)] * 3
    for ours, theirs in zip(student.parameters(), model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_block_can_stand_for_two(model, batches):
    student = keep_layers(model, [0, 2])
    inputs = block_inputs(hidden(model), find_blocks(model)[0], batches)

    def heals(stands_for):
        return heal(
            find_blocks(student),
            find_blocks(model),
            inputs,
            lambda block: block.mlp.parameters(),
            Healing(passes=10, learning_rate=3e-3),
            stands_for=stands_for,
        )

    (before, after), _ = heals([1, 2])
    assert after < before
    for wrong in ([0], [1, 1], [1, 3]):
        with pytest.raises(ValueError, match="cannot stand for"):
            heals(wrong)


def test_a_step_too_long_is_taken_back(model, batches):
    student = copy.deepcopy(model)
    apply(KroneckerFactorisation((4, 1)), find_blocks(student), chosen=mlp)
    before = [value.clone() for value in student.parameters()]
    inputs = block_inputs(hidden(model), find_blocks(model)[0], batches)
    errors = heal(find_blocks(student), find_blocks(model), inputs, trained, Healing(passes=2, learning_rate=1e6))
    assert all(after == start for start, after in errors)
    assert all(torch.equal(a, b) for a, b in zip(student.parameters(), before, strict=True))


def test_relative_error_weighs_tokens_alike():
    wanted = torch.tensor([[1.0, 0.0], [1000.0, 0.0]])
    assert relative_error(wanted * 1.1, wanted).item() == pytest.approx(0.01, rel=1e-5)


@given(st.integers(0, 1000), st.floats(0.2, 8))
def test_soft_targets_are_their_definition(seed, temperature):
    generator = torch.Generator().manual_seed(seed)
    student, teacher = (3 * torch.randn(2, 3, 7, generator=generator) for _ in range(2))
    p, q = (np.exp(x.double().numpy() / temperature) for x in (teacher, student))
    p, q = p / p.sum(-1, keepdims=True), q / q.sum(-1, keepdims=True)
    expected = temperature**2 * (p * np.log(p / q)).sum(-1).mean()
    assert soft_target_loss(student, teacher, temperature).item() == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_distillation_of_a_copy_and_its_refusals():
    logits, states = torch.randn(2, 3, 7), torch.randn(2, 3, 5)
    assert soft_target_loss(logits, logits).item() == pytest.approx(0, abs=1e-6)
    assert hidden_direction_loss(states, 3 * states).item() == pytest.approx(0, abs=1e-6)
    assert hidden_direction_loss(states, -states).item() == pytest.approx(2, abs=1e-6)
    hard = torch.tensor(math.log(7))
    assert triple_loss(hard, (logits, logits), (states, states)).item() == pytest.approx(math.log(7) / 4, abs=1e-6)
    with pytest.raises(ValueError, match="temperature is 0"):
        soft_target_loss(logits, logits, 0)
    with pytest.raises(ValueError, match="teacher's"):
        soft_target_loss(logits, logits[..., :5])
    with pytest.raises(ValueError, match="teacher's"):
        hidden_direction_loss(states, states[:1])


def test_no_gradient_reaches_the_teacher():
    student, teacher = nn.Linear(4, 6), nn.Linear(4, 6)
    inputs = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    soft_target_loss(student(inputs), teacher(inputs), 2.0).backward()
    assert student.weight.grad is not None and teacher.weight.grad is None
