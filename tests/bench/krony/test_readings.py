"""Readings while a student trains: where they lie, and that an interruption changes none of them."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.krony.readings import FRACTIONS, Readings, reading_steps, steps_of
from bench.measure.parted_text import Tokens
from models.errors import InputError
from models.training.train import Training, train
from tests.tiny_models import VOCABULARY, tiny_gpt2


@given(st.integers(1, 5000))
def test_readings_rise_to_the_end_and_hold_every_checkpoint(steps):
    read = reading_steps(steps)
    assert read == sorted(set(read)) and read[0] >= 1 and read[-1] == steps
    assert set(steps_of(steps).values()) <= set(read) and len(read) <= 90


def test_equal_shares_of_trainings_of_unequal_length_are_equal_tokens():
    """Half of 3,200 steps are 1,600, all of a student that reads half."""
    assert steps_of(3200)[0.5] == steps_of(1600)[1.0] and steps_of(3200)[1 / 8] == steps_of(1600)[1 / 4]
    assert steps_of(3200) == {0.1: 320, 1 / 8: 400, 1 / 4: 800, 1 / 2: 1600, 1.0: 3200}


def test_students_of_half_the_tokens_are_read_where_others_are():
    whole, half = (reading_steps(steps) for steps in (3200, 1600))
    assert len([step for step in {*whole} & {*half} if 800 <= step <= 1600]) >= 16


@pytest.fixture
def text():
    draw = torch.Generator().manual_seed(5)
    windows = torch.randint(0, VOCABULARY, (20, 8), generator=draw)
    return Tokens(windows[:12].flatten(), windows[12:16], [windows[16:18], windows[18:]])


def trained(folder, text, *, steps, stop=None, parts=1):
    """Readings of a run that is cut off after so many steps, if at all."""
    model, done = tiny_gpt2().requires_grad_(True), 0
    readings = Readings(folder, text, steps, parts)
    windows = text.training.view(-1, 8)
    if folder.exists():
        done = max((int(path.name[-8:]) for path in folder.glob("step-*")), default=0)

    def watch(_tokens, _loss):
        nonlocal done
        done += 1
        readings.take(model, done)
        if done == stop:
            raise KeyboardInterrupt

    training = Training(steps, 2, 1e-3)
    history = train(model, windows, training, folder=folder, save_every=2, watch=watch)
    return readings.gathered(history.tokens)


def test_a_reading_leaves_the_training_as_it_is(tmp_path, text):
    model, plain = (tiny_gpt2().requires_grad_(True) for _ in range(2))
    readings, count = Readings(tmp_path, text, 4), iter(range(1, 5))
    windows, training = text.training.view(-1, 8), Training(4, 2, 1e-3)
    read = train(model, windows, training, watch=lambda *_: readings.take(model, next(count)))
    assert read.losses == train(plain, windows, training, watch=lambda *_: None).losses


def test_a_run_that_was_interrupted_has_the_same_readings(tmp_path, text):
    whole = trained(tmp_path / "whole", text, steps=6)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "cut", text, steps=6, stop=5)
    again = trained(tmp_path / "cut", text, steps=6)
    assert whole.keys() == again.keys()
    assert all(np.array_equal(whole[name], again[name]) for name in whole)


def test_arrays_have_a_row_a_checkpoint(tmp_path, text):
    arrays = trained(tmp_path, text, steps=8)
    assert arrays["scored"].shape == (len(FRACTIONS), 2) and arrays["held_out"].shape == arrays["along"].shape
    assert arrays["tokens"].tolist() == [16, 16, 32, 64, 128]
    assert set(arrays["tokens"]) <= set(arrays["along"])


def test_smaller_batches_are_read_after_as_many_tokens(tmp_path, text):
    arrays = trained(tmp_path, text, steps=16, parts=4)
    assert arrays["along"].tolist() == [64, 128, 192, 256]


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 torn", b"words"])
def test_a_damaged_reading_is_named_with_the_way_out(tmp_path, text, content):
    readings = Readings(tmp_path, text, 1)
    for step in reading_steps(1):
        np.savez(tmp_path / f"reading-{step:08d}.npz", held_out=np.zeros(1))
        path = tmp_path / f"reading-{step:08d}.npz"
        path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(InputError, match=r"the reading .*reading-00000001\.npz is missing or damaged .*; delete "):
        readings.gathered(1)


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_torn_reading_is_named_with_the_way_out(tmp_path, text, share):
    path = tmp_path / "reading-00000001.npz"
    np.savez(path, held_out=np.zeros(99))
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(InputError, match="is missing or damaged"):
        Readings(tmp_path, text, 1).gathered(1)
