"""Rows that stand on arithmetic and measure no model."""

from __future__ import annotations

from bench.measure.session import Lab
from bench.verdict.documents import Interval


def exactly(value: float) -> Interval:
    """Arithmetic has no error."""
    return Interval(value, value, value)


def by_arithmetic(lab: Lab, model: str) -> dict:
    """The origin of a row about the sizes of `model`."""
    return {
        "model": f"{model}, by arithmetic",
        "model_sha256": "",
        "text": "",
        "text_sha256": "",
        "documents": 0,
        "tokens": 0,
        "protocol": "",
        "scale": lab.settings.scale,
    }
