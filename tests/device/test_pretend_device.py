"""The pretended device itself: PyTorch's rules for mixing devices, what it refuses and counts, and that it goes."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import vmap

from tests.pretend_device import pretended_cuda

CUDA = torch.device("cuda", 0)


@pytest.fixture
def counts():
    with pretended_cuda() as counts:
        yield counts


@pytest.fixture
def matrix(counts):
    return torch.arange(9.0).view(3, 3).to("cuda")


MIXED = {
    "sum": lambda matrix: matrix + torch.ones(3),
    "product": lambda matrix: matrix @ torch.ones(3, 3),
    "equal": lambda matrix: torch.equal(matrix, torch.ones(3, 3)),
    "cat": lambda matrix: torch.cat([matrix, torch.ones(3, 3)]),
    "gather": lambda matrix: matrix.gather(0, torch.zeros(1, 3, dtype=torch.long)),
    "embedding": lambda matrix: nn.functional.embedding(torch.tensor([1]), matrix),
    "index of a CPU tensor": lambda matrix: torch.ones(9)[matrix.long()],
    "CPU values put in": lambda matrix: matrix.index_put_((torch.tensor([0]),), torch.ones(1, 3)),
    "scalar from CUDA": lambda matrix: torch.ones(3) + matrix[0, 0],
    "CPU tensor changed in place": lambda matrix: torch.zeros(()).add_(matrix[0, 0]),
    "result into a CPU tensor": lambda matrix: torch.add(matrix, 1, out=torch.zeros(3, 3)),
    "under vmap": vmap(lambda row: row * torch.ones(3)),
    "in the backward pass": lambda matrix: _half_moved(matrix).backward(),
}


def _half_moved(matrix):
    """Loss whose backward pass meets a CPU tensor."""
    left = torch.ones(3, 3)

    class Scaled(torch.autograd.Function):
        @staticmethod
        def forward(_ctx, x):
            return x * 2

        @staticmethod
        def backward(_ctx, gradient):
            return gradient * left

    return Scaled.apply(matrix.requires_grad_()).sum()


@pytest.mark.parametrize("mixed", MIXED.values(), ids=MIXED)
def test_mixing_devices_raises(matrix, mixed):
    with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
        mixed(matrix)


ALLOWED = {
    "CPU scalar": lambda matrix: matrix + torch.ones(()),
    "CPU scalar as a choice": lambda matrix: torch.where(matrix > 1, matrix, torch.zeros(())),
    "CPU indices": lambda matrix: matrix[torch.tensor([0, 2])],
    "CPU scalar filled in": lambda matrix: matrix.masked_fill(matrix > 1, torch.zeros(())),
    "copy": lambda matrix: matrix.copy_(torch.ones(3, 3)),
    "under vmap": vmap(lambda row: row.softmax(0) + torch.zeros_like(row)),
}


@pytest.mark.parametrize("allowed", ALLOWED.values(), ids=ALLOWED)
def test_what_pytorch_lets_meet_gives_a_tensor_on_the_device(matrix, allowed):
    assert allowed(matrix).device == CUDA


def test_views_copies_and_gradients_stay_on_the_device(matrix):
    matrix.requires_grad_(True)
    (matrix[1:].T.reshape(-1) ** 2).sum().backward()
    held = [matrix[0], matrix.T, matrix.detach(), matrix.grad, copy.deepcopy(matrix.detach()), matrix.double()]
    assert {tensor.device for tensor in held} == {CUDA} and all(tensor.is_cuda for tensor in held)
    assert not matrix.cpu().is_cuda


def test_a_module_and_its_buffers_move_and_come_back(counts):
    module = nn.BatchNorm1d(3)
    moved = [tensor.device for tensor in module.to("cuda").state_dict().values()]
    back = [tensor.device.type for tensor in module.cpu().state_dict().values()]
    assert set(moved) == {CUDA} and set(back) == {"cpu"}


def test_factories_give_tensors_where_they_are_asked_for(matrix):
    made = [torch.zeros(2, device="cuda"), torch.as_tensor(np.ones(2), device=CUDA), matrix.new_ones(2)]
    assert {tensor.device for tensor in made} == {CUDA}
    own = torch.ones(2)
    assert torch.as_tensor(own, device="cuda").is_cuda and not own.is_cuda
    assert not torch.zeros_like(matrix, device="cpu").is_cuda
    assert torch.empty(2, device="meta").is_meta


def test_cpu_generators_are_refused(matrix):
    generator = torch.Generator().manual_seed(0)
    for draw in (
        lambda: torch.randn(2, device="cuda", generator=generator),
        lambda: matrix.normal_(generator=generator),
    ):
        with pytest.raises(RuntimeError, match="Expected a 'cuda' device type for generator"):
            draw()


def test_numpy_is_refused(matrix):
    for convert in (matrix.numpy, lambda: np.asarray(matrix)):
        with pytest.raises(TypeError, match=r"can't convert cuda:0 device type tensor to numpy"):
            convert()


WAITS = {
    "item": lambda matrix: matrix[0, 0].item(),
    "float": lambda matrix: float(matrix[0, 0]),
    "branch": lambda matrix: 1 if (matrix > 1).all() else 0,
    "equal": lambda matrix: torch.equal(matrix, matrix),
    "nonzero": lambda matrix: matrix.nonzero(),
    "boolean index": lambda matrix: matrix[matrix > 1],
    "put by a mask": lambda matrix: matrix.__setitem__(matrix > 1, 0.0),
    "to the CPU": lambda matrix: matrix.cpu(),
    "copy into a CPU tensor": lambda matrix: torch.empty(3, 3).copy_(matrix),
    "tolist": lambda matrix: matrix.tolist(),
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_waits_are_counted(matrix, counts, wait):
    counts.synchronisations.clear()
    wait(matrix)
    assert counts.synchronisations.total() == 1


def test_work_without_a_wait_is_counted_as_launches_alone(matrix, counts):
    counts.launches.clear()
    _ = (matrix @ matrix).relu()[0]
    assert counts.launches == {"mm": 1, "relu": 1} and not counts.synchronisations


def test_several_devices_do_not_meet_and_the_current_one_is_meant_by_cuda():
    with pretended_cuda(devices=2):
        first, second = torch.ones(2, device="cuda"), torch.ones(2, device="cuda:1")
        with pytest.raises(RuntimeError, match=r"cuda:0 .*cuda:1"):
            first + second
        torch.cuda.set_device(1)
        assert (torch.ones(2).cuda() + second).device.index == 1 == first.to("cuda").device.index
        with pytest.raises(RuntimeError, match="invalid device ordinal"):
            first.to("cuda:2")


def test_saved_tensors_remember_their_device(tmp_path):
    with pretended_cuda():
        torch.save(torch.ones(2, device="cuda"), tmp_path / "tensor.pt")
        assert torch.load(tmp_path / "tensor.pt", weights_only=True).device == CUDA
        assert not torch.load(tmp_path / "tensor.pt", weights_only=True, map_location="cpu").is_cuda
    with pytest.raises(RuntimeError, match=r"torch.cuda.is_available\(\) is False"):
        torch.load(tmp_path / "tensor.pt", weights_only=True)


def test_nothing_is_left_in_place_afterwards():
    before = dict(vars(torch.cuda)), list(torch.serialization._package_registry), torch.sparse.to_sparse_semi_structured
    with pytest.raises(KeyError), pretended_cuda():
        kept = torch.ones(2, device="cuda")
        raise KeyError
    assert before[0] == vars(torch.cuda)
    assert before[1:] == (torch.serialization._package_registry, torch.sparse.to_sparse_semi_structured)
    assert not kept.is_cuda and (kept + torch.ones(2)).tolist() == [2, 2]
    with pytest.raises((RuntimeError, AssertionError)):
        torch.ones(2, device="cuda")
