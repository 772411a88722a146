"""A teacher's weights beside the record: what comes back, when it is trained anew, and what is refused."""

import pytest
import torch
from safetensors import safe_open
from torch import nn

from bench.krony.kept import FILE, kept_weights
from models.errors import InputError
from models.gpt2 import GPT2Shape, build

SHAPE = GPT2Shape(layers=2, width=24, heads=2, vocabulary=64, positions=8)


def model(seed, shape=SHAPE):
    return build(shape, seed=seed, initial_scale=0.05)


def not_called():
    raise AssertionError("trained again")


def weights(of):
    return [parameter.detach() for parameter in of.parameters()]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "kept" / FILE


def test_the_next_run_has_the_same_weights_and_trains_nothing(path):
    first = kept_weights(path, model(1), "one", lambda: model(2))
    again = kept_weights(path, model(3), "one", not_called)
    assert all(map(torch.equal, weights(first), weights(again)))
    assert not any(parameter.requires_grad for parameter in again.parameters()) and not again.training
    assert again.lm_head.weight is again.transformer.wte.weight


def test_students_start_without_dropout(path):
    """GPT-2's configuration has 0.1 where it is not told otherwise."""
    for _ in range(2):
        teacher = kept_weights(
            path, build(SHAPE, seed=1, dropout=0.1), "one", lambda: build(SHAPE, seed=2, dropout=0.1)
        )
        assert {module.p for module in teacher.modules() if isinstance(module, nn.Dropout)} == {0.0}


def test_what_something_else_decided_is_trained_and_written_anew(path):
    kept_weights(path, model(1), "one", lambda: model(2))
    other = kept_weights(path, model(1), "two", lambda: model(4))
    assert all(map(torch.equal, weights(other), weights(kept_weights(path, model(1), "two", not_called))))


def test_a_large_teacher_is_not_written(path, monkeypatch):
    monkeypatch.setattr("bench.krony.kept.MOST_PARAMETERS", 1000)
    kept_weights(path, model(1), "one", lambda: model(2))
    assert not path.exists()


def test_a_training_that_fails_leaves_what_was_kept(path):
    kept_weights(path, model(1), "one", lambda: model(2))
    with pytest.raises(AssertionError, match="trained again"):
        kept_weights(path, model(1), "two", not_called)
    with safe_open(path, framework="pt") as file:
        assert file.metadata() == {"decided_by": "one"}


@pytest.mark.parametrize("damage", ["cut", "text", "shape", "architecture"])
def test_a_file_that_cannot_be_used_is_refused_by_name(path, damage):
    larger, deeper = (GPT2Shape(2, 48, 2, 64, 8), GPT2Shape(3, 24, 2, 64, 8))
    kept_weights(path, model(1), "one", lambda: model(2))
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "text":
        path.write_text("no weights")
    wanted = {"shape": larger, "architecture": deeper}.get(damage, SHAPE)
    with pytest.raises(InputError, match=r"ladder-teacher.*restore it from git"):
        kept_weights(path, model(1, wanted), "one", not_called)
