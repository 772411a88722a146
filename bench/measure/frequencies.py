"""Prediction by token frequencies: the least that a language model must beat."""

from __future__ import annotations

import torch
from torch import Tensor


def token_entropy(tokens: Tensor) -> float:
    """Loss of the best model of these tokens that reads no context, nats a token: the entropy of their frequencies."""
    _, counts = torch.unique(tokens, return_counts=True)
    shares = counts.double() / counts.sum()
    return float(-(shares * shares.log()).sum())
