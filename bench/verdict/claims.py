"""Claims of the four papers: where each stands, what it says, and its parts. Identifiers are stable.

A part is a sentence that can be true or false by itself. What measures it is declared as rows in the paper's folder.
"""

from __future__ import annotations

from bench.verdict.papers import krony, long_context, small_models, survey
from bench.verdict.papers.claim import Claim, Paper
from bench.verdict.papers.krony import KRONY_PT
from bench.verdict.papers.long_context import LONG_CONTEXT
from bench.verdict.papers.small_models import SMALL_MODELS
from bench.verdict.papers.survey import SURVEY

__all__ = (
    "CHECKPOINT",
    "CLAIMS",
    "INSTRUMENTS",
    "KRONY_PT",
    "LONG_CONTEXT",
    "PAPERS",
    "REVISIONS",
    "SMALL_MODELS",
    "SURVEY",
    "Claim",
    "Paper",
)

PAPERS = (LONG_CONTEXT, KRONY_PT, SURVEY, SMALL_MODELS)
CHECKPOINT = "CHECKPOINT"
INSTRUMENTS = {
    "INSTRUMENT": "Noise floors, positive controls and baselines: can the instruments see what they judge?",
    "VERDICTS": "Errors of the verdict engine, simulated with a known truth.",
    CHECKPOINT: "A user's checkpoint against the dense model that it was made from.",
}
"""Instruments that measure the suite itself, and a user's checkpoint."""
MODULES = (long_context, krony, survey, small_models)
CLAIMS = {claim.id: claim for module in MODULES for claim in module.CLAIMS}
REVISIONS = tuple(revision for module in MODULES for revision in module.REVISIONS)
