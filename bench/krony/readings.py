"""Readings of a student while it trains: its losses on fixed text, kept beside its checkpoints.

A reading is a file of its own, so that a training which was interrupted goes on with all that was read before.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from torch import Tensor
from transformers import PreTrainedModel

from bench.measure.parted_text import Tokens
from bench.measure.perplexity import token_losses
from bench.verdict.documents import Array
from bench.verdict.evidence import Arrays
from compress.factorisation.kronecker.method import trained_scalars
from models.errors import InputError
from models.folders import written_aside

FRACTIONS = (0.1, 1 / 8, 1 / 4, 1 / 2, 1.0)
"""Shares of a training at which scored documents are read: doublings, and the tenth that KP8's control asks for."""
DOUBLINGS = FRACTIONS[1:]
EVEN, EARLY = 64, 20
"""Held-out readings evenly over the training, so that students of half the tokens share half of theirs with others;
and before half of it evenly in the logarithm, three a doubling."""


def steps_of(steps: int) -> dict[float, int]:
    """Steps done at each of `FRACTIONS`."""
    return {fraction: max(1, round(fraction * steps)) for fraction in FRACTIONS}


def reading_steps(steps: int) -> list[int]:
    """Steps done at every reading, rising."""
    early = [max(1, round(steps * 2 ** (-1 - k / 3))) for k in range(EARLY + 1)]
    even = [max(1, steps * k // EVEN) for k in range(1, EVEN + 1)]
    return sorted({*early, *even, *steps_of(steps).values()})


def document_losses(model: PreTrainedModel, scored: list[Tensor]) -> Array:
    """Mean loss of each document, nats a token, `[documents]`."""
    return np.array([float(token_losses(model, windows).double().mean()) for windows in scored])


@dataclass(frozen=True)
class Readings:
    """Readings of one training, in a folder."""

    folder: Path
    text: Tokens
    steps: int
    """Of the whole training."""
    parts: int = 1
    """Steps that count as one: those of smaller batches are read after as many tokens as others."""

    def _file(self, step: int) -> Path:
        return self.folder / f"reading-{step:08d}.npz"

    def take(self, model: PreTrainedModel, done: int) -> None:
        """Read the model after so many steps, if these are among those to be read at; it goes on training."""
        step, rest = divmod(done, self.parts)
        if rest or step not in reading_steps(self.steps // self.parts):
            return
        model.eval()
        arrays = {
            "held_out": document_losses(model, [self.text.held_out]),
            "scalars": trained_scalars(model).double().numpy(),
        }
        if step in steps_of(self.steps // self.parts).values():
            arrays["scored"] = document_losses(model, self.text.scored)
            arrays["elsewhere"] = document_losses(model, self.text.elsewhere)
        with written_aside(self._file(step)) as beside, beside.open("wb") as file:
            np.savez(file, **arrays)
        model.train()

    def _read(self, step: int) -> dict[str, Array]:
        path = self._file(step)
        try:
            with path.open("rb") as file, np.load(file) as kept:
                return dict(kept)
        except (OSError, ValueError, EOFError, BadZipFile, zlib.error) as error:
            raise InputError(
                f"the reading {path} is missing or damaged ({type(error).__name__}: {error}); delete {self.folder}, "
                "and the student is trained again"
            ) from error

    def gathered(self, tokens: int, before: int = 0) -> Arrays:
        """Arrays over all readings, given the tokens of a whole training and of a phase before it.

        `along` `[readings]` tokens and `held_out` `[readings]` losses; at each of `FRACTIONS`, `tokens` `[fractions]`,
        `scored` and `elsewhere` `[fractions, documents]` and `scalars` `[fractions, scalars]`.

        Raises:
            InputError: a reading is missing or damaged.
        """
        count = self.steps // self.parts
        steps, chosen = reading_steps(count), list(steps_of(count).values())
        read = {step: self._read(step) for step in steps}
        return {
            "along": np.array([before + tokens * step // count for step in steps]),
            "held_out": np.array([float(read[step]["held_out"][0]) for step in steps]),
            "tokens": np.array([before + tokens * step // count for step in chosen]),
            **{name: np.stack([read[step][name] for step in chosen]) for name in ("scored", "elsewhere", "scalars")},
        }
