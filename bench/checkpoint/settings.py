"""Amounts of text on which a checkpoint is judged, by scale and effort."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CheckpointSettings:
    """Windows from the start of documents, which both models read."""

    documents: int
    tokens: int
    """Tokens of a window, at the most; a model that reads fewer is judged on as many as it reads."""
    layer_tokens: int
    """Tokens on which blocks are compared one by one."""
    protocol_tokens: int | None
    """Tokens that are scored under each protocol of perplexity, where that is asked for; None for all."""
    task_examples: int | None
    """Examples of each task of lm-evaluation-harness, where that is asked for; None for all."""


SETTINGS = {
    ("embedded", "quick"): CheckpointSettings(3, 128, 64, 4200, 20),
    # Twelve documents are the fewest that are resampled; with fewer, Student's t is wider.
    ("embedded", "normal"): CheckpointSettings(12, 512, 128, 8400, 500),
    ("embedded", "thorough"): CheckpointSettings(32, 2048, 256, 33_000, None),
    ("gpu", "quick"): CheckpointSettings(12, 512, 128, 33_000, 500),
    ("gpu", "normal"): CheckpointSettings(32, 2048, 256, None, None),
    ("gpu", "thorough"): CheckpointSettings(64, 4096, 512, None, None),
}


def at(scale: str, effort: str) -> CheckpointSettings:
    """Settings of one scale and effort; the papers' models are read as a GPU reads."""
    own = "embedded" if scale == "embedded" else "gpu"
    return SETTINGS[own, effort]
