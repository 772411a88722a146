"""Blocks that one device kept, on another."""

import pytest
import torch

from compress.kept_blocks import KeptBlocks
from compress.quantization.int8 import SmoothQuant
from compress.swap import apply
from models.load import find_blocks, use_linear_layers
from tests.pretend_device import pretended_cuda
from tests.tiny_models import hidden, tiny_opt

METHOD = SmoothQuant()
"""Its layers keep a weight, a bias and input scales."""


def compressed_on(device, folder):
    """Final hidden states of a tiny model that is compressed on a device, with its blocks kept in a folder."""
    model, tokens = tiny_opt(), torch.arange(16).view(2, 8)
    use_linear_layers(model)
    model, tokens = model.to(device), tokens.to(device)
    apply(METHOD, find_blocks(model), forward=hidden(model), batches=[tokens], keep=folder)
    assert {tensor.device.type for tensor in (*model.parameters(), *model.buffers())} == {device}
    return hidden(model)(tokens).cpu()


def on_cuda(folder):
    with pretended_cuda(devices=2):
        return compressed_on("cuda", folder)


def test_a_gpu_goes_on_with_what_the_cpu_kept(tmp_path):
    assert torch.equal(compressed_on("cpu", tmp_path), on_cuda(tmp_path))


def test_the_cpu_goes_on_with_what_a_gpu_kept(tmp_path):
    assert torch.equal(on_cuda(tmp_path), compressed_on("cpu", tmp_path))


def test_blocks_loaded_where_they_were_made_are_caught(tmp_path, monkeypatch):
    """With no place to load them to, a GPU is given layers on the CPU, and a machine without one cannot read."""
    load = KeptBlocks.load
    monkeypatch.setattr(KeptBlocks, "load", lambda self, index, _device: load(self, index, None))
    compressed_on("cpu", tmp_path / "cpu")
    with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
        on_cuda(tmp_path / "cpu")
    on_cuda(tmp_path / "cuda")
    with pytest.raises(RuntimeError, match=r"torch.cuda.is_available\(\) is False"):
        compressed_on("cpu", tmp_path / "cuda")
