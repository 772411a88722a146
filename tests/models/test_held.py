"""Bytes that a model holds: packed weights count as what they are made of, and what is shared counts once."""

import shutil

import pytest
import torch
from gguf import GGMLQuantizationType
from safetensors.torch import save_file
from torch import nn

from models.held import dense_bytes, held_bytes, held_tensors
from models.load import load
from models.sources import EMBEDDED, weight_bytes
from tests.gguf_files import wide_llama, write


def test_tied_weights_and_views_are_held_once():
    model = nn.ModuleList([nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)])
    model[1].weight = model[0].weight
    model.register_buffer("part", model[0].weight.detach()[:2])
    assert held_bytes(model) == 64


def test_a_dense_model_holds_its_parameters_and_buffers(llama_folder):
    model = load(str(llama_folder)).model
    tensors = {id(each): each for each in (*model.parameters(), *model.buffers())}
    assert held_bytes(model) == sum(each.numel() * each.element_size() for each in tensors.values())


class Packed(torch.Tensor):
    """A wrapper that looks like a float32 weight and is made of codes and scales."""

    @staticmethod
    def __new__(cls, codes, scales):
        return torch.Tensor._make_wrapper_subclass(cls, codes.shape, dtype=torch.float32)

    def __init__(self, codes, scales):
        self.codes, self.scales = codes, scales

    def __tensor_flatten__(self):
        return ["codes", "scales"], None

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.detach.default:
            return Packed(args[0].codes, args[0].scales)
        raise NotImplementedError


def test_a_packed_tensor_counts_as_its_parts():
    layer = nn.Linear(8, 6, bias=False)
    packed = Packed(torch.zeros(6, 8, dtype=torch.int8), torch.zeros(6, 1))
    layer.weight = nn.Parameter(packed, requires_grad=False)
    assert [name for name, _ in held_tensors(layer)] == ["weight.codes", "weight.scales"]
    assert held_bytes(layer) == 48 + 24


def test_states_of_parameters_and_layers_count():
    class State:
        def __init__(self, **values):
            vars(self).update(values)

    layer = nn.Linear(8, 6, bias=False)
    layer.weight = nn.Parameter(torch.zeros(24, dtype=torch.uint8), requires_grad=False)
    scales = torch.zeros(3)
    layer.weight.quant_state = State(absmax=scales, nested=State(code=torch.zeros(16)), shape=(6, 8))
    layer.state = State(again=scales, rows=[torch.zeros(2)])
    assert held_bytes(layer) == 24 + 12 + 64 + 8


def test_only_files_that_are_read_count(llama_folder, tmp_path):
    folder = shutil.copytree(llama_folder, tmp_path / "copied")
    size = (folder / "model.safetensors").stat().st_size
    (folder / "pytorch_model.bin").write_bytes(bytes(1000))
    save_file({"spare": torch.zeros(10)}, folder / "spare.safetensors")
    assert weight_bytes(str(folder)) == size == dense_bytes(str(folder), load(str(folder)).model)


@pytest.mark.parametrize(("dtype", "width"), [(torch.float32, 4), (torch.bfloat16, 2)])
def test_the_embedded_model_counts_packed_on_disk_and_at_its_dtype_as_the_dense_one(
    dtype, width, tmp_path, monkeypatch
):
    write(wide_llama(), tmp_path / "model.gguf", GGMLQuantizationType.Q4_1)
    monkeypatch.setattr("models.sources.fetch", lambda asset: tmp_path / "model.gguf")
    model = wide_llama().to(dtype)
    weights = sum(weight.numel() for weight in model.parameters())
    size = (tmp_path / "model.gguf").stat().st_size
    assert (weight_bytes(EMBEDDED), dense_bytes(EMBEDDED, model)) == (size, weights * width)
