"""Kernels that only some GPUs have: what is asked of a card before one is timed."""

from __future__ import annotations

from models.device import capability, card


def lacking(device: str, kernels: str, needed: tuple[int, int]) -> str:
    """Sentence on why a device cannot run some kernels; empty where it can.

    Args:
        device: of the session.
        kernels: what they do, as in "2:4 sparse products".
        needed: lowest compute capability that has them, major and minor.
    """
    own = capability(device)
    if own is None:
        return f"torch has {kernels} for CUDA only; run: pytest bench -m gpu"
    if own < needed:
        return (
            f"{card(device)} has compute capability {own[0]}.{own[1]} and {kernels} need {needed[0]}.{needed[1]}; "
            "choose a newer card with --device"
        )
    return ""
