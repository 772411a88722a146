"""Settings of the survey: how much text its one-shot methods are calibrated and scored on, by scale and effort."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SurveySettings:
    """Amounts of text; whole windows are scored, from the start of each document."""

    documents: int
    tokens: int
    """Scored tokens of a document."""
    calibration_sequences: int
    calibration_length: int
    blocks: int | None = None
    """Number of first blocks that are compressed; None for all."""
    harness_pages: int = 2
    """Pages that lm-evaluation-harness reads."""
    harness_characters: int = 1500
    """Characters of a page."""
    passages: int = 64
    """Passages whose last word lm-evaluation-harness asks for."""
    samples: int = 1
    """Calibration samples, no token in two, over which rows that vote vary."""
    protocol_tokens: int | None = None
    """Tokens on which a user's checkpoint is scored under each protocol of perplexity; None for all."""


SURVEY_SETTINGS = {
    ("embedded", "quick"): SurveySettings(
        2, 24, 1, 64, blocks=1, harness_pages=1, harness_characters=200, passages=2, protocol_tokens=4200
    ),
    ("embedded", "normal"): SurveySettings(
        8, 256, 8, 512, harness_pages=1, harness_characters=600, passages=4, protocol_tokens=8400
    ),
    # By the spread that eight documents showed, 17 decide LLM.int8() within 1 %, 24 all of the rows on one-shot methods
    # that can be decided.
    ("embedded", "thorough"): SurveySettings(24, 512, 128, 512, samples=3, protocol_tokens=33_000),
    ("gpu", "quick"): SurveySettings(8, 1024, 16, 1024),
    ("gpu", "normal"): SurveySettings(
        32, 2048, 32, 2048, harness_pages=16, harness_characters=8000, passages=500, samples=3
    ),
    ("gpu", "thorough"): SurveySettings(
        34, 4096, 32, 2048, harness_pages=34, harness_characters=8000, passages=5153, samples=3
    ),
    ("paper", "quick"): SurveySettings(8, 512, 16, 512),
    ("paper", "normal"): SurveySettings(32, 2048, 128, 2048, harness_pages=62, harness_characters=10**6, passages=5153),
    ("paper", "thorough"): SurveySettings(
        62, 2048, 128, 2048, harness_pages=62, harness_characters=10**6, passages=5153
    ),
}


def at(scale: str, effort: str) -> SurveySettings:
    """Settings of one scale and effort."""
    return SURVEY_SETTINGS[scale.partition("-")[0], effort]
