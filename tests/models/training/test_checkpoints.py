"""Checkpoints that are torn, half-written or shared: the training goes on from a whole one, or says what is wrong."""

import json
import multiprocessing
import shutil

import pytest
import torch

from models.errors import InputError
from models.gpt2 import GPT2Shape, build
from models.training.checkpoints import HISTORY, newest, steps_done
from models.training.train import Training, train

SHAPE = GPT2Shape(layers=1, width=16, heads=2, vocabulary=31, positions=8)
TRAINING = Training(steps=4, batch=2, learning_rate=1e-2)


def run(folder, **options):
    windows = torch.randint(0, 31, (8, 8), generator=torch.Generator().manual_seed(2))
    return train(build(SHAPE, seed=1), windows, TRAINING, folder=folder, watch=lambda *_: None, **options)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    return folder, run(folder)


@pytest.fixture
def kept(trained, tmp_path):
    shutil.copytree(trained[0], tmp_path, dirs_exist_ok=True)
    return tmp_path / "step-00000004"


def cut(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def test_what_is_still_being_written_is_no_checkpoint(kept):
    shutil.copytree(kept, kept.with_name("step-00000009.part"))
    shutil.copytree(kept, kept.with_name("step-of-mine"))
    assert newest(kept.parent) == kept and steps_done(kept.parent) == 4


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.bin", "custom_checkpoint_0.pkl", HISTORY])
def test_a_torn_checkpoint_is_named_with_the_way_out(kept, name):
    cut(kept / name)
    with pytest.raises(InputError, match=r"step-00000004 is damaged \(.*\); delete it, and the training starts again"):
        run(kept.parent)


@pytest.mark.parametrize("content", ["[]", "{}", '{"training": 1, "history": {}}', '{"training": {}, "history": [1]}'])
def test_a_history_of_another_form_is_named(kept, content):
    (kept / HISTORY).write_text(content)
    with pytest.raises(InputError, match=r"is damaged .*delete it|holds a run with other settings"):
        run(kept.parent)


def test_what_killed_trainings_left_goes_with_the_next_checkpoint(trained, tmp_path):
    (tmp_path / "step-00000002.part").mkdir()
    (tmp_path / "step-00000004").mkdir()  # without a history: not whole
    (tmp_path / "step-00000004" / "left").touch()
    assert run(tmp_path).losses == trained[1].losses
    assert [path.name for path in tmp_path.glob("step-*")] == ["step-00000004"]
    assert json.loads((tmp_path / "step-00000004" / HISTORY).read_text())["history"]["losses"] == trained[1].losses


def _losses(folder, queue):
    queue.put(run(folder, save_every=1).losses)


@pytest.mark.slow
def test_two_trainings_in_one_folder_take_turns(trained, tmp_path):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    processes = [context.Process(target=_losses, args=(tmp_path, queue)) for _ in range(2)]
    for process in processes:
        process.start()
    assert [queue.get(timeout=120) for _ in processes] == [trained[1].losses] * 2
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
