"""A card is named and tried before an hour on it is spent; the kernels are those that a CPU has too."""

import pytest
import torch

from bench.gpu import check
from bench.gpu.__main__ import NO_DEVICE
from bench.gpu.kernels import Kernel, kernels, worst_error


@pytest.mark.parametrize("kernel", [kernel for kernel in kernels() if kernel.cpu], ids=lambda kernel: kernel.name)
def test_kernels_are_as_exact_on_a_cpu_as_a_card_must_be(kernel):
    assert worst_error(kernel, "cpu") <= kernel.tolerance


def test_a_kernel_that_raises_fails_in_one_line():
    def broken(_device):
        raise RuntimeError("no kernel image\nis available")

    assert check.probe(Kernel("odd", broken, 1.0), "cpu") == (False, "odd: FAILED, RuntimeError: no kernel image")


@pytest.mark.parametrize("value", [2.0, float("nan")])
def test_a_kernel_that_is_not_exact_fails(value):
    kernel = Kernel("odd", lambda _device: (torch.tensor([value]), torch.ones(1)), 0.1)
    passed, line = check.probe(kernel, "cpu")
    assert not passed and line.startswith("odd: FAILED, off by")


def test_a_kernel_that_the_card_is_too_old_for_passes_and_says_so(monkeypatch):
    monkeypatch.setattr(check, "capability", lambda _device: (7, 0))
    kernel = Kernel("fp8", lambda _device: pytest.fail("was run"), 0.1, (8, 9))
    assert check.probe(kernel, "cuda") == (True, "fp8: not on this card, begins with compute capability 8.9")


def test_a_machine_without_a_gpu_is_refused_in_a_sentence(capsys):
    assert check.main([]) == NO_DEVICE
    said = capsys.readouterr()
    assert "this machine has no CUDA GPU" in said.err and len(said.err.splitlines()) == 1 and not said.out
