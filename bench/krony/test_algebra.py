"""Krony-PT: what follows from arithmetic and algebra. Claims KP1, KP2, KP3, KP10 and KP11."""

from __future__ import annotations

import math
from itertools import islice

import numpy as np
import pytest
import torch

from bench.conftest import Conclude
from bench.krony.healed import FactorisedLab
from bench.krony.printed import (
    FOUR_TERMS,
    FOUR_TERMS_TEXT,
    MATRIX,
    TABLE_1,
    TABLE_2,
    UNTIED_TEXT,
    model_size,
)
from bench.krony.students import FOUR, MANY_SMALL, P81, P95
from bench.measure.session import Lab
from bench.measure.timing import paired_ratio
from bench.verdict.arithmetic import by_arithmetic, exactly
from bench.verdict.documents import Interval
from bench.verdict.regions import UNCHANGED, Region
from compress.factorisation.kronecker.linear import KroneckerLinear
from compress.factorisation.kronecker.method import KroneckerFactorisation
from compress.factorisation.kronecker.sums import FactorShapes, materialise, rearranged, van_loan

PAPER_SCALE = "paper-gpt2"
NONE = Region(high=0.0)
EXACT = Region(high=1e-6)
RANK = 768
MILLION = 1e6


@pytest.mark.claim("KP1")
@pytest.mark.parametrize("row", ["KP1-table-1", "KP1-table-2", "KP1-four-terms"])
def test_parameter_arithmetic(lab: Lab, conclude: Conclude, row: str) -> None:
    """Counts of Tables 1 and 2 and of §4.6, exact to the printed digit."""
    if row == "KP1-table-1":
        wrong = sum(
            (FactorShapes.cut(MATRIX, entry.first).parameters, model_size(entry.first))
            != (entry.parameters, entry.model_size)
            for entry in TABLE_1
        )
        what, found, accept = f"rows of {len(TABLE_1)} that arithmetic does not give", wrong, NONE
    elif row == "KP1-table-2":
        gaps = [model_size(first, k) - size for first, sizes in TABLE_2.items() for k, size in enumerate(sizes, 1)]
        found, accept = max(map(abs, gaps)) / MILLION, Region(high=1.0)
        what = "largest distance from a printed size, millions of parameters (printed to one million)"
    else:
        printed, half_digit = FOUR_TERMS_TEXT / MILLION, 0.05
        found, accept = model_size(FOUR_TERMS, 4) / MILLION, Region(printed - half_digit, printed + half_digit)
        what = "parameters of four terms of (1024, 256), millions"
    conclude(row, what, exactly(found), accept, origin=by_arithmetic(lab, "GPT-2 small"))


@pytest.mark.claim("KP2")
@pytest.mark.parametrize("row", ["KP2-rank"])
def test_listed_shapes_attain_full_rank(lab: Lab, conclude: Conclude, row: str) -> None:
    """rank(A ⊗ B) = rank A · rank B, counted from the singular values of random products of every listed shape."""
    generator, wrong = torch.Generator().manual_seed(lab.settings.seed), 0
    shapes = [FactorShapes.cut(MATRIX, entry.first) for entry in TABLE_1]
    for shape in shapes if lab.settings.effort != "quick" else shapes[::6]:
        first, second = (
            torch.randn(1, *part, generator=generator, dtype=torch.float64) for part in (shape.first, shape.second)
        )
        dense = materialise(first, second)
        # Of the Gram matrix: a condition number under 1e6, which random factors have, leaves its rank visible.
        energy = torch.linalg.eigvalsh(dense.T @ dense)
        found = int((energy > energy[-1] * 1e-13).sum())
        product = math.prod(int(torch.linalg.matrix_rank(part[0])) for part in (first, second))
        wrong += not (found == product == shape.most_rank() == RANK)
    what = f"shapes whose rank is not {RANK} or not the product of ranks"
    conclude(row, what, exactly(wrong), NONE, origin=by_arithmetic(lab, "GPT-2 small"))


@pytest.mark.claim("KP3")
@pytest.mark.parametrize("row", ["KP3-van-loan"])
def test_van_loan_is_optimal_on_real_weights(real: FactorisedLab, conclude: Conclude, row: str) -> None:
    """The error of k terms over the tail of a full SVD of the rearranged matrix, on the model's own MLP weights."""
    excess = []
    for layer in islice(real.layers(), 3):
        weight = layer.weight.detach().double().cpu()
        for second, terms in ((P81, 1), (P81, 3), (MANY_SMALL, 1), (MANY_SMALL, 8)):
            first = KroneckerFactorisation(second).first(layer)
            shapes = FactorShapes.cut((layer.out_features, layer.in_features), first)
            values = torch.linalg.svdvals(rearranged(weight, shapes))
            error = (weight - materialise(*van_loan(weight, first, terms))).square().sum()
            excess.append(abs(float(error / values[terms:].square().sum()) - 1))
    found = Interval(float(np.mean(excess)), min(excess), max(excess))
    what = f"relative distance from the singular-value tail (range over {len(excess)} decompositions)"
    conclude(row, what, found, EXACT, details={"spectra": spectra(real)})


def spectra(real: FactorisedLab) -> dict[str, list[list[float]]]:
    """Shares of the energy of rearranged MLP weights by singular value: means, smallest and largest over layers."""
    found = {}
    for name, second in (("81M", P81), ("95M", P95), ("several terms", FOUR), ("many small", MANY_SMALL)):
        energy = real.spectra(second)[:, :32]
        found[f"{name} {second}"] = [part.round(6).tolist() for part in (energy.mean(0), energy.min(0), energy.max(0))]
    return found


def four_terms(lab: Lab) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Random factors of the four-term shape, and inputs for them."""
    shapes, generator = FactorShapes.cut(MATRIX, FOUR_TERMS), torch.Generator().manual_seed(lab.settings.seed)
    parts = (shapes.first, shapes.second)
    first, second = (torch.randn(4, *part, generator=generator) / part[1] ** 0.5 for part in parts)
    return first, second, torch.randn(512, MATRIX[1], generator=generator)


@pytest.mark.claim("KP10")
@pytest.mark.parametrize("row", ["KP10-exact"])
@torch.inference_mode()
def test_folding_scalars_is_exact(lab: Lab, conclude: Conclude, row: str) -> None:
    """A scalar put into its first factor gives the outputs of the terms scaled one by one."""
    first, second, inputs = (tensor.double() for tensor in four_terms(lab))
    scalars = 1 + torch.arange(4.0, dtype=torch.float64) / 3
    terms = [materialise(first[i : i + 1], second[i : i + 1]) for i in range(4)]
    expected = sum(scalar * (inputs @ term.T) for scalar, term in zip(scalars, terms, strict=True))
    layer = KroneckerLinear(first, second, None, scalars=scalars)
    layer.fold()
    gap = float((layer(inputs) - expected).abs().max() / torch.as_tensor(expected).abs().max())
    what = "largest relative change of an output, float64"
    conclude(row, what, exactly(gap), Region(high=1e-12), origin=by_arithmetic(lab, "GPT-2 small"))


@pytest.mark.claim("KP10")
@pytest.mark.parametrize("row", ["KP10-latency"])
@torch.inference_mode()
def test_folded_scalars_cost_no_time(lab: Lab, conclude: Conclude, row: str) -> None:
    """A folded layer against one that never had scalars, in turn."""
    first, second, inputs = four_terms(lab)
    bare, folded = KroneckerLinear(first, second, None), KroneckerLinear(first, second, None, scalars=torch.ones(4))
    folded.fold()
    rounds = 12 if lab.settings.effort == "quick" else 40
    found = paired_ratio(lambda: folded(inputs), lambda: bare(inputs), rounds=rounds)
    what = f"time of a folded layer over one without scalars ({rounds} paired rounds)"
    conclude(row, what, found, UNCHANGED, origin=by_arithmetic(lab, "GPT-2 small"), decide="more rounds")


@pytest.mark.claim("KP11")
@pytest.mark.parametrize("row", ["KP11-untied"])
def test_untied_counting(lab: Lab, conclude: Conclude, row: str) -> None:
    """The 81M model with an output matrix of its own."""
    printed, tolerance = UNTIED_TEXT / MILLION, 0.01
    found = exactly(model_size((768, 768), tied=False) / MILLION)
    accept = Region(printed * (1 - tolerance), printed * (1 + tolerance))
    conclude(
        row, "parameters of the 81M model, untied, millions", found, accept, origin=by_arithmetic(lab, "GPT-2 small")
    )
