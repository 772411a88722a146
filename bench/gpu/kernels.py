"""Kernels that the suite asks a card for, each run once at a small size beside float64 on the CPU."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from models.attention import fused_attention

SIZE = 256
"""Rows and columns of the matrices; a multiple of what 8-bit and 2:4 products ask for."""
Pair = tuple[Tensor, Tensor]
"""What the device gives, and what it should give."""


@dataclass(frozen=True)
class Kernel:
    """One product or factorisation, and how exact it must be."""

    name: str
    run: Callable[[str], Pair]
    tolerance: float
    """Largest error over the largest value that passes."""
    least: tuple[int, int] = (0, 0)
    """Compute capability that it begins with."""
    cpu: bool = True
    """Whether PyTorch has it for CPUs too."""


def worst_error(kernel: Kernel, device: str) -> float:
    """Largest error of a kernel on a device, over the largest value; NaN where it gives one."""
    given, wanted = (x.detach().cpu().double() for x in kernel.run(device))
    return float((given - wanted).abs().max() / wanted.abs().max())


def kernels() -> tuple[Kernel, ...]:
    """Kernels in the order in which the suite comes to need them."""
    return (
        Kernel("product, float32", lambda device: _product(device, torch.float32), 1e-5),
        Kernel("product, bfloat16", lambda device: _product(device, torch.bfloat16), 2e-2),
        Kernel("fused attention, float32", lambda device: _attention(device, torch.float32), 1e-5),
        Kernel("fused attention, bfloat16", lambda device: _attention(device, torch.bfloat16), 2e-2),
        Kernel("Cholesky factor, float64", _cholesky, 1e-10),
        Kernel("triangular solve, float64", _solve, 1e-10),
        Kernel("product, int8", _int8, 0.0, (7, 5)),
        Kernel("product, fp8", _fp8, 2e-2, (8, 9), cpu=False),
        Kernel("product, 2:4 sparse", _semi_structured, 2e-2, (8, 0), cpu=False),
    )


def _normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _product(device: str, dtype: torch.dtype) -> Pair:
    first, second = (_normal(SIZE, SIZE, seed=seed).to(dtype) for seed in (0, 1))
    return first.to(device) @ second.to(device), first.double() @ second.double()


def _attention(device: str, dtype: torch.dtype) -> Pair:
    """Causal attention of nine heads in three groups, as the embedded model has them."""
    query, key, value = (_normal(1, heads, SIZE, 64, seed=heads).to(dtype) for heads in (9, 3, 3))
    mixed, _ = fused_attention(nn.Module(), query.to(device), key.to(device), value.to(device), None)
    keys, values = (x.double().repeat_interleave(3, dim=1) for x in (key, value))
    return mixed, scaled_dot_product_attention(query.double(), keys, values, is_causal=True).transpose(1, 2)


def _gram() -> Tensor:
    inputs = _normal(2 * SIZE, SIZE)
    return inputs.T @ inputs


def _cholesky(device: str) -> Pair:
    gram = _gram()
    factor = torch.linalg.cholesky(gram.to(device))
    return factor @ factor.T, gram


def _solve(device: str) -> Pair:
    factor, right = torch.linalg.cholesky(_gram()), _normal(SIZE, SIZE, seed=1)
    solved = torch.linalg.solve_triangular(factor.to(device), right.to(device), upper=False)
    return factor.to(device) @ solved, right


def _codes() -> Pair:
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randint(-8, 9, (SIZE, SIZE), generator=generator) for _ in range(2))
    return first, second


def _int8(device: str) -> Pair:
    first, second = _codes()
    narrow = (first.to(torch.int8).to(device), second.to(torch.int8).to(device).T)
    product = torch._int_mm(*narrow)  # pyright: ignore[reportPrivateImportUsage] - torch has no public name for it
    return product, first.double() @ second.double().T


def _fp8(device: str) -> Pair:
    first, second = _codes()
    one = torch.ones((), device=device)
    product = torch._scaled_mm(  # pyright: ignore[reportPrivateImportUsage] - the same
        first.to(torch.float8_e4m3fn).to(device),
        second.to(torch.float8_e4m3fn).to(device).T,
        scale_a=one,
        scale_b=one,
        out_dtype=torch.bfloat16,
    )
    return product, first.double() @ second.double().T


def _semi_structured(device: str) -> Pair:
    weight, inputs = _normal(SIZE, SIZE).to(torch.float16), _normal(SIZE, SIZE, seed=1).to(torch.float16)
    weight.view(-1, 4)[:, 2:] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library says that this interface may change
        sparse = torch.sparse.to_sparse_semi_structured(weight.to(device))
        product = torch.mm(sparse, inputs.to(device))
    return product, weight.double() @ inputs.double()
