"""Qualification of a teacher: it must beat an n-gram model, and half its own depth, to judge students."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor
from transformers import PreTrainedModel

from bench.krony.readings import document_losses
from bench.measure.ngram import KneserNey
from bench.measure.parted_text import Tokens
from bench.verdict.documents import Interval, crossed_ratio
from bench.verdict.evidence import Arrays

NGRAM = 5
CLEARLY = 1.05
"""Least ratio of a half-depth model's perplexity to the teacher's that counts as clearly worse."""


@dataclass(frozen=True)
class Qualification:
    """Ability of the teacher to tell students apart."""

    over_ngram: Interval
    """Perplexity of a 5-gram model over the teacher's."""
    over_half: Interval
    """Perplexity of a half-depth model trained from scratch on the same tokens over the teacher's."""
    doubt: str
    """Reason why it cannot; empty where it can."""


def qualification_of(losses: Arrays, remedy: str) -> Qualification:
    """The teacher against an n-gram model and against half its depth, on the scored documents.

    Args:
        losses: of `teacher`, `scratch` and `ngram`, `[documents]` each.
        remedy: advice for a teacher that does not discriminate.
    """
    base = {name: losses[name][None] for name in ("teacher", "scratch", "ngram")}
    ngram, half = (crossed_ratio(base[name], base["teacher"]) for name in ("ngram", "scratch"))
    missing = []
    if not ngram.low >= 1:
        missing.append(f"a {NGRAM}-gram model's perplexity is {ngram} of the teacher's, needed ≥ 1")
    if not half.low >= CLEARLY:
        missing.append(f"a half-depth model's from scratch is {half}, needed ≥ {CLEARLY}")
    doubt = f"the teacher does not discriminate ({'; '.join(missing)}); {remedy}"
    return Qualification(ngram, half, doubt if missing else "")


def base_losses(models: Mapping[str, PreTrainedModel], text: Tokens, vocabulary: int) -> Arrays:
    """Losses of models and of an n-gram model of their text, nats a token.

    Each by its name on scored documents, `[documents]`, and with `held ` before it on the held-out text, `[1]`.
    """
    ngram = KneserNey(text.training.numpy(), vocabulary=vocabulary, order=NGRAM)
    arrays: Arrays = {}
    for prefix, parts in (("", text.scored), ("held ", [text.held_out])):
        for name, model in models.items():
            arrays[f"{prefix}{name}"] = document_losses(model, parts)
        arrays[f"{prefix}ngram"] = np.array([ngram_loss(ngram, windows) for windows in parts])
    return arrays


def ngram_loss(model: KneserNey, windows: Tensor) -> float:
    """Mean loss over the tokens the transformer predicts: all but each window's first, given the window up to them."""
    text = windows.numpy()
    losses = -np.log(np.concatenate([model.probabilities(window)[1:] for window in text]))
    return float(losses.mean())
