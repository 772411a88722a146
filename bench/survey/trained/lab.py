"""Instrument of training-time methods: a GPT-2 trained on the spot and all that is trained from it, scored."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from bench.measure.instrument import Instrument
from bench.measure.ngram import KneserNey
from bench.measure.perplexity import token_losses
from bench.survey.trained.models import Models
from bench.survey.trained.recipes import OneShot, Recipe, layers_of
from bench.survey.trained.settings import TrainedSettings
from bench.survey.trained.text import Texts
from bench.verdict.crossed import crossed_interval
from bench.verdict.documents import Array, Interval
from bench.verdict.evidence import Arrays, Origin
from compress.layers import SimulatedLinear
from compress.size import total
from models.data.text import text_sha256
from models.training.plan import Diverged

NGRAM = 2
"""Order of the n-gram model that the dense one must beat: more than pairs of neighbours has to be learned."""
BEYOND = 2
"""Rates that are tried beyond an end at most."""


class Trained(Instrument):
    """Dense models, one a seed, and all recipes that stand on them."""

    name: ClassVar[str] = "trained"
    settings_at: ClassVar[str] = "bench.survey.trained.settings:at"

    def __init__(self, session: Any, settings: TrainedSettings) -> None:
        super().__init__(session, settings)
        self.texts = Texts(session, settings)
        self.models = Models(session, settings, self.texts)

    def measure(self, recipe: Recipe, seed: int) -> Arrays:
        """Losses of a recipe's model, nats a token: `loss` `[documents]` and `held_out` `[1]`; its size and zeros."""
        code = [type(recipe), Models, Texts]
        code += [type(recipe.method)] if isinstance(recipe, OneShot) else []
        label = f"{recipe}, seed {seed}"
        return self.measured(f"{recipe!r} seed {seed}", partial(self._measure, recipe, seed), *code, label=label)

    @torch.no_grad()
    def _measure(self, recipe: Any, seed: int) -> Arrays:
        started = time.perf_counter()
        model = recipe.made(self.models, seed).eval().to(self.session.settings.device)
        seconds = time.perf_counter() - started
        text = self.texts.other if recipe.elsewhere else self.texts.own
        layers = list(layers_of(model).values())
        zeros = sum(int((layer.weight == 0).sum()) for layer in layers)
        coded = [layer.storage for layer in layers if isinstance(layer, SimulatedLinear)]
        return {
            "loss": document_losses(model, text.scored),
            "held_out": document_losses(model, [text.held_out]),
            "sparsity": np.array(zeros / sum(layer.weight.numel() for layer in layers)),
            "bits_per_weight": np.array(total(coded).bits_per_weight if coded else math.nan),
            "seconds": np.array(seconds),
        }

    def losses(self, recipe: Recipe, seeds: Sequence[int] | None = None) -> Array:
        """Losses over some seeds, by default the settings', `[seeds, documents]`."""
        return np.stack([self.measure(recipe, seed)["loss"] for seed in seeds or self.settings.seeds])

    def held_out(self, recipe: Recipe) -> float:
        """Held-out loss under the first seed, by which choices are made; infinite where the training diverged."""
        try:
            return float(self.measure(recipe, self.settings.seeds[0])["held_out"][0])
        except Diverged:
            return math.inf

    def chosen(self, recipes: Iterable[Recipe]) -> Any:
        """The recipe with the lowest held-out loss; ties to the first."""
        return min(recipes, key=self.held_out)

    def at_best_rate(self, recipe: Any, rates: Sequence[float] | None = None) -> Any:
        """A recipe at the rate that is best on held-out text.

        Rates are in geometric progression, about. Where the best is at an end of those tried, the next one beyond it is
        tried as well, `BEYOND` times at most.
        """
        tried = [replace(recipe, rate=rate) for rate in rates or self.settings.rates]
        best = self.chosen(tried)
        if len(tried) < 2:
            return best
        factor = (tried[-1].rate / tried[0].rate) ** (1 / (len(tried) - 1))
        for _ in range(BEYOND):
            if best not in (tried[0], tried[-1]):
                break
            rate = best.rate * factor if best == tried[-1] else best.rate / factor
            tried.append(replace(recipe, rate=float(f"{rate:.1g}")))
            tried.sort(key=lambda each: each.rate)
            best = self.chosen(tried)
        return best

    def _counted(self, order: int) -> Arrays:
        text, vocabulary = self.texts.own, self.settings.shape.vocabulary
        model = KneserNey(text.training.numpy(), vocabulary=vocabulary, order=order)
        return {"loss": np.array([_ngram_loss(model, windows) for windows in text.scored])}

    def over_ngram(self, order: int = NGRAM) -> Interval:
        """Perplexity of an n-gram model of the same text over the dense model's, over seeds and documents."""
        measure = partial(self._counted, order)
        counted = self.measured(f"{order}-gram", measure, Texts, label=f"{order}-gram")["loss"]
        return crossed_interval(counted - self.losses(Recipe()), lambda means: means[..., 0]).map(np.exp)

    def doubt(self, *_variants: Any) -> str:
        """Reason why the dense model may not judge; empty where it may."""
        ratio = self.over_ngram()
        if ratio.low >= 1:
            return ""
        longer = "train it longer" + ("" if self.session.settings.effort == "thorough" else ": --effort=thorough")
        return f"the dense model does not discriminate ({NGRAM}-grams have {ratio} of its perplexity); {longer}"

    def origin(self) -> Origin:
        """A model that is trained here, and the text that is scored."""
        s, shape = self.settings, self.settings.shape
        read = s.dense.steps * s.step_tokens
        protocol = (
            f"dense model {read:,} tokens, then {s.after} steps more at most; seeds {', '.join(map(str, s.seeds))}; "
            f"{s.windows} windows of {shape.positions} a document; natural log"
        )
        return replace(
            self.session.origin(protocol, documents=s.documents, tokens=read),
            model=f"GPT-2 {shape.layers}x{shape.width}, trained here",
            text_sha256=text_sha256(self.session.documents + self.session.more_documents),
            model_sha256=hashlib.sha256(repr(s.decisive()).encode()).hexdigest(),
        )


def document_losses(model: PreTrainedModel, scored: list[Tensor]) -> Array:
    """Mean loss of each document, nats a token, `[documents]`."""
    return np.array([float(token_losses(model, windows).double().mean()) for windows in scored])


def _ngram_loss(model: KneserNey, windows: Tensor) -> float:
    """Mean loss over all tokens but each window's first."""
    return float(np.concatenate([-np.log(model.probabilities(window)[1:]) for window in windows.numpy()]).mean())
