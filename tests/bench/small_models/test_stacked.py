"""Stacks of seeds: all on the CPU, and on a GPU as many as the planned memory holds."""

from types import SimpleNamespace

import pytest
import torch

from bench.small_models.stacked import at_once
from models.errors import InputError
from models.memory import room
from models.t5 import T5Shape, build
from models.text_to_text import TargetLoss
from models.training.memory import stacked_step_bytes
from models.training.plan import Training

MODEL = build(T5Shape(1, 1, 16, 8, 4, 2, vocabulary=50), seed=0)
ROWS = torch.zeros(6, 24 + 5 + 1, dtype=torch.long)
HOW, LOSS = Training(1, 6, 1e-3), TargetLoss(24)


def stack(gigabytes, device="cuda"):
    return at_once(SimpleNamespace(device=device, gpu_memory=gigabytes), MODEL, [ROWS], HOW, LOSS)


def test_the_cpu_stacks_all_seeds():
    assert stack(1e-9, "cpu") is None


def test_a_gpu_stacks_what_its_memory_holds_beside_the_rows():
    one = stacked_step_bytes(MODEL, [ROWS], HOW, LOSS)
    gigabyte = room(1)
    assert stack((3 * one + ROWS.nbytes + 1000) / gigabyte) == 3
    assert stack((3 * one + ROWS.nbytes - 1000) / gigabyte) == 2


def test_what_no_memory_holds_is_refused_in_one_sentence():
    with pytest.raises(InputError, match="give a larger --gpu-memory or a lower --effort"):
        stack(1e-6, "cuda:1")
