"""Low-rank methods on the survey's model: those that weigh rows by gradients, and what their weights' spectra say."""

from __future__ import annotations

import time
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from bench.measure.frequencies import token_entropy
from bench.survey.lab import Scored, Survey
from bench.verdict.documents import Array
from bench.verdict.evidence import Arrays
from compress.calibrate import linear_layers
from compress.factorisation.low_rank.decompose import singular_values
from compress.factorisation.low_rank.fisher import RowImportance, fisher_rows
from compress.factorisation.low_rank.methods import FisherWeightedSVD
from compress.method import Method
from models.training.train import next_token_loss

ENERGY = 0.9
"""Share of a weight's squared singular values that a rank is counted for."""


class LowRank(Survey):
    """Scores Fisher-weighted SVD, whose gradients are the whole model's; all other methods the survey scores."""

    name: ClassVar[str] = "low rank"

    def __init__(self, session: Any, settings: Any, survey: Any) -> None:
        """Prepare; nothing is loaded yet.

        Args:
            session: as of every instrument.
            settings: the survey's.
            survey: a `Survey`, which scores all methods that need no gradients, so that they are measured once.
        """
        super().__init__(session, settings)
        self.survey = survey
        self._importances: dict[tuple[bool, int], tuple[RowImportance, float]] = {}

    @property
    def dense(self) -> Tensor:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The dense model's hidden states, as the survey has them."""
        return self.survey.dense

    def measure(self, method: Method, *, off_domain: bool = False, sample: int = 0) -> Scored:
        """Scores of a variant, by the survey where the method needs no gradients."""
        by = super() if isinstance(method, FisherWeightedSVD) else self.survey
        return by.measure(method, off_domain=off_domain, sample=sample)

    def runs(self, method: Method, *, control: bool = False) -> list[Scored]:
        """Scores of a variant, one a calibration sample where the method calibrates and its row votes."""
        calibrates = method.statistic is not None or isinstance(method, FisherWeightedSVD)
        return self.over_samples(method) if calibrates and not control else [self.measure(method)]

    def _measure(self, method: Method, off_domain: bool, sample: int, asked: bool) -> Arrays:
        if not isinstance(method, FisherWeightedSVD):
            return super()._measure(method, off_domain, sample, asked)
        importance, seconds = self._importance(off_domain, sample)
        arrays = super()._measure(method.given(importance), off_domain, sample, asked)
        return dict(arrays) | {"seconds": np.array(arrays["seconds"] + seconds)}

    def _importance(self, off_domain: bool, sample: int) -> tuple[RowImportance, float]:
        """Importances of rows on a calibration sample, and the seconds that they took."""
        if (off_domain, sample) not in self._importances:
            batches = self.batches(off_domain=off_domain, sample=sample)
            model, device = self.session.decoder.model, self.session.decoder.device
            started = time.perf_counter()
            with self.session.progress.variant("squared gradients", sum(map(torch.numel, batches))) as advance:
                rows = fisher_rows(
                    lambda tokens: next_token_loss(model, tokens.to(device)), self.blocks, batches, advance=advance
                )
            self._importances[off_domain, sample] = rows, time.perf_counter() - started
        return self._importances[off_domain, sample]

    def no_context(self) -> float:
        """Loss of the scored text's token frequencies, nats a token."""
        return float(self.measured("token frequencies", self._no_context)["loss"])

    def _no_context(self) -> Arrays:
        return {"loss": np.array(token_entropy(self.windows.tokens[:, 1:]))}

    def doubt(self, *variants: Scored) -> str:
        """Reason why nothing is said of the whole model, or none of the variants is a language model any more."""
        if general := super().doubt(*variants):
            return general
        if not variants or any(variant.loss.mean() < self.no_context() for variant in variants):
            return ""
        names = " and ".join(variant.method for variant in variants)
        return (
            f"{names} predict worse than the text's token frequencies ({self.no_context():.2f} nats): what is left is "
            "no language model"
        )

    def spectra(self) -> Array:
        """Rank that holds `ENERGY` of each weight's energy, over its full rank, the mean over a block: `[blocks]`."""
        return self.measured("singular values", self._spectra)["rank"]

    def _spectra(self) -> Arrays:
        blocks = [
            [_rank_share(layer.weight.detach()) for layer in linear_layers(block).values()] for block in self.blocks
        ]
        return {"rank": np.array([np.mean(block) for block in blocks])}


def _rank_share(weight: Tensor) -> float:
    """Fewest singular values that hold `ENERGY` of the sum of squares, over all of them."""
    energies = singular_values(weight).square().cumsum(0)
    return (int((energies < ENERGY * energies[-1]).sum()) + 1) / len(energies)
