"""A Brief Survey of Model Compression in Language Models: GPTQ, SV1 and SV9, and why plain GPTQ does not beat rounding.

The recipe is the authors' for models like these (their README): columns in the order of their activations, static
groups, and layers in the order of a pass. Plain GPTQ is a control. Much of a decoder's attention goes to position 0,
whose normed input is small and so counts for nothing in the Hessian: plain GPTQ gives up its value vector. Two rows
show it: with the first position's values left dense, and with first tokens weighted in the Hessian.
"""

from __future__ import annotations

import numpy as np
import pytest

from bench.fixtures import Conclude
from bench.parameters import parameters
from bench.survey.lab import Survey
from bench.survey.rows import COSTS, DENSE, GROUPS, one_sample, over_samples, recipe, settle
from bench.verdict.regions import GROWS, Region
from bench.verdict.rows import Row
from compress.method import Method
from compress.pruning.sparsegpt import SparseGPT
from compress.quantization.first_values import FirstValuesDense
from compress.quantization.gptq import GPTQ
from compress.quantization.rounding import RoundToNearest

PAPER_SCALE = "paper-opt"
pytestmark = COSTS
FIRST = 100.0
"""Weight of first tokens: about an input's mean square elsewhere over that at position 0, in the later blocks."""
AWAY = "off-domain"


WIDTHS = (
    ("SV1a", 8, Region(high=1.1), "nearly unaffected: within a tenth"),
    ("SV1b", 4, Region(high=1.1), "nearly unaffected: within a tenth"),
    ("SV1c", 3, Region(1.02, 2.0), "OPT-125M under GPTQ at 3 bits a row: a ratio of 1.95, and groups do better"),
    ("SV1d", 2, Region(low=5.0), "unusable: five times the perplexity"),
)
GPTQ_WIDTHS = [
    Row(f"SV1-{name}-w{bits}-{domain}", of, DENSE, accept, because, (method, domain), control=control)
    for of, bits, accept, because in WIDTHS
    for name, method, domain, control in (
        ("gptq-recipe", recipe(bits), AWAY, False),
        ("gptq-recipe", recipe(bits), "in-domain", True),
        ("gptq", GPTQ(bits, GROUPS), "in-domain", True),
        ("gptq-first-tokens", recipe(bits, FIRST), "in-domain", True),
    )
]


@pytest.mark.parametrize("row", parameters(*GPTQ_WIDTHS))
def test_gptq_at_fewer_bits(survey: Survey, conclude: Conclude, row: Row) -> None:
    """GPTQ in groups of 128, calibrated on text of another kind than is scored, and on the same kind as a control."""
    method, domain = row.contestants
    away = domain == AWAY
    if away and not survey.off_domain and survey.session.store.write is not None:
        pytest.skip("calibration on text of another kind needs --train-text, such as a file of books")
    runs = survey.over_samples(method, off_domain=away)  # pyright: ignore[reportArgumentType]
    interval = over_samples([run.loss for run in runs], runs[0].dense_loss)
    settle(conclude, survey, row, interval, runs[0], doubt=one_sample(survey))


def against(of: str, ending: str, first: Method, second: Method, *, control: bool = False, kl: bool = False) -> Row:
    """Row on a method over another, of which one or both vary with the calibration sample."""
    what = "KL" if kl else "perplexity"
    return Row(
        f"{of.rstrip('abcde')}-{ending}",
        of,
        f"{what} of {first} over that of {second}",
        GROWS,
        "the second is better, however little",
        (first, second, what),
        control=control,
    )


AGAINST = [
    row
    for of, bits in (("SV9a", 4), ("SV9b", 3))
    for rounded, plain, whole in [(RoundToNearest(bits, GROUPS), GPTQ(bits, GROUPS), recipe(bits))]
    for row in (
        against(of, f"rtn-over-gptq-recipe-w{bits}", rounded, whole),
        against(of, f"rtn-over-gptq-w{bits}", rounded, plain, control=True),
        against(of, f"rtn-over-gptq-first-tokens-w{bits}", rounded, recipe(bits, FIRST), control=True),
        against(of, f"kl-rtn-over-gptq-recipe-w{bits}", rounded, whole, control=True, kl=True),
        against(of, f"kl-rtn-over-gptq-w{bits}", rounded, plain, control=True, kl=True),
        against(of, f"gptq-over-first-values-dense-w{bits}", plain, FirstValuesDense(plain), control=True),
    )
]
SPARSE = against(
    "SV3e", "sparsegpt-over-first-tokens", SparseGPT(0.5), SparseGPT(0.5, first_token_weight=FIRST), control=True
)


@pytest.mark.parametrize("row", parameters(*AGAINST, SPARSE))
def test_gptq_against_rounding(survey: Survey, conclude: Conclude, row: Row) -> None:
    """Perplexity, or KL, of the first over that of the second on the same tokens, over calibration samples."""
    first, second, what = row.contestants
    kinds: list[Method] = [method for method in (first, second) if isinstance(method, Method)]
    runs = [survey.over_samples(method) if method.statistic else [survey.measure(method)] for method in kinds]
    values = [[np.log(run.kl) if what == "KL" else run.loss for run in own] for own in runs]
    count = max(map(len, values))
    firsts, seconds = (own * (count // len(own)) for own in values)
    interval = over_samples([a - b for a, b in zip(firsts, seconds, strict=True)], np.zeros_like(firsts[0]))
    settle(conclude, survey, row, interval, runs[1][0], doubt=one_sample(survey))
