"""Krony-PT at its own scale (`--scale=paper`): Tables 3, 4 and 6 on GPT-2, DistilGPT2 and the models trained here.

Ratios are of perplexities under the paper's protocol, with intervals over its windows; numbers that the paper prints
have a two-sided tolerance, because too good a number usually means another protocol.
"""

from __future__ import annotations

import pytest

from bench.fixtures import Conclude
from bench.krony.paper import TEXTS, PaperModels
from bench.krony.printed import PERPLEXITY
from bench.measure.perplexity import HUGGINGFACE
from bench.parameters import parameters
from bench.verdict.conclude import exactly
from bench.verdict.documents import difference_ratio
from bench.verdict.regions import Region
from bench.verdict.rows import Row

PAPER_SCALE = "paper-gpt2"
pytestmark = pytest.mark.paper
ORDER = (*TEXTS, "lambada")
HUGGINGFACE_GPT2, KNOWN = 29.94, 0.003
DENSE_TOLERANCE, TRAINED_TOLERANCE = 0.005, 0.05
"""Tolerances of a printed perplexity: for rounding and library versions; for another run of the same training."""
PRINTED = {
    "dense": ("KP4a", "GPT2", DENSE_TOLERANCE),
    "peer": ("KP4a", "DistilGPT2", DENSE_TOLERANCE),
    "81M": ("KP4a", "Krony-PT-81M", TRAINED_TOLERANCE),
    "95M-pruned": ("KP5a", "Krony-PT-95M, pruning", TRAINED_TOLERANCE),
    "95M-van-loan": ("KP5a", "Krony-PT-95M, Van Loan", TRAINED_TOLERANCE),
    "4-terms-scalars": ("KP6b", "Krony-PT-92.2M, 4 terms, scalars", TRAINED_TOLERANCE),
}
"""Part of a claim, the table's name and the tolerance, by model."""
SAME_NUMBER = "the printed number, with a tolerance for versions or another run of the training"
AGAINST_PRINTED = [
    Row(
        f"{of.rstrip('ab')}-paper-{name}-{text}",
        of,
        f"perplexity of {name} on {text} over the printed one",
        Region(1 - tolerance, 1 + tolerance),
        SAME_NUMBER,
        (name, text),
    )
    for name, (of, _, tolerance) in PRINTED.items()
    for text in ORDER
]
CONTESTS = [
    Row(
        f"{row}-{text}",
        of,
        f"perplexity of {first} over that of {second} on {text}",
        accept,
        because,
        (first, second, text),
    )
    for row, of, first, second, accept, because in (
        ("KP4-paper-peer-over-81M", "KP4a", "peer", "81M", Region(low=1.0), "lower perplexity, however little"),
        (
            "KP5-paper-pruned-over-van-loan",
            "KP5a",
            "95M-pruned",
            "95M-van-loan",
            Region(high=1.05),
            "no worse than 5 % is as well",
        ),
    )
    for text in ORDER
]
RAW = Row(
    "INSTRUMENT-paper-gpt2-raw",
    "INSTRUMENT",
    "perplexity of GPT-2 on raw WikiText-2 over the known one",
    Region(1 - KNOWN, 1 + KNOWN),
    "a model that has another number is another model",
)


@pytest.mark.parametrize("row", parameters(RAW))
def test_the_protocol_gives_a_known_number(paper: PaperModels, conclude: Conclude, row: Row) -> None:
    """GPT-2 has 29.94 on raw WikiText-2 in transformers' own guide."""
    ratio = paper.raw_perplexity() / HUGGINGFACE_GPT2
    conclude(row, exactly(ratio), paper.origin_on("wikitext-2", str(HUGGINGFACE)))


@pytest.mark.parametrize("row", parameters(*AGAINST_PRINTED))
def test_printed_perplexities(paper: PaperModels, conclude: Conclude, row: Row) -> None:
    """A model's perplexity over the one that the paper prints, under the paper's protocol."""
    name, text = map(str, row.contestants)
    scores = paper.scores(name)
    score = scores.perplexity[text]
    ratio = score.token / PERPLEXITY[PRINTED[name][1]][ORDER.index(text)]
    details = {
        "parameters": scores.parameters,
        "token": score.token,
        "word": score.word,
        "byte": score.byte,
        "lambada_accuracy": scores.lambada_accuracy,
        "lm_eval": scores.lm_eval,
    }
    conclude(row, exactly(ratio), paper.origin_on(text), details=details)


@pytest.mark.parametrize("row", parameters(*CONTESTS))
def test_models_against_each_other(paper: PaperModels, conclude: Conclude, row: Row) -> None:
    """Perplexity of one model over another's, over the windows of a text."""
    first, second, text = map(str, row.contestants)
    losses = (paper.scores(name).perplexity[text].losses for name in (first, second))
    conclude(row, difference_ratio(*losses), paper.origin_on(text), decide="longer text")
