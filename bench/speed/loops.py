"""Column by column loops as papers and their authors' programs have them, which the solvers are timed against."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from compress.grid import Grid, fit_grid, from_codes, to_codes
from compress.pruning.factor import inverse_factor

DAMPING = 0.01
BLOCK = 128

Values = Callable[[Tensor, int], Tensor]
"""What becomes of a column `[d_out]`, by its number."""


def layer(d_out: int, d_in: int, device: str = "cpu") -> tuple[Tensor, Tensor]:
    """A weight, and the Gram matrix of correlated inputs."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(2 * d_in, d_in, generator=generator)
    inputs[:, 1:] += 0.5 * inputs[:, :-1].clone()
    weight = torch.randn(d_out, d_in, generator=generator)
    return weight.to(device), (inputs.T @ inputs).double().to(device)


def output_error(weight: Tensor, other: Tensor, gram: Tensor) -> float:
    """Squared change of the outputs, `tr(D G Dᵀ)` for the difference D of two weights."""
    difference = (other - weight).to(gram.dtype)
    return float((difference @ gram * difference).sum())


def plain_gptq(weight: Tensor, gram: Tensor, bits: int, size: int | None = None) -> Tensor:
    """The paper's loop as it reads: every column rounded, all that follow updated at once. Gives the codes."""
    factor = inverse_factor(gram, DAMPING, weight.dtype).upper.to(weight.dtype)
    size = size or weight.shape[1]
    weight, codes = weight.clone(), torch.empty_like(weight)
    grid = fit_grid(weight[:, :size], bits, symmetric=False)
    for i in range(weight.shape[1]):
        if i and i % size == 0:
            grid = fit_grid(weight[:, i : i + size], bits, symmetric=False)
        column = weight[:, i : i + 1]
        codes[:, i : i + 1] = to_codes(column, grid)
        error = (column - from_codes(codes[:, i : i + 1], grid)) / factor[i, i]
        weight[:, i:] -= error @ factor[i : i + 1, i:]
    return codes


def plain_sparsegpt(weight: Tensor, gram: Tensor) -> Tensor:
    """SparseGPT column by column, half of each block's weights dropped. Gives the mask."""
    factor = inverse_factor(gram, DAMPING, weight.dtype).upper.to(weight.dtype)
    weight, mask = weight.clone(), torch.zeros_like(weight, dtype=torch.bool)
    for i in range(weight.shape[1]):
        if i % BLOCK == 0:
            part = slice(i, i + BLOCK)
            scores = weight[:, part] ** 2 / factor.diagonal()[part] ** 2
            threshold = scores.flatten().sort().values[scores.numel() // 2]
            mask[:, part] = scores < threshold
        error = weight[:, i].masked_fill(~mask[:, i], 0) / factor[i, i]
        weight[:, i:] -= torch.outer(error, factor[i, i:])
    return mask


def authors_factor(gram: Tensor) -> Tensor:
    """Factor of the inverse Hessian in the three float32 steps of the authors' programs."""
    hessian = gram.float()
    hessian.diagonal().add_(DAMPING * hessian.diagonal().mean())
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(hessian))
    return torch.linalg.cholesky(inverse, upper=True)


def authors_gptq(weight: Tensor, gram: Tensor, bits: int, size: int) -> tuple[Tensor, Tensor]:
    """GPTQ in blocks of 128 columns, as its authors' program has it. Gives the weight and its codes."""
    factor, weight = authors_factor(gram), weight.clone()
    codes = torch.empty_like(weight)
    grids: dict[int, Grid] = {}

    def rounded(column: Tensor, index: int) -> Tensor:
        start = index // size * size
        if index == start:
            grids[start] = fit_grid(weight[:, start : start + size], bits, symmetric=False)
        codes[:, index] = to_codes(column[:, None], grids[start])[:, 0]
        return from_codes(codes[:, index, None], grids[start])[:, 0]

    for start in range(0, weight.shape[1], BLOCK):
        _authors_block(weight, factor, start, rounded)
    return weight, codes


def authors_sparsegpt(weight: Tensor, gram: Tensor) -> tuple[Tensor, Tensor]:
    """SparseGPT to half the weights, as its authors' program has it. Gives the weight and its mask."""
    factor, weight = authors_factor(gram), weight.clone()
    mask = torch.zeros_like(weight, dtype=torch.bool)

    def kept(column: Tensor, index: int) -> Tensor:
        column = column.clone()
        column[mask[:, index]] = 0
        return column

    for start in range(0, weight.shape[1], BLOCK):
        part = slice(start, start + BLOCK)
        scores = weight[:, part] ** 2 / factor.diagonal()[part] ** 2
        threshold = scores.flatten().sort().values[scores.numel() // 2]
        mask[:, part] = scores <= threshold
        _authors_block(weight, factor, start, kept)
    return weight, mask


def _authors_block(weight: Tensor, factor: Tensor, start: int, values: Values) -> None:
    """Compresses a block in place: its own columns after each column, those beyond it once at the end."""
    end = min(start + BLOCK, weight.shape[1])
    block, own = weight[:, start:end].clone(), factor[start:end, start:end]
    done, errors = torch.zeros_like(block), torch.zeros_like(block)
    losses = torch.zeros_like(block)
    for i in range(end - start):
        done[:, i] = values(block[:, i], start + i)
        losses[:, i] = (block[:, i] - done[:, i]) ** 2 / own[i, i] ** 2
        errors[:, i] = (block[:, i] - done[:, i]) / own[i, i]
        block[:, i:] -= errors[:, i, None] @ own[i, None, i:]
    weight[:, start:end] = done
    weight[:, end:] -= errors @ factor[start:end, end:]


def plain_obc(weight: Tensor, gram: Tensor, sparsity: float) -> Tensor:
    """Optimal Brain Compression as it reads, every row's inverse Hessian updated in place. Gives the mask."""
    factor = inverse_factor(gram, DAMPING)
    inverse = (factor.upper.T @ factor.upper).expand(len(weight), -1, -1).clone()
    weight, mask = weight.double(), torch.zeros(weight.shape, dtype=torch.bool, device=weight.device)
    rows = torch.arange(len(weight), device=weight.device)
    for _ in range(round(sparsity * weight.shape[1])):
        costs = weight.square() / inverse.diagonal(dim1=1, dim2=2)
        chosen = costs.masked_fill(mask, torch.inf).argmin(1)
        column, pivot = inverse[rows, chosen], inverse[rows, chosen, chosen][:, None]
        weight = weight - weight.gather(1, chosen[:, None]) / pivot * column
        inverse.baddbmm_(column[:, :, None], (column / pivot)[:, None], alpha=-1)
        mask[rows, chosen] = True
        weight.masked_fill_(mask, 0)
    return mask
