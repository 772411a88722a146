"""Variants of every family, written to a file, scored as that file says, and undone."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from bench.survey.footprint.families import families_at
from bench.survey.lab import Survey
from bench.verdict.documents import Array
from bench.verdict.evidence import Arrays
from bench.verdict.footprints import Curve, curve_of
from compress.calibrate import block_inputs
from compress.method import Method
from compress.packing.file import as_written, write_packed
from compress.quantization.awq import AWQ
from compress.quantization.fold import producers
from compress.swap import compressed

FEW_TOKENS = 16
"""Tokens by which the modules before a block's layers are found."""


@dataclass(frozen=True)
class Sized:
    """A variant's losses and the bytes of its file."""

    bytes: float
    loss: Array
    """Over the dense model's, `[documents]`."""


class Footprint(Survey):
    """Scores each variant as its file holds it."""

    name: ClassVar[str] = "footprint"

    def sized(self, family: str, method: Method) -> Sized:
        """Losses of a variant over the dense model's, and the bytes of its file."""
        arrays = self.measured(
            f"{family}: {method!r}", partial(self._sized, method), type(method), label=f"{family}: {method}"
        )
        return Sized(float(arrays["bytes"]), arrays["loss"] - arrays["dense_loss"])

    def _sized(self, method: Method) -> Arrays:
        dense, decoder = self.dense, self.session.decoder
        batches = self.batches(off_domain=False) if method.statistic else []
        started = time.perf_counter()
        with (
            compressed(self._own(method), self.blocks, forward=decoder.hidden, batches=batches),
            tempfile.TemporaryDirectory() as folder,
        ):
            seconds, path = time.perf_counter() - started, Path(folder) / "packed.safetensors"
            size = write_packed(decoder.model, path)
            with as_written(decoder.model, path):
                scores = self._scores(self._states(str(method)), dense)
        return scores | {"bytes": np.array(size), "seconds": np.array(seconds)}

    def _own(self, method: Method) -> Method:
        """Method as it is for this model: AWQ's scales stay with the inputs, so that its weights lie on a grid."""
        if not isinstance(method, AWQ):
            return method
        tokens = self.batches(off_domain=False)[0][:1, :FEW_TOKENS]
        (entering,) = block_inputs(self.session.decoder.hidden, self.blocks[0], [tokens])
        return replace(method, before=producers(self.blocks[0], entering))

    @property
    def families(self) -> dict[str, tuple[Method, ...]]:
        """Methods of each family at the session's effort."""
        return families_at(self.session.settings.effort)

    def curves(self, documents: Sequence[int]) -> tuple[dict[str, Curve], dict[str, str]]:
        """Curves of all families that this model takes, and why it does not take the others.

        Args:
            documents: those by which a family's own worse variants are left out.
        """
        made, refused = {}, {}
        for family, methods in self.families.items():
            try:
                variants = [self.sized(family, method) for method in methods]
            except ValueError as error:
                refused[family] = str(error)
            else:
                made[family] = curve_of(family, [(of.bytes, of.loss) for of in variants], documents)
        return made, refused

    @property
    def halves(self) -> tuple[list[int], list[int]]:
        """Documents by which families and footprints are chosen, and those on which they are judged: every other."""
        count = len(self.windows.tokens)
        return list(range(0, count, 2)), list(range(1, count, 2))
