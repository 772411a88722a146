"""Krony-PT: what follows from arithmetic and algebra. Claims KP1, KP2, KP3, KP10 and KP11."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch

from bench.fixtures import Conclude
from bench.krony.printed import FOUR_TERMS, FOUR_TERMS_TEXT, MATRIX, TABLE_1, TABLE_2, UNTIED_TEXT, model_size
from bench.krony.rungs import FOUR, MANY_SMALL, P81, P95
from bench.krony.weights import Weights
from bench.measure.session import Session
from bench.measure.timing import Action, Timing
from bench.parameters import parameters
from bench.verdict.conclude import exactly
from bench.verdict.documents import Interval
from bench.verdict.regions import UNCHANGED, Region
from bench.verdict.rows import Row
from compress.factorisation.kronecker.linear import KroneckerLinear
from compress.factorisation.kronecker.sums import FactorShapes, materialise

PAPER_SCALE = "paper-gpt2"
NONE = Region(high=0.0)
RANK = 768
MILLION = 1e6
SUBJECT = "GPT-2 small"
TABLE_1_ROW = Row("KP1-table-1", "KP1a", f"rows of {len(TABLE_1)} that arithmetic does not give", NONE, "exact")
TABLE_2_ROW = Row(
    "KP1-table-2",
    "KP1b",
    "largest distance from a printed size, in units of its last printed digit",
    Region(high=1.0),
    "rounded or cut off: 86.69M is printed as 86M",
)
FOUR_ROW = Row(
    "KP1-four-terms",
    "KP1c",
    "parameters of four terms of (1024, 256), millions",
    Region(FOUR_TERMS_TEXT / MILLION - 0.05, FOUR_TERMS_TEXT / MILLION + 0.05),
    "half the last printed digit",
)


@pytest.mark.parametrize("row", parameters(TABLE_1_ROW, TABLE_2_ROW, FOUR_ROW))
def test_parameter_arithmetic(conclude: Conclude, row: Row) -> None:
    """Counts of Tables 1 and 2 and of §4.6, exact to the printed digit."""
    if row is TABLE_1_ROW:
        value = sum(
            (FactorShapes.cut(MATRIX, entry.first).parameters, model_size(entry.first))
            != (entry.parameters, entry.model_size)
            for entry in TABLE_1
        )
    elif row is TABLE_2_ROW:
        value = max(
            abs(model_size(first, k) / MILLION - float(size)) * 10 ** len(size.partition(".")[2])
            for first, sizes in TABLE_2.items()
            for k, size in enumerate(sizes, 1)
        )
    else:
        value = model_size(FOUR_TERMS, 4) / MILLION
    conclude(row, exactly(value), SUBJECT)


RANK_ROW = Row("KP2-rank", "KP2a", f"shapes whose rank is not {RANK} or not the product of ranks", NONE, "exact")


@pytest.mark.parametrize("row", parameters(RANK_ROW))
def test_listed_shapes_attain_full_rank(session: Session, conclude: Conclude, row: Row) -> None:
    """rank(A ⊗ B) = rank A · rank B, counted from the singular values of random products of every listed shape."""
    generator, wrong = torch.Generator().manual_seed(session.settings.seed), 0
    shapes = [FactorShapes.cut(MATRIX, entry.first) for entry in TABLE_1]
    for shape in shapes if session.settings.effort != "quick" else shapes[::6]:
        first, second = (
            torch.randn(1, *part, generator=generator, dtype=torch.float64) for part in (shape.first, shape.second)
        )
        dense = materialise(first, second)
        # Of the Gram matrix: a condition number under 1e6, which random factors have, leaves its rank visible.
        energy = torch.linalg.eigvalsh(dense.T @ dense)
        rank = int((energy > energy[-1] * 1e-13).sum())
        product = math.prod(int(torch.linalg.matrix_rank(part[0])) for part in (first, second))
        wrong += not (rank == product == shape.most_rank() == RANK)
    conclude(row, exactly(wrong), SUBJECT)


VAN_LOAN = Row(
    "KP3-van-loan",
    "KP3a",
    "relative distance from the singular-value tail (range over decompositions)",
    Region(high=1e-6),
    "rounding of float64 sums",
)


@pytest.mark.parametrize("row", parameters(VAN_LOAN))
def test_van_loan_is_optimal_on_real_weights(weights: Weights, conclude: Conclude, row: Row) -> None:
    """The error of k terms over the tail of a full SVD of the rearranged matrix, on the model's own MLP weights."""
    excess = weights.excess(((P81, 1), (P81, 3), (MANY_SMALL, 1), (MANY_SMALL, 8)))
    interval = Interval(float(excess.mean()), float(excess.min()), float(excess.max()))
    conclude(row, interval, weights, details={"spectra": spectra(weights)})


def spectra(weights: Weights) -> dict[str, list[list[float]]]:
    """Shares of the energy of rearranged MLP weights by singular value: means, smallest and largest over layers."""
    shares = {}
    for name, second in (("81M", P81), ("95M", P95), ("several terms", FOUR), ("many small", MANY_SMALL)):
        energy = weights.spectra(second)[:, :32]
        shares[f"{name} {second}"] = [part.round(6).tolist() for part in (energy.mean(0), energy.min(0), energy.max(0))]
    return shares


def four_terms(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Random factors of the four-term shape, and inputs for them."""
    shapes, generator = FactorShapes.cut(MATRIX, FOUR_TERMS), torch.Generator().manual_seed(seed)
    parts = (shapes.first, shapes.second)
    first, second = (torch.randn(4, *part, generator=generator) / part[1] ** 0.5 for part in parts)
    return first, second, torch.randn(512, MATRIX[1], generator=generator)


FOLDED = Row(
    "KP10-exact", "KP10a", "largest relative change of an output, float64", Region(high=1e-12), "rounding of float64"
)


@pytest.mark.parametrize("row", parameters(FOLDED))
@torch.inference_mode()
def test_folding_scalars_is_exact(session: Session, conclude: Conclude, row: Row) -> None:
    """A scalar put into its first factor gives the outputs of the terms scaled one by one."""
    first, second, inputs = (tensor.double() for tensor in four_terms(session.settings.seed))
    scalars = 1 + torch.arange(4.0, dtype=torch.float64) / 3
    terms = [materialise(first[i : i + 1], second[i : i + 1]) for i in range(4)]
    expected = sum(scalar * (inputs @ term.T) for scalar, term in zip(scalars, terms, strict=True))
    layer = KroneckerLinear(first, second, None, scalars=scalars)
    layer.fold()
    gap = float((layer(inputs) - expected).abs().max() / torch.as_tensor(expected).abs().max())
    conclude(row, exactly(gap), SUBJECT)


GPU_REPEATS = 32
LATENCY = Row("KP10-latency", "KP10b", "time of a folded layer over one without scalars", UNCHANGED, "within a quarter")


def _layers(seed: int, device: str) -> tuple[Action, Action]:
    first, second, inputs = (tensor.to(device) for tensor in four_terms(seed))
    if device.startswith("cuda"):  # 512 tokens would time the launches of kernels
        inputs = inputs.repeat(GPU_REPEATS, 1)
    scalars = torch.ones(4, device=device)
    bare, folded = KroneckerLinear(first, second, None), KroneckerLinear(first, second, None, scalars=scalars)
    folded.fold()
    return lambda: folded(inputs), lambda: bare(inputs)


@pytest.mark.parametrize("row", parameters(LATENCY))
def test_folded_scalars_cost_no_time(session: Session, conclude: Conclude, row: Row) -> None:
    """A folded layer against one that never had scalars, in turn."""
    timing = Timing(session, "a folded Kronecker layer", 12 if session.settings.effort == "quick" else 40)
    interval = timing.ratio(partial(_layers, session.settings.seed, session.settings.device))
    conclude(row, interval, timing, decide="more rounds", doubt=timing.doubt())


UNTIED = Row(
    "KP11-untied",
    "KP11a",
    "parameters of the 81M model, untied, millions",
    Region(UNTIED_TEXT / MILLION * 0.99, UNTIED_TEXT / MILLION * 1.01),
    "the paper says about; 1 %",
)


@pytest.mark.parametrize("row", parameters(UNTIED))
def test_untied_counting(conclude: Conclude, row: Row) -> None:
    """The 81M model with an output matrix of its own."""
    conclude(row, exactly(model_size((768, 768), tied=False) / MILLION), SUBJECT)
