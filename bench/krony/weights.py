"""The real model's MLP weights under Kronecker decomposition: which shapes fit them, and how much one term holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from bench.measure.instrument import Instrument
from bench.verdict.documents import Array
from bench.verdict.evidence import Arrays, Origin
from compress.calibrate import linear_layers
from compress.factorisation.kronecker.method import KroneckerFactorisation
from compress.factorisation.kronecker.sums import FactorShapes, materialise, rearranged, singular_values, van_loan
from models.load import mlp_width

Shape = tuple[int, int]


class Weights(Instrument):
    """Decomposes the MLP weights of a session's model; settings are none."""

    name: ClassVar[str] = "weights"

    def origin(self) -> Origin:
        """The session's model; no text is read."""
        session = self.session
        return Origin(
            session.settings.scale,
            session.settings.effort,
            session.settings.model,
            session.model_sha256,
            protocol="weights alone",
        )

    def layers(self) -> Iterator[nn.Linear]:
        """Linear layers of all MLPs: those with a side as long as the MLP's width."""
        decoder = self.session.decoder
        width = mlp_width(decoder.model.config)
        for block in decoder.blocks:
            yield from linear_layers(block, lambda _name, layer: width in layer.weight.shape).values()

    def misfit(self, patterns: Iterable[Shape]) -> str:
        """Reason why this model's MLPs cannot be cut into second factors of these shapes; empty where they can."""
        for second in patterns:
            for layer in self.layers():
                try:
                    KroneckerFactorisation(second).first(layer)
                except ValueError as error:
                    return f"this model's MLP does not factorise as the claim asks: {error}"
        return ""

    def spectra(self, second: Shape) -> Array:
        """Squared singular values of every rearranged MLP weight over their sum, `[layers, values]`, falling."""
        return self.measured(f"spectra {second}", partial(self._spectra, second))["energy"]

    def _spectra(self, second: Shape) -> Arrays:
        method, rows = KroneckerFactorisation(second), []
        for layer in self.layers():
            energy = singular_values(layer.weight, method.first(layer)).square()
            rows.append((energy / energy.sum()).cpu().numpy())
        return {"energy": np.stack(rows)}

    def excess(self, cases: Iterable[tuple[Shape, int]]) -> Array:
        """Relative distance of k terms' error from the tail of a full SVD, for the first layers, `[decompositions]`."""
        cases = tuple(cases)
        return self.measured(f"excess {cases}", partial(self._excess, cases))["excess"]

    def _excess(self, cases: tuple[tuple[Shape, int], ...]) -> Arrays:
        gaps = []
        for layer in islice(self.layers(), 3):
            weight = layer.weight.detach().double().cpu()
            for second, terms in cases:
                first = KroneckerFactorisation(second).first(layer)
                shapes = FactorShapes.cut((layer.out_features, layer.in_features), first)
                values = torch.linalg.svdvals(rearranged(weight, shapes))
                error = (weight - materialise(*van_loan(weight, first, terms))).square().sum()
                gaps.append(abs(float(error / values[terms:].square().sum()) - 1))
        return {"excess": np.array(gaps)}
