"""LLM-Pruner on the survey's windows: importances from gradients of the language-modelling loss."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
from torch import Tensor
from torch.nn import functional

from bench.survey.lab import Survey, _described
from bench.verdict.evidence import Arrays
from compress.calibrate import linear_layers
from compress.gradients import GradientSums, gradient_sums
from compress.method import Method
from compress.pruning.taylor import TaylorPruning
from compress.swap import compressed


class GradientSurvey(Survey):
    """Scores variants whose importances come from gradients, on the calibration tokens that other methods are given."""

    _known: tuple[tuple[bool, int], Mapping[str, GradientSums]] | None = None
    """Gradients on the calibration sample asked for last, of which all variants are made."""

    def loss(self, tokens: Tensor) -> Tensor:
        """Mean loss of every token but the first, `[batch, tokens]` -> `[]`, in nats."""
        decoder = self.session.decoder
        logits = decoder.head(decoder.hidden(tokens)[:, :-1]).float()
        return functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten().to(logits.device))

    def gradients(self, off_domain: bool, sample: int) -> Mapping[str, GradientSums]:
        """Sums over the calibration sequences, one at a time, of the gradients of the layers that are compressed."""
        if self._known is None or self._known[0] != (off_domain, sample):
            self._known = None  # before the next are made: they are twice as large as the layers
            layers = {
                f"{index}.{name}": layer
                for index, block in enumerate(self.blocks)
                for name, layer in linear_layers(block).items()
            }
            batches = self.batches(off_domain=off_domain, sample=sample)
            sequences = [sequence[None] for batch in batches for sequence in batch]
            self._known = (off_domain, sample), gradient_sums(layers, self.loss, sequences)
        return self._known[1]

    def _measure(self, method: Method, off_domain: bool, sample: int, asked: bool) -> Arrays:
        if not isinstance(method, TaylorPruning):
            raise TypeError(f"{method} asks for no gradients; the survey itself measures it")
        dense, started = self.dense, time.perf_counter()
        informed = method.informed(self.gradients(off_domain, sample))
        with compressed(informed, self.blocks) as outcome:
            seconds = time.perf_counter() - started
            scores = self._scores(self._states(str(method)), dense)
        return scores | _described(outcome) | {"seconds": np.array(seconds)}
