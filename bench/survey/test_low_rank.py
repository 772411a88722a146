"""A Brief Survey of Model Compression in Language Models: low rank, SV7 and SV8 (Methods, "Low Rank Factorization").

Budgets are shares of the dense blocks' bytes, embeddings left alone. Values count at the width of the dense weights, 32
bits; what SVD is compared with takes no more bytes at 16 bits a value either, where masks and codes weigh double.
LoSparse (Li et al. 2023) trains its factors and residual with the model; here all are one-shot, each part with what its
kind can do with calibration text.
"""

from __future__ import annotations

import pytest

from bench.fixtures import Conclude
from bench.parameters import parameters
from bench.survey.features import FeatureDistillation, Start, recovered
from bench.survey.low_rank import LowRank
from bench.survey.rows import COSTS, GROUPS, loss_gaps, settle_gaps
from bench.verdict.documents import difference_ratio, mean
from bench.verdict.needed import what_would_decide
from bench.verdict.regions import GROWS, Region
from bench.verdict.rows import Row
from compress.factorisation.low_rank.methods import ActivationAwareSVD, FisherWeightedSVD, TruncatedSVD
from compress.factorisation.low_rank.sparse import LowRankPlusSparse, ScaledLowRankPlusSparse
from compress.method import Method
from compress.pruning.magnitude import MagnitudePruning
from compress.pruning.wanda import WandaPruning
from compress.quantization.rounding import RoundToNearest

PAPER_SCALE = "paper-opt"
pytestmark = [
    pytest.mark.cost(of=FisherWeightedSVD, embedded=(2, 12, 500), gpu=(4, 8, 12)),
    pytest.mark.cost(of=ActivationAwareSVD, embedded=(2, 40, 900), gpu=(4, 10, 15)),
    pytest.mark.cost(of=ScaledLowRankPlusSparse, embedded=(2, 50, 650), gpu=(4, 12, 20)),
    pytest.mark.cost(of=LowRankPlusSparse, embedded=(2, 30, 50), gpu=(4, 10, 15)),
    pytest.mark.cost(of=TruncatedSVD, embedded=(1, 10, 30), gpu=(2, 4, 8)),
    pytest.mark.cost(of=Start, embedded=(2, 25, 900), gpu=(10, 60, 120)),
    *COSTS,
]
HALF, MOST = 0.5, 0.9
QUERIES = ("q_proj", "k_proj", "o_proj", "out_proj")
"""Layers in which Fisher-weighted SVD meets SVD: attention's but for the values. In each of the others alone, 90 % of
the parameters leave 5 to 870 times the perplexity (on calibration text), and what is ruined decides nothing.
"""


def versus(of: str, ending: str, first: Method, second: Method, because: str, *, control: bool = False) -> Row:
    """Row on the perplexity of one variant over another's, on the same tokens."""
    statistic = f"perplexity of {first} over that of {second}"
    return Row(f"SV7-{ending}", of, statistic, GROWS, because, (first, second), control=control)


COARSE = "coarse: worse than what takes no more bytes"
SVD_HALF, SVD_MOST = TruncatedSVD(HALF), TruncatedSVD(MOST)
RTN4, RTN8 = RoundToNearest(4, GROUPS), RoundToNearest(8, GROUPS)
WANDA, MAGNITUDE = WandaPruning(0.57), MagnitudePruning(0.57)
"""With their masks 7.9 bits a weight at 16 bits a value; SVD has 7.98 in the MLP's layers and 8 in the others."""
AT_EQUAL_BYTES = [
    versus("SV7a", "svd-0.5-over-rtn-w4", SVD_HALF, RTN4, COARSE),
    versus("SV7a", "svd-0.9-over-rtn-w8", SVD_MOST, RTN8, COARSE),
    versus("SV7a", "svd-0.5-over-wanda", SVD_HALF, WANDA, COARSE),
    versus("SV7a", "svd-0.5-over-magnitude", SVD_HALF, MAGNITUDE, COARSE, control=True),
]


def at_rank(share: float) -> Row:
    """Row on Fisher-weighted SVD and SVD, of one rank in the layers where both leave a language model."""
    methods = (TruncatedSVD(share, only=QUERIES), FisherWeightedSVD(share, only=QUERIES))
    return versus("SV7b", f"svd-over-fisher-{share:g}", *methods, "the second is better, however little")


BUDGET = 0.7
"""Share of the bytes. At half of them magnitude pruning leaves no language model (on calibration text), and what is
ruined decides nothing.
"""
DENSE_SHARE = BUDGET - 1 / 32
"""Share of the weights that a pruned layer keeps within the budget, its mask counted."""
BOTH, PLAIN = ScaledLowRankPlusSparse(BUDGET), LowRankPlusSparse(BUDGET)
SPARSE, LOW = WandaPruning(1 - DENSE_SHARE), ActivationAwareSVD(BUDGET)
ALONE = "it beats either alone, each with knowledge of the inputs"
BY_MAGNITUDE = "it beats either alone, none with knowledge of the inputs"
TOGETHER = [
    versus("SV7c", "low-rank-over-both", LOW, BOTH, ALONE),
    versus("SV7c", "sparse-over-both", SPARSE, BOTH, ALONE),
    versus("SV7c", "svd-over-both-plain", TruncatedSVD(BUDGET), PLAIN, BY_MAGNITUDE, control=True),
    versus("SV7c", "magnitude-over-both-plain", MagnitudePruning(1 - DENSE_SHARE), PLAIN, BY_MAGNITUDE, control=True),
    versus(
        "SV7a", "svd-over-activation-aware", TruncatedSVD(BUDGET), LOW, "an extension: fitted to inputs", control=True
    ),
]


@pytest.mark.parametrize("row", parameters(*AT_EQUAL_BYTES, *map(at_rank, (0.9, 0.7, 0.5)), *TOGETHER))
def test_one_variant_against_another(low_rank: LowRank, conclude: Conclude, row: Row) -> None:
    """Perplexity of the first over that of the second, on the same tokens; one of them must be a language model."""
    first, second = (low_rank.runs(method, control=row.control) for method in row.contestants)  # pyright: ignore
    better = min(first[0], second[0], key=lambda run: run.loss.mean())
    settle_gaps(conclude, low_rank, row, loss_gaps(first, second), better)


SPECTRA = Row(
    "SV7-spectra",
    "SV7a",
    "rank that holds 90 % of a weight's energy, over its full rank",
    Region(low=0.5),
    "high-rank: more than half of the singular values are needed",
    control=True,
)


@pytest.mark.parametrize("row", parameters(SPECTRA))
def test_weights_are_of_high_rank(low_rank: LowRank, conclude: Conclude, row: Row) -> None:
    """Over blocks, each the mean of its weights."""
    ranks = low_rank.spectra()
    if len(ranks) < 2:
        pytest.skip("one block has no spread; use --effort=normal")
    conclude(row, mean(ranks), low_rank, doubt=low_rank.doubt(), decide="a model of more blocks")


SHARE = 0.6
"""Share of the parameters that Noach & Goldberg keep."""
SVD, DISTILLED = Start(SHARE, distilled=False), Start(SHARE)
RANDOM = Start(SHARE, random=True)
RECOVERED = Row(
    "SV8-recovered",
    "SV8a",
    "share of the loss added by SVD that feature distillation takes back",
    Region(low=0.5),
    "it recovers: more comes back than stays lost; the paper calls what stays lost minimal, after far more training",
    (SVD, DISTILLED),
)
FROM_SVD = Row(
    "SV8-random-over-svd",
    "SV8a",
    f"perplexity of {RANDOM} over that of {DISTILLED}",
    GROWS,
    "initialised not randomly, but by SVD: the second start is better",
    (RANDOM, DISTILLED),
)


@pytest.mark.parametrize("row", parameters(RECOVERED, FROM_SVD))
def test_feature_distillation(features: FeatureDistillation, conclude: Conclude, row: Row) -> None:
    """Distilled SVD factors, against what they were and against random ones of the same shapes."""
    first, second = (features.measure(start) for start in row.contestants)  # pyright: ignore
    if row is RECOVERED:
        interval = recovered(first["loss"], second["loss"], second["dense_loss"])
    else:
        interval = difference_ratio(first["loss"], second["loss"])
    conclude(
        row,
        interval,
        features,
        doubt=features.doubt(DISTILLED),
        decide=what_would_decide(interval, len(second["loss"]), row.accept),
        details=features.described(*row.contestants),  # pyright: ignore
        method=str(DISTILLED),
    )
