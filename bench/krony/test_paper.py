"""Krony-PT at its own scale (`--scale=paper`): Tables 3, 4 and 6 on GPT-2, DistilGPT2 and the models trained here.

Ratios are of perplexities under the paper's protocol, with intervals over its windows; numbers that the paper prints
have a two-sided tolerance, because too good a number usually means another protocol.
"""

from __future__ import annotations

from typing import Any

import pytest

from bench.conftest import Conclude
from bench.krony.paper import TEXTS, PaperLab
from bench.krony.printed import PERPLEXITY
from bench.krony.test_krony_pt import AS_WELL, BETTER
from bench.measure.perplexity import HUGGINGFACE
from bench.verdict.documents import Interval, difference_ratio
from bench.verdict.regions import Region

PAPER_SCALE = "paper-gpt2"
pytestmark = pytest.mark.paper
ORDER = (*TEXTS, "lambada")
HUGGINGFACE_GPT2, KNOWN = 29.94, 0.003
DENSE_TOLERANCE, TRAINED_TOLERANCE = 0.005, 0.05
"""Of a printed perplexity: rounding and library versions; another run of the same training."""
PRINTED = {
    "dense": ("GPT2", DENSE_TOLERANCE),
    "peer": ("DistilGPT2", DENSE_TOLERANCE),
    "81M": ("Krony-PT-81M", TRAINED_TOLERANCE),
    "95M-pruned": ("Krony-PT-95M, pruning", TRAINED_TOLERANCE),
    "95M-van-loan": ("Krony-PT-95M, Van Loan", TRAINED_TOLERANCE),
    "4-terms-scalars": ("Krony-PT-92.2M, 4 terms, scalars", TRAINED_TOLERANCE),
}
CLAIM_OF = {
    "dense": "KP4",
    "peer": "KP4",
    "81M": "KP4",
    "95M-pruned": "KP5",
    "95M-van-loan": "KP5",
    "4-terms-scalars": "KP6",
}
CONTESTS = {
    "KP4-paper-peer-over-81M": ("peer", "81M", BETTER),
    "KP5-paper-pruned-over-van-loan": ("95M-pruned", "95M-van-loan", AS_WELL),
}


def claimed(row: str, *values: str) -> Any:
    """A parameter whose id is its row and whose test carries that row's claim."""
    return pytest.param(*values, id=row, marks=pytest.mark.claim(row.split("-", maxsplit=1)[0]))


ROWS = [claimed(f"{CLAIM_OF[name]}-paper-{name}-{text}", name, text) for name in PRINTED for text in ORDER]
AGAINST = [claimed(f"{row}-{text}", row, text) for row in CONTESTS for text in ORDER]


@pytest.mark.claim("INSTRUMENT")
@pytest.mark.parametrize("row", ["INSTRUMENT-paper-gpt2-raw"])
def test_the_protocol_gives_a_known_number(paper: PaperLab, conclude: Conclude, row: str) -> None:
    """GPT-2 has 29.94 on raw WikiText-2 in transformers' own guide; a model that has not is another model."""
    ratio = paper.raw_perplexity() / HUGGINGFACE_GPT2
    what = "perplexity of GPT-2 on raw WikiText-2 over the known one"
    origin = {**paper.origin("wikitext-2"), "protocol": str(HUGGINGFACE)}
    conclude(row, what, Interval(ratio, ratio, ratio), Region(1 - KNOWN, 1 + KNOWN), origin=origin)


@pytest.mark.parametrize(("name", "text"), ROWS)
def test_printed_perplexities(paper: PaperLab, conclude: Conclude, name: str, text: str) -> None:
    """A model's perplexity over the one that the paper prints, under the paper's protocol."""
    printed, tolerance = PRINTED[name]
    scores = paper.scores(name)
    found = scores.perplexity[text]
    ratio = found.token / PERPLEXITY[printed][ORDER.index(text)]
    details = {
        "parameters": scores.parameters,
        "token": found.token,
        "word": found.word,
        "byte": found.byte,
        "lambada_accuracy": scores.lambada_accuracy,
        "lm_eval": scores.lm_eval,
    }
    conclude(
        f"{CLAIM_OF[name]}-paper-{name}-{text}",
        f"perplexity of {name} on {text} over the printed one",
        Interval(ratio, ratio, ratio),
        Region(1 - tolerance, 1 + tolerance),
        details=details,
        origin=paper.origin(text),
    )


@pytest.mark.parametrize(("row", "text"), AGAINST)
def test_models_against_each_other(paper: PaperLab, conclude: Conclude, row: str, text: str) -> None:
    """Perplexity of one model over another's, over the windows of a text."""
    first, second, accept = CONTESTS[row]
    losses = (paper.scores(name).perplexity[text].losses for name in (first, second))
    what = f"perplexity of {first} over that of {second} on {text}"
    conclude(f"{row}-{text}", what, difference_ratio(*losses), accept, decide="longer text", origin=paper.origin(text))
