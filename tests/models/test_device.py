"""Devices: what is refused and in which words, and how exactly the suite computes."""

import pytest
import torch

from models.device import broken, capability, card, check_device, check_memory, out_of_memory, use
from models.errors import InputError


@pytest.fixture
def two_gpus(monkeypatch):
    """Two GPUs of capability 9.0, of which the second has 3 of 80 GB free."""
    free = {"cuda:0": 79 * 10**9, "cuda:1": 3 * 10**9, "cuda": 79 * 10**9}
    answers = {
        "is_available": lambda: True,
        "device_count": lambda: 2,
        "get_arch_list": lambda: ["sm_75", "sm_90", "sm_90a", "sm_120", "compute_120"],
        "get_device_capability": lambda device: (9, 0),
        "get_device_name": lambda device: "a card",
        "mem_get_info": lambda device: (free[str(device)], 80 * 10**9),
    }
    for name, answer in answers.items():
        monkeypatch.setattr(torch.cuda, name, answer)


@pytest.mark.parametrize(
    ("device", "sentence"),
    [
        ("gpu", "'gpu' is none that PyTorch knows; use cpu, cuda or cuda:1"),
        ("", "'' is none that PyTorch knows"),
        ("cuda:x", "'cuda:x' is none that PyTorch knows"),
        ("mps", "mps was asked for and this suite computes on cpu and cuda alone"),
        ("xpu", "xpu was asked for and this suite computes on cpu and cuda alone"),
        ("meta", "meta was asked for and this suite computes on cpu and cuda alone"),
        ("cuda:7", r"cuda:7 was asked for and this machine has 2 CUDA GPU\(s\), numbered from 0; use --device=cuda:1"),
    ],
)
def test_a_device_that_is_not_there_is_named(two_gpus, device, sentence):
    with pytest.raises(InputError, match=sentence):
        check_device(device)


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:0", "cuda:1"])
def test_what_is_there_passes(two_gpus, device):
    check_device(device)


def test_a_machine_without_a_gpu_is_told_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="this machine has no CUDA GPU; use --device=cpu"):
        check_device("cuda")


def test_a_card_older_than_every_kernel_is_refused(two_gpus, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (5, 2))
    with pytest.raises(InputError, match=r"a card has compute capability 5\.2 and this PyTorch has kernels from 7\.5"):
        check_device("cuda")


def test_a_busy_gpu_is_refused_with_what_it_has_free(two_gpus):
    check_memory("cuda:0", 40)
    with pytest.raises(InputError, match=r"\(cuda:1\) has 3\.0 of 80\.0 GB free and the run plans with 40; give --gpu"):
        check_memory("cuda:1", 40)


def test_a_cpu_has_no_card_and_all_the_memory():
    check_memory("cpu", float("inf"))
    assert card("cpu") is None and capability("cpu") is None


def test_the_suite_sets_the_precision_of_products(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        use("cpu")
        assert torch.get_float32_matmul_precision() == "highest"
        assert not torch.backends.cuda.matmul.allow_tf32
        assert not torch.backends.cudnn.allow_tf32
    finally:
        torch.set_float32_matmul_precision(before)


def test_a_numbered_gpu_becomes_the_current_one(two_gpus, monkeypatch):
    chosen = []
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    use("cuda:1")
    use("cuda")
    assert chosen == [torch.device("cuda:1")]


def test_a_full_and_a_broken_gpu_are_told_apart():
    full, failed = torch.OutOfMemoryError("CUDA out of memory. Tried\nmore"), torch.AcceleratorError("CUDA error: x\ny")
    assert "ran out of memory (CUDA out of memory. Tried); give a lower --gpu-memory" in out_of_memory(full)
    assert "the GPU failed (CUDA error: x)" in broken(failed)
    assert not broken(full) and not out_of_memory(failed)
    assert not broken(RuntimeError("shape")) and not out_of_memory(RuntimeError("shape"))
