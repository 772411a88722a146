"""A GPT-2 of three blocks, and tokens for it."""

import pytest
import torch

from models.gpt2 import build
from tests.tiny_models import SHAPE


@pytest.fixture
def model():
    return build(SHAPE, seed=1, initial_scale=0.3).eval().requires_grad_(False)


@pytest.fixture
def batches():
    return list(torch.randint(0, 29, (4, 2, 16), generator=torch.Generator().manual_seed(3)))
