"""Methods that put a sum of Kronecker products in the place of a linear layer, and the way back to dense ones."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import ClassVar

import torch
from safetensors.torch import load_model, save_model
from torch import Tensor, nn

from compress.kron import pruned_factors, van_loan
from compress.kron_fit import fit_to_inputs, permuted_van_loan
from compress.kron_linear import KroneckerEmbedding, KroneckerLinear
from compress.methods import Method
from compress.statistics import GramMatrix, Statistic


class Start(Enum):
    """Where factors come from."""

    VAN_LOAN = "van-loan"
    PRUNED = "pruned"
    """Every p-th row and q-th column (Krony-PT, §3.8.3); one term only."""
    PERMUTED = "permuted"
    """Van Loan's after rows and columns were moved to where they fit best (TQCompressor)."""


@dataclass(frozen=True)
class KroneckerFactorisation(Method):
    """Replace a weight by a sum of Kronecker products with second factors of one shape.

    `second` is the shape `(p, q)` for layers that widen (`d_out >= d_in`); layers that narrow have it transposed, as
    GPT-2's `c_proj` has that of `c_fc`. So `(2, 1)` is Krony-PT's 95M pattern and `(4, 1)` its 81M pattern.
    """

    second: tuple[int, int]
    terms: int = 1
    start: Start = Start.VAN_LOAN
    scalars: bool = False
    """Give each term a trained scalar, 1 at first (Krony-PT, §4.6)."""

    def __post_init__(self) -> None:
        if min(self.second) < 1 or self.terms < 1:
            raise ValueError(f"second factors of {self.second} in {self.terms} terms; all must be at least 1")
        if self.start is Start.PRUNED and self.terms != 1:
            raise ValueError(f"the pruning-based initialisation has one term, not {self.terms}; use Start.VAN_LOAN")

    def __str__(self) -> str:
        terms = "" if self.terms == 1 else f"-{self.terms}-terms"
        return f"kronecker-{self.second[0]}x{self.second[1]}{terms}-{self.start.value}{'-scalars' * self.scalars}"

    def first(self, layer: nn.Linear) -> tuple[int, int]:
        """Rows and columns of a layer's first factors.

        Raises:
            ValueError: the second factor's sides do not divide the weight's.
        """
        rows, columns = layer.weight.shape
        p, q = self.second if rows >= columns else self.second[::-1]
        if rows % p or columns % q:
            raise ValueError(f"second factors of {p} x {q} do not divide a weight of {rows} x {columns}")
        return rows // p, columns // q

    def __call__(self, layer: nn.Linear, statistic: Statistic | None = None, *, name: str = "") -> KroneckerLinear:
        """The layer with its factors, all of them trainable."""
        weight, first = layer.weight.detach(), self.first(layer)
        rows = columns = None
        if self.start is Start.PERMUTED:
            found = permuted_van_loan(weight, first, self.terms)
            a, b = found.first, found.second
            rows, columns = found.rows.to(weight.device), found.columns.to(weight.device)
        elif self.start is Start.PRUNED:
            a, b = pruned_factors(weight, (weight.shape[0] // first[0], weight.shape[1] // first[1]))
        else:
            a, b = van_loan(weight, first, self.terms)
        scalars = torch.ones(self.terms, dtype=weight.dtype, device=weight.device) if self.scalars else None
        return KroneckerLinear(a, b, layer.bias, scalars=scalars, rows=rows, columns=columns)


@dataclass(frozen=True)
class KroneckerFitToInputs(KroneckerFactorisation):
    """The same, then alternating least squares for the error of the layer's outputs on calibration inputs."""

    sweeps: int = 10
    damping: float = 0.01
    """Of the Gram matrix's mean diagonal, added to it, as GPTQ does (Frantar et al. 2023, §3.3): along directions that
    calibration hardly saw, the factors keep to the weight."""
    statistic: ClassVar[type[Statistic] | None] = GramMatrix

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.start is Start.PERMUTED:
            raise ValueError("a fit to inputs keeps their order; use Start.VAN_LOAN or Start.PRUNED")
        if not 0 <= self.damping < math.inf:
            raise ValueError(f"damping is {self.damping}; it must be at least 0 and finite")

    def __str__(self) -> str:
        return f"{super().__str__()}-fit"

    def __call__(self, layer: nn.Linear, statistic: Statistic | None = None, *, name: str = "") -> KroneckerLinear:
        """The factors that the fit ends with; never worse in the norm of the damped Gram matrix than the start."""
        if not isinstance(statistic, GramMatrix):
            raise TypeError(f"a fit to inputs needs the Gram matrix of {name or 'the layer'}; calibrate first")
        start = super().__call__(layer, name=name)
        factors = start.first.detach(), start.second.detach()
        gram = statistic.sum.double().clone()
        gram.diagonal().add_(self.damping * gram.diagonal().mean())
        (a, b), _ = fit_to_inputs(layer.weight.detach(), gram, factors, sweeps=self.sweeps)
        return KroneckerLinear(a, b, layer.bias, scalars=start.scalars)


def factorised_embedding(embedding: nn.Embedding, second: tuple[int, int], terms: int) -> KroneckerEmbedding:
    """An embedding table as a Kronecker sum; rows are padded with zeros to a multiple of p.

    Raises:
        ValueError: q does not divide the width, or too many terms.
    """
    table = embedding.weight.detach()
    p, q = second
    rows = math.ceil(len(table) / p)
    padded = torch.cat([table, table.new_zeros(rows * p - len(table), table.shape[1])])
    return KroneckerEmbedding(*van_loan(padded, (rows, max(1, table.shape[1] // q)), terms))


def make_dense(model: nn.Module) -> int:
    """Put a plain linear layer with the same outputs in the place of every factorised one; says how many."""
    found = [(name, module) for name, module in model.named_modules() if isinstance(module, KroneckerLinear)]
    for name, module in found:
        model.set_submodule(name, module.dense())
    return len(found)


def trained_scalars(model: nn.Module) -> Tensor:
    """The scalars of all factorised layers in one `[scalars]`, on the CPU; empty where there are none."""
    layers = [module for module in model.modules() if isinstance(module, KroneckerLinear)]
    found = [layer.scalars.detach().cpu() for layer in layers if layer.scalars is not None]
    return torch.cat(found) if found else torch.empty(0)


LAYOUT, WEIGHTS = "factors.json", "model.safetensors"


FACTORISED = (KroneckerLinear, KroneckerEmbedding)


def _shapes(module: nn.Module) -> dict:
    """What has to be known of a factorised layer to make an empty one."""
    named = dict(module.named_parameters(recurse=False)) | dict(module.named_buffers(recurse=False))
    return {"layer": type(module).__name__} | {name: list(tensor.shape) for name, tensor in named.items()}


def save_factorised(model: nn.Module, folder: Path) -> None:
    """Write a model with factorised layers: all tensors as safetensors, and the factors' shapes beside them."""
    layout = {name: _shapes(module) for name, module in model.named_modules() if isinstance(module, FACTORISED)}
    folder.mkdir(parents=True, exist_ok=True)
    beside = {name: folder / f"{name}.part" for name in (WEIGHTS, LAYOUT)}
    save_model(model, str(beside[WEIGHTS]))
    beside[LAYOUT].write_text(json.dumps(layout, indent=1))
    for name, part in beside.items():
        part.replace(folder / name)


def load_factorised(model: nn.Module, folder: Path) -> None:
    """Give a dense model of the same architecture the factorised layers and all the tensors of a folder.

    Raises:
        ValueError: the folder was not written by `save_factorised`, or holds another architecture.
    """
    if not (folder / LAYOUT).is_file() or not (folder / WEIGHTS).is_file():
        raise ValueError(f"{folder} has no {LAYOUT} and {WEIGHTS}; give a folder that save_factorised wrote")
    layout = json.loads((folder / LAYOUT).read_text())
    names = {name for name, _ in model.named_modules()}
    if missing := sorted(set(layout) - names):
        raise ValueError(f"{folder} factorises {missing[0]}, which {type(model).__name__} does not have")
    like = next(model.parameters())
    for name, shapes in layout.items():
        model.set_submodule(name, _empty(shapes, like))
    try:
        load_model(model, str(folder / WEIGHTS))
    except RuntimeError as error:
        reason = str(error).split("\n")[0]
        raise ValueError(f"{folder} holds another architecture than {type(model).__name__} ({reason})") from error


def _empty(shapes: dict, like: Tensor) -> nn.Module:
    first, second = (like.new_empty(shapes[name]) for name in ("first", "second"))
    if shapes["layer"] == KroneckerEmbedding.__name__:
        return KroneckerEmbedding(first, second)
    bias, scalars = (like.new_empty(shapes[name]) if name in shapes else None for name in ("bias", "scalars"))
    orders = [
        torch.arange(*shapes[name], device=like.device) if name in shapes else None for name in ("rows", "columns")
    ]
    return KroneckerLinear(first, second, bias, scalars=scalars, rows=orders[0], columns=orders[1])
