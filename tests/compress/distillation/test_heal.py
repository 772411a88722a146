"""Block-local healing lowers the error of trained blocks and changes nothing else."""

import copy
from dataclasses import FrozenInstanceError

import pytest
import torch

from compress.calibrate import block_inputs
from compress.distillation.heal import Healing, heal, relative_error
from compress.factorisation.kronecker.linear import KroneckerLinear
from compress.factorisation.kronecker.method import KroneckerFactorisation
from compress.swap import apply
from models.gpt2 import keep_layers
from models.load import find_blocks
from tests.tiny_models import hidden, mlp


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


@pytest.mark.parametrize("settings", [{"passes": -1}, {"learning_rate": 0.0}, {"learning_rate": float("nan")}])
def test_healing_that_means_nothing_is_refused(settings):
    with pytest.raises(ValueError, match="give at least 0 and above 0"):
        Healing(**settings)
    assert Healing() == Healing(2, 1e-3)
    with pytest.raises(FrozenInstanceError):
        Healing().passes = 3


def healed(model, batches, healing, stands_for=None, **more):
    student = copy.deepcopy(model)
    apply(KroneckerFactorisation((4, 1)), find_blocks(student), chosen=mlp)
    inputs = block_inputs(hidden(model), find_blocks(model)[0], batches)
    before = [value.clone() for value in student.parameters()]
    errors = heal(find_blocks(student), find_blocks(model), inputs, trained, healing, stands_for=stands_for, **more)
    return student, errors, before, inputs


def test_no_passes_train_nothing_and_tell_the_error(model, batches):
    student, errors, before, inputs = healed(model, batches, Healing(passes=0))
    assert all(torch.equal(a, b) for a, b in zip(student.parameters(), before, strict=True))
    ours, theirs = inputs, inputs
    for (start, after), block, dense in zip(errors, find_blocks(student), find_blocks(model), strict=True):
        with torch.no_grad():
            ours, theirs = (
                [batch.through(each) for batch in batches] for each, batches in ((block, ours), (dense, theirs))
            )
            expected = [relative_error(a.hidden, b.hidden).item() for a, b in zip(ours, theirs, strict=True)]
        assert start == after == pytest.approx(sum(expected) / len(expected)) and start > 0


def test_every_training_step_tells_its_tokens(model, batches):
    told = []
    healed(model, batches, Healing(passes=2), advance=told.append)
    assert told == [2 * 16] * (3 * 2 * len(batches))


def test_parameters_take_gradients_only_while_they_are_trained(model, batches):
    student, *_ = healed(model, batches, Healing(passes=1))
    for block in find_blocks(student):
        assert all(parameter.grad is None for parameter in block.parameters())
    assert [p.requires_grad for b in find_blocks(student) for p in trained(b)] == [True] * sum(
        len(trained(b)) for b in find_blocks(student)
    )


@pytest.mark.parametrize("stands_for", [[0, 1], [0, 2, 1], [0, 1, 1], [0, 1, 3], [0, 1, 2, 2], [0, 1, 2, 3]])
def test_blocks_stand_for_rising_numbers_that_there_are(model, batches, stands_for):
    with pytest.raises(ValueError, match="3 blocks cannot stand for the dense blocks"):
        healed(model, batches, Healing(passes=0), stands_for)


def test_a_state_of_zeros_is_an_error_and_not_infinite():
    assert relative_error(torch.ones(1, 2), torch.zeros(1, 2)).item() == pytest.approx(2e12)
    assert relative_error(torch.zeros(3, 2), torch.zeros(3, 2)).item() == 0
