"""Second-order pruning on layers of a model: rankings of weights by the output error that they leave on fresh inputs.

Layers of blocks spread over the depth, a random sample of each one's rows, as rows are problems of their own. Gram
matrices for the rankings come from the calibration text, those that errors are measured on from scored documents; both
from the dense model. In every row of a weight as many weights go under each ranking.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from bench.survey import settings as survey_settings
from bench.survey.lab import Survey
from bench.survey.settings import SurveySettings
from bench.verdict.documents import Array
from bench.verdict.evidence import Arrays
from compress.calibrate import linear_layers, measuring
from compress.grid import fake_quantize
from compress.method import Method
from compress.pruning.elimination import MOST_INPUTS
from compress.pruning.factor import inverse_factor
from compress.pruning.second_order import Saliency, obc, ranked, refitted
from compress.pruning.sparsegpt import sparsegpt
from compress.quantization.gptq import gptq
from compress.quantization.grouping import PerRow
from compress.quantization.obq import obq
from compress.selection import layer_generator, removed_count, smallest
from compress.statistics import GramMatrix
from compress.swap import compressed
from models.errors import InputError

DAMPING = 0.01
RANKINGS = ("magnitude", "obd", "obs", "obc")
REFIT = "-refit"
"""Ending of a ranking whose kept weights were fitted anew to the calibration inputs by least squares."""


@dataclass(frozen=True)
class SaliencySettings(SurveySettings):
    """Amounts of text, and how much of the model is looked at."""

    spread: int = 8
    """Blocks, spread over the depth, of which layers are looked at."""
    rows: int = 32
    """Rows of each layer that are pruned."""
    rounded_rows: int = 8
    """Rows of each layer that are rounded."""
    run: int = 2
    """Neighbouring blocks that are pruned together, for perplexity."""
    whole: bool = True
    """Whether all of their layers are that are narrow enough, or the first of each block alone."""
    sparsity: float = 0.5
    bits: int = 3


FEWER = {
    "quick": {"spread": 2, "rows": 2, "rounded_rows": 1, "run": 1, "whole": False},
    "thorough": {"rows": 192, "rounded_rows": 32},
}


def at(scale: str, effort: str) -> SaliencySettings:
    """Settings of one scale and effort."""
    return SaliencySettings(**asdict(survey_settings.at(scale, effort)) | {"blocks": None} | FEWER.get(effort, {}))


def narrow(_name: str, layer: nn.Linear) -> bool:
    """Choice of the layers that exact elimination can take."""
    return layer.in_features <= MOST_INPUTS


class NoNarrowLayer(InputError):
    """A model none of whose layers exact elimination can take."""


class SecondOrder(Survey):
    """Measures rankings layer by layer, and perplexity with a few blocks pruned."""

    name: ClassVar[str] = "second order"
    settings_at: ClassVar[str] = "bench.survey.saliency:at"

    def doubt(self, *_variants: object) -> str:
        """Reason why its layers say nothing of others; empty where there are enough."""
        if self.session.settings.effort != "quick":
            return ""
        settings = self.settings
        return (
            f"only {settings.rows} rows of layers in {settings.spread} blocks are pruned at this effort; "
            "use --effort=normal"
        )

    @property
    def blocks(self) -> tuple[nn.Module, ...]:
        """Neighbouring blocks from a third of the depth on, which are pruned together."""
        blocks = self.session.decoder.blocks
        first = min(len(blocks) // 3, max(0, len(blocks) - self.settings.run))
        return blocks[first : first + self.settings.run]

    def _chosen(self, name: str, layer: nn.Linear) -> bool:
        first = next(iter(linear_layers(self.blocks[0], narrow)), name)
        return narrow(name, layer) and (self.settings.whole or name == first)

    @cached_property
    def layers(self) -> dict[int, dict[str, nn.Linear]]:
        """Layers that are looked at, by block and name.

        Raises:
            NoNarrowLayer: none is narrow enough.
        """
        blocks = self.session.decoder.blocks
        count = min(self.settings.spread, len(blocks))
        places = sorted({round(place) for place in np.linspace(0, len(blocks) - 1, count)})
        found = {place: linear_layers(blocks[place], narrow) for place in places}
        if not all(found.values()):
            raise NoNarrowLayer(
                f"a block has no linear layer of {MOST_INPUTS:,} inputs or fewer, the most that exact pruning takes"
            )
        return found

    def errors(self, sample: int = 0) -> dict[str, Array]:
        """Output errors over those of all weights at zero, on fresh inputs, by ranking or method.

        Each `[blocks, documents]`, the geometric mean over a block's layers.

        Args:
            sample: which of the calibration samples the rankings are from.
        """
        name = f"output errors{f', calibration sample {sample}' if sample else ''}"
        return dict(self.measured(name, partial(self._errors, sample)))

    def _errors(self, sample: int) -> Arrays:
        flat = {f"{place}.{name}": layer for place, own in self.layers.items() for name, layer in own.items()}
        known = self._grams(flat, self.batches(off_domain=False, sample=sample))
        with self.session.progress.variant("second order, layers", len(flat)) as advance:
            changed = {}
            for name, layer in flat.items():
                changed[name] = _changes(self._rows(name, layer), known.pop(name), self.settings)
                advance(1)
        ratios = [self._fresh(flat, changed, document) for document in self.windows.tokens]
        logs = {kind: np.stack([each[kind] for each in ratios], 1) for kind in ratios[0]}
        return {kind: _by_block(values, list(flat)) for kind, values in logs.items()}

    def _grams(self, layers: dict[str, nn.Linear], batches: Sequence[Tensor]) -> dict[str, Tensor]:
        """Gram matrices of the layers' inputs in the dense model, `[d_in, d_in]` float64."""
        with torch.inference_mode(), measuring(layers, GramMatrix) as statistics:
            for batch in batches:
                self.session.decoder.hidden(batch)
        return {name: statistic.sum for name, statistic in statistics.items() if isinstance(statistic, GramMatrix)}

    def _rows(self, name: str, layer: nn.Linear) -> Tensor:
        """Random rows of a layer's weight, the first of them those that are rounded."""
        weight = layer.weight.detach().float()
        order = torch.randperm(len(weight), generator=layer_generator(self.session.settings.seed, name))
        return weight[order[: self.settings.rows].to(weight.device)]

    def _fresh(self, layers: dict[str, nn.Linear], changed: dict[str, dict[str, Tensor]], document: Tensor) -> dict:
        """Logarithms of the error of every kind of change over the outputs' own energy, `[layers]`, on one document."""
        grams = self._grams(layers, [document[None]])
        found: dict[str, list[float]] = {}
        for name in layers:
            for kind, change in changed[name].items():
                energy = (change @ grams[name] * change).sum()
                found.setdefault(kind, []).append(float(energy))
        return {kind: np.log(values) for kind, values in found.items()}

    def _measure(self, method: Method, off_domain: bool, sample: int, asked: bool) -> Arrays:
        """Losses with the neighbouring blocks pruned."""
        dense, decoder = self.dense, self.session.decoder
        batches = self.batches(off_domain=off_domain, sample=sample) if method.statistic else []
        with compressed(method, self.blocks, forward=decoder.hidden, batches=batches, chosen=self._chosen):
            return self._scores(self._states(f"{method}, {len(self.blocks)} blocks"), dense)

    def losses(self, method: Method) -> Array:
        """Mean losses with the neighbouring blocks pruned, `[documents]`."""
        kept = self.measured(
            f"{method!r}, neighbouring blocks",
            partial(self._measure, method, False, 0, False),
            type(method),
            label=f"{method}, {self.settings.run} blocks",
        )
        return kept["loss"]


def _by_block(values: Array, names: Sequence[str]) -> Array:
    """Means over each block's layers: `[layers, documents]` -> `[blocks, documents]`."""
    places = [name.partition(".")[0] for name in names]
    return np.stack([values[[own == place for own in places]].mean(0) for place in dict.fromkeys(places)])


def _changes(weight: Tensor, gram: Tensor, settings: SaliencySettings) -> dict[str, Tensor]:
    """Changes of a layer's rows `[rows, d_in]` float64 under every ranking and method."""
    factor = inverse_factor(gram, DAMPING)
    weight, sparsity = weight.double(), settings.sparsity
    damped = gram / gram.diagonal().mean()
    damped.diagonal().add_(factor.damping + factor.dead.double())
    exact = obc(weight, gram, sparsity=sparsity, damping=DAMPING)
    masks = {
        "magnitude": smallest(weight.abs(), removed_count(sparsity, weight.shape[1])),
        "obd": ranked(weight, gram, Saliency.DAMAGE, sparsity=sparsity),
        "obs": ranked(weight, gram, Saliency.SURGEON, sparsity=sparsity, damping=DAMPING),
        "obc": exact.mask,
    }
    few = weight[: settings.rounded_rows]
    rest = {
        "sparsegpt": sparsegpt(weight, gram, sparsity=sparsity, damping=DAMPING).weight,
        "rounded": fake_quantize(few, settings.bits),
        "gptq": gptq(few, gram, bits=settings.bits, grouping=PerRow(), damping=DAMPING).weight,
        "obq": obq(few, gram, bits=settings.bits, damping=DAMPING).weight,
    }
    done = {kind: weight.masked_fill(mask, 0) for kind, mask in masks.items()}
    done |= {kind + REFIT: refitted(weight, mask, damped) for kind, mask in masks.items()}
    return {kind: after - weight[: len(after)] for kind, after in (done | rest).items()}
