"""Tiny random models, Hypothesis profiles, and nothing from the network."""

import os

import pytest
import torch
from hypothesis import settings

from tests.tiny_models import VOCABULARY, saved, tiny_gpt2, tiny_llama, tiny_opt

settings.register_profile("default", deadline=None, derandomize=True, max_examples=60, print_blob=True)
settings.register_profile("search", deadline=None, max_examples=2000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(params=[tiny_gpt2, tiny_llama, tiny_opt], ids=["gpt2", "llama", "opt"])
def tiny(request):
    """A random decoder of three blocks, its GPT-2 layers already nn.Linear."""
    from models.load import use_linear_layers

    model = request.param()
    use_linear_layers(model)
    model.requires_grad_(False)
    return model


@pytest.fixture
def tokens():
    return torch.randint(0, VOCABULARY, (4, 16), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="session")
def gpt2_folder(tmp_path_factory):
    return saved(tiny_gpt2(), tmp_path_factory.mktemp("tiny-gpt2"))


@pytest.fixture(scope="session")
def llama_folder(tmp_path_factory):
    return saved(tiny_llama(), tmp_path_factory.mktemp("tiny-llama"))


@pytest.fixture(scope="session")
def opt_folder(tmp_path_factory):
    return saved(tiny_opt(), tmp_path_factory.mktemp("tiny-opt"))


@pytest.fixture(scope="session")
def text_file(tmp_path_factory):
    """Sixteen documents of 120 words that follow a pattern, separated as the reader expects."""
    generator = torch.Generator().manual_seed(2)
    documents = [
        " ".join(f"w{i}" for i in torch.randint(0, VOCABULARY - 1, (120,), generator=generator).tolist())
        for _ in range(16)
    ]
    path = tmp_path_factory.mktemp("text") / "documents.txt"
    path.write_text("\n<|endoftext|>\n".join(documents), encoding="utf-8")
    return path
