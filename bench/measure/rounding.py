"""Divergence that a narrow number format makes by itself: the floor under what is judged in it."""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from bench.measure.instrument import Instrument
from bench.measure.whole_windows import WholeWindows
from bench.verdict.evidence import Arrays, Origin

DOCUMENTS = 2
TOKENS = 512
FLOOR_FACTOR = 10
"""Multiple of the floor that a divergence must reach before anything is said of it."""


class Rounding(Instrument):
    """The dense model in the session's format against the same in float32. In float32 there is nothing to measure."""

    name: ClassVar[str] = "rounding"

    def __init__(self, session: Any) -> None:
        super().__init__(session, {"documents": DOCUMENTS, "tokens": TOKENS})

    @property
    def dtype(self) -> str:
        """Format that the session computes in."""
        return self.session.settings.dtype

    def origin(self) -> Origin:
        """The session's model and the beginnings of its first scored documents."""
        protocol = f"windows of {TOKENS} tokens from each document's start; {self.dtype} against float32"
        return self.session.origin(protocol, documents=DOCUMENTS, tokens=DOCUMENTS * TOKENS)

    def floor(self) -> float:
        """Mean KL of the dense model in its format against itself in float32, nats a token; 0 for float32."""
        if self.dtype == "float32":
            return 0.0
        return float(self.measured(f"dense in {self.dtype}", self._floor)["kl"].mean())

    def _floor(self) -> Arrays:
        narrow, exact = self.session.decoder, self.session.exact
        scored = self.session.corpus.scored[:DOCUMENTS]
        windows = WholeWindows(torch.stack([tokens[: min(TOKENS, *map(len, scored))] for tokens in scored]))
        states = windows.states(narrow.hidden), windows.states(exact.hidden)
        kl = windows.against(narrow.head, *states, dense_head=exact.head)["kl"]
        return {"kl": kl.double().mean(1).numpy()}

    def doubt(self, *divergences: Any) -> str:
        """Reason why these mean divergences cannot be judged: the format's own rounding does nearly as much."""
        floor = self.floor()
        for divergence in divergences:
            if not divergence >= FLOOR_FACTOR * floor:
                return (
                    f"the instrument does not discriminate: KL {divergence:.2g} is not {FLOOR_FACTOR} times what "
                    f"{self.dtype} does by itself ({floor:.2g}); use --dtype=float32"
                )
        return ""
