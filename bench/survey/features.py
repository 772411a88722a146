"""SVD followed by feature distillation (Noach & Goldberg 2020): factors trained to give the dense model's features."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from bench.measure.frequencies import token_entropy
from bench.measure.instrument import Instrument
from bench.survey.lab import Survey
from bench.survey.settings import SurveySettings
from bench.survey.settings import at as survey_at
from bench.verdict.documents import Array, Interval, cluster_interval
from bench.verdict.evidence import Arrays, Origin
from compress.calibrate import BlockInput, block_inputs
from compress.distillation.heal import Healing, heal, relative_error
from compress.factorisation.low_rank.layer import LowRankLinear
from compress.factorisation.low_rank.methods import TruncatedSVD
from compress.swap import apply
from models.load import find_blocks
from models.training.train import Training, train

RATES = (3e-4, 1e-3, 3e-3)
"""Learning rates that a start may have: the one whose first block errs least on a sequence that it was not trained on.
"""


@dataclass(frozen=True)
class FeatureSettings:
    """Amounts of text and training."""

    survey: SurveySettings
    """Its text, on which variants are scored."""
    sequences: int
    """Calibration sequences, one a step; the last is held out for the choice of a learning rate."""
    passes: int
    """Passes over them for every block."""
    blocks: int | None = None
    """Number of first blocks that are factorised; None for all."""
    end_to_end: Training | None = None
    """Training of the whole model on the task's loss after that, the paper's second stage, where a GPU allows it."""


FEATURES = {
    ("embedded", "quick"): (2, 1, 1),
    ("embedded", "normal"): (8, 4, 4),
    ("embedded", "thorough"): (32, 4, None),
    ("gpu", "quick"): (16, 2, None),
    ("gpu", "normal"): (32, 8, None),
    ("gpu", "thorough"): (32, 16, None),
    ("paper", "quick"): (16, 2, None),
    ("paper", "normal"): (64, 8, None),
    ("paper", "thorough"): (128, 8, None),
}


def at(scale: str, effort: str) -> FeatureSettings:
    """Settings of one scale and effort."""
    kind = scale.partition("-")[0]
    task = None if kind == "embedded" else Training(400, 16, 3e-4, accumulation=4, precision="bf16")
    return FeatureSettings(survey_at(scale, effort), *FEATURES[kind, effort], end_to_end=task)


@dataclass(frozen=True)
class Start:
    """Factors of one size, and what becomes of them."""

    share: float
    random: bool = False
    """Drawn at random with the same spread, instead of the SVD's."""
    distilled: bool = True

    def __str__(self) -> str:
        return f"{'random' if self.random else 'svd'}-{self.share:g}{'-distilled' if self.distilled else ''}"


class FeatureDistillation(Instrument):
    """Measures copies of the model with factorised blocks, so that the session's own stays dense."""

    name: ClassVar[str] = "feature distillation"
    settings_at: ClassVar[str] = "bench.survey.features:at"

    def __init__(self, session: Any, settings: Any, survey: Any) -> None:
        """Prepare; nothing is loaded yet.

        Args:
            session: as of every instrument.
            settings: of both stages.
            survey: a `Survey`, whose windows are scored and whose calibration text is learnt from.
        """
        super().__init__(session, settings)
        self.survey = survey

    @property
    def count(self) -> int:
        """Number of blocks that are factorised."""
        return self.settings.blocks or len(self.session.decoder.blocks)

    @cached_property
    def sequences(self) -> list[Tensor]:
        """Calibration sequences `[1, tokens]`; the last is held out."""
        own = torch.cat(self.survey.batches(off_domain=False))
        return list(own[: self.settings.sequences].split(1) if len(own) > 1 else own.view(2, -1).split(1))

    @cached_property
    def inputs(self) -> list[BlockInput]:
        """Inputs of the first block for every sequence."""
        decoder = self.session.decoder
        return block_inputs(decoder.hidden, decoder.blocks[0], self.sequences)

    def measure(self, start: Start) -> Arrays:
        """Losses by document, the blocks' errors before and after, the rate that was chosen and the bytes."""
        asked = Survey.batches, Survey.windows.func, Survey.dense.func
        return self.measured(f"{start!r}", partial(self._measure, start), TruncatedSVD, *asked, label=str(start))

    def _measure(self, start: Start) -> Arrays:
        rate = self._rate(start) if start.distilled else math.nan
        tokens = self.settings.passes * sum(batch.numel() for batch in self.sequences[1:]) * start.distilled
        with self.session.progress.variant(str(start), tokens * self.count) as advance:
            model, blocks = self._factorised(start)
            errors = [(math.nan, math.nan)]
            if start.distilled:
                errors = self._heal(blocks, rate, advance)
                self._on_the_task(model)
            states = self.survey.windows.states(
                lambda batch: model.base_model(input_ids=batch.to(model.device), use_cache=False).last_hidden_state
            )
        scores = self.survey.windows.against(self.session.decoder.head, states, self.survey.dense)
        bits = [module.storage.total_bits for module in model.modules() if isinstance(module, LowRankLinear)]
        return {name: scores[name].double().mean(1).numpy() for name in ("loss", "dense_loss", "kl")} | {
            "errors": np.array(errors),
            "rate": np.array(rate),
            "bytes": np.array(sum(bits) / 8),
            "blocks": np.array([self.count, len(self.session.decoder.blocks)]),
            "no_context": np.array(token_entropy(self.survey.windows.tokens[:, 1:])),
        }

    def _factorised(self, start: Start, count: int | None = None) -> tuple[PreTrainedModel, Sequence[nn.Module]]:
        """Copy of the model with factors in its first blocks, as they start."""
        model = copy.deepcopy(self.session.decoder.model)
        blocks = find_blocks(model)[: count or self.count]
        apply(TruncatedSVD(start.share), blocks)
        if start.random:
            generator = torch.Generator().manual_seed(self.session.settings.seed)
            for module in (module for block in blocks for module in block.modules()):
                if isinstance(module, LowRankLinear):
                    module.redraw(generator)
        return model, blocks

    def _heal(self, blocks: Sequence[nn.Module], rate: float, advance: Any) -> list[tuple[float, float]]:
        healing = Healing(self.settings.passes, rate)
        return heal(blocks, self.session.decoder.blocks, self.inputs[:-1], _factors, healing, advance=advance)

    def _on_the_task(self, model: PreTrainedModel) -> None:
        """Trains the whole model on next tokens, the paper's second stage, where the settings have one."""
        if self.settings.end_to_end is not None:
            model.requires_grad_(True)
            windows = torch.cat(self.sequences[:-1])
            train(model, windows, self.settings.end_to_end, device=self.session.settings.device)
            model.eval().requires_grad_(False)

    def _rate(self, start: Start) -> float:
        """Learning rate whose first block errs least on the sequence that is held out."""
        held, errors = self.inputs[-1], {}
        for rate in RATES:
            _, blocks = self._factorised(start, 1)
            self._heal(blocks, rate, lambda _tokens: None)
            with torch.no_grad():
                wanted = held.through(self.session.decoder.blocks[0]).hidden
                errors[rate] = float(relative_error(held.through(blocks[0]).hidden, wanted))
        return min(errors, key=lambda rate: errors[rate])

    def doubt(self, *starts: Start) -> str:
        """Reason why nothing is said of the whole model, or none of the variants is a language model."""
        runs = [self.measure(start) for start in starts]
        done, blocks = (int(x) for x in runs[0]["blocks"])
        if done < blocks:
            return f"only {done} of {blocks} blocks are factorised at this effort; --effort=thorough factorises all"
        if any(run["loss"].mean() < run["no_context"] for run in runs):
            return ""
        return (
            f"{' and '.join(map(str, starts))} predict worse than the text's token frequencies "
            f"({float(runs[0]['no_context']):.2f} nats): trained too little"
        )

    def origin(self) -> Origin:
        """The session's model and text, and how long factors are trained."""
        settings, (documents, tokens) = self.settings, self.survey.windows.tokens.shape
        protocol = (
            f"{self.count} blocks trained on {len(self.sequences) - 1} x {self.sequences[0].shape[1]} tokens, "
            f"{settings.passes} passes; windows of {tokens} tokens from each document's start"
        )
        return self.session.origin(protocol, documents=documents, tokens=documents * tokens)

    def described(self, *starts: Start) -> dict[str, Any]:
        """Numbers of variants for the page."""
        shown = {}
        for start in starts:
            run = self.measure(start)
            shown[str(start)] = {
                "bytes": float(run["bytes"]),
                "perplexity_ratio": math.exp(min(float((run["loss"] - run["dense_loss"]).mean()), 99.0)),
                "kl": float(run["kl"].mean()),
                "rate": None if math.isnan(run["rate"]) else float(run["rate"]),
                "error_before": None if math.isnan(run["errors"][0, 0]) else float(run["errors"][:, 0].mean()),
                "error_after": None if math.isnan(run["errors"][0, 1]) else float(run["errors"][:, 1].mean()),
            }
        return {"features": shown}


def _factors(block: nn.Module) -> Iterable[nn.Parameter]:
    """Factors of a block, which are trained."""
    for module in block.modules():
        if isinstance(module, LowRankLinear):
            yield from (module.left, module.right)


def recovered(svd: Array, distilled: Array, dense: Array) -> Interval:
    """Share of the loss that SVD added which distillation takes back, over documents; each `[documents]` of losses."""
    lost = np.stack([svd - distilled, svd - dense], axis=-1)
    return cluster_interval(lost, lambda means: means[..., 0] / means[..., 1])
