"""Models of a session: the dense ones, one a seed, and all that is trained from them, each kept once it is trained."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from bench.measure.parted_text import text_digest
from bench.survey.trained.lora import merged, with_adapters
from bench.survey.trained.settings import TrainedSettings
from bench.survey.trained.text import Texts
from compress.method import Method
from compress.quantization.aware import STEPS
from compress.swap import apply
from models.folders import written_aside
from models.gpt2 import build
from models.load import find_blocks
from models.training.checkpoints import steps_done
from models.training.plan import Training
from models.training.train import train, windows_of

ANOTHER_ORDER = 1000
"""Added to a seed for the order in which what goes on from the dense model reads."""
CALIBRATED_TOGETHER = 16
START = "start.safetensors"
STEP_RATE = 0.1
"""Factor on the rate of learned steps: Adam moves each by about its rate, and they are smaller than weights."""
Read = Callable[[int], None]
"""Function that is told after every step how many are done."""


@dataclass
class Models:
    """Trainings of one session, in folders named by what decides them."""

    session: Any
    settings: TrainedSettings
    texts: Texts
    _dense: dict[int, PreTrainedModel] = field(default_factory=dict)

    def _folder(self, what: str, *code: object) -> Path:
        s = self.settings
        dense = f"{s.shape} {s.initial_scale} {s.dense} {text_digest(self.texts.own.training)}"
        return self.session.kept("training", f"trained {what} {dense}", Models, *code)

    def _run(
        self,
        label: str,
        model: nn.Module,
        training: Training,
        folder: Path,
        *,
        read: Read | None = None,
        tokens: Tensor | None = None,
    ) -> None:
        """Train in a folder, from where an earlier run left it; by default on the session's own text."""
        positions, device = self.settings.shape.positions, self.session.settings.device
        windows = windows_of(self.texts.own.training if tokens is None else tokens, positions)
        done = steps_done(folder)
        # Rows measure without gradients, and what they need may have to be trained first.
        with torch.enable_grad(), self.session.progress.variant(label, training.steps) as advance:
            advance(done)

            def watch(_tokens: int, _loss: float) -> None:
                nonlocal done
                done += 1
                advance(1)
                if read is not None:
                    read(done)

            every = self.settings.save_every
            train(
                model,
                windows,
                training,
                device=device,
                folder=folder,
                save_every=every,
                watch=watch,
                rates={STEPS: STEP_RATE},
            )

    def _fresh(self, seed: int) -> PreTrainedModel:
        return build(self.settings.shape, seed=seed, initial_scale=self.settings.initial_scale)

    def dense(self, seed: int) -> PreTrainedModel:
        """Dense model of a seed, a copy that may be changed."""
        if seed not in self._dense:
            self._dense[seed] = self._trained_dense(seed)
        return copy.deepcopy(self._dense[seed])

    def _trained_dense(self, seed: int) -> PreTrainedModel:
        model, folder = self._fresh(seed), self._folder(f"dense {seed}")
        folder.mkdir(parents=True, exist_ok=True)

        def read(done: int) -> None:
            if done == self.settings.dense.warmup:
                with written_aside(folder / START) as beside:
                    save_file({name: p.detach().cpu().clone() for name, p in model.named_parameters()}, beside)

        self._run(f"dense, seed {seed}", model, replace(self.settings.dense, seed=seed), folder, read=read)
        return model

    def start(self, seed: int, *, early: bool) -> PreTrainedModel:
        """First weights of a dense model, or those at the end of its warm-up."""
        model = self._fresh(seed)
        if early:
            self.dense(seed)
            weights = load_file(self._folder(f"dense {seed}") / START)
            with torch.no_grad():
                for name, parameter in model.named_parameters():
                    parameter.copy_(weights[name])
        return model

    def from_start(self, recipe: Any, seed: int, model: PreTrainedModel, *, early: bool) -> PreTrainedModel:
        """Training as the dense model's, of what begins where that began; or of the rest of it, after the warm-up.

        The rest begins with the text's first windows again, and with an optimizer that has seen none.
        """
        own = replace(self.settings.dense, seed=seed)
        training = replace(own, steps=own.steps - own.warmup, warmup=0) if early else own
        self._run(f"{recipe}, seed {seed}", model, training, self._folder(f"{recipe!r} {seed}", type(recipe)))
        return model

    def going_on(
        self, recipe: Any, seed: int, model: PreTrainedModel, *, share: float = 1.0, read: Read | None = None
    ) -> PreTrainedModel:
        """Training from the dense model on, for a share of the steps that all of its kind have."""
        return self._after(recipe, seed, model, max(1, round(share * self.settings.after)), read)

    def sharing(self, recipe: Any, seed: int, model: PreTrainedModel) -> PreTrainedModel:
        """Training of shared values."""
        return self._after(recipe, seed, model, self.settings.sharing, None)

    def _after(self, recipe: Any, seed: int, model: PreTrainedModel, steps: int, read: Read | None) -> PreTrainedModel:
        training = self.settings.going_on(steps, recipe.rate, seed + ANOTHER_ORDER)
        folder = self._folder(f"{recipe!r} {training} {seed}", type(recipe))
        self._run(f"{recipe}, seed {seed}", model, training, folder, read=read)
        return model

    def adapted(self, recipe: Any, seed: int, model: PreTrainedModel) -> PreTrainedModel:
        """Fine-tuning on the other domain, of all weights or of adapters, merged afterwards."""
        training, text = self.settings.going_on(self.settings.domain, recipe.rate, seed), self.texts.other.training
        if recipe.rank is not None:
            with_adapters(model, recipe.rank, seed)
        folder = self._folder(f"{recipe!r} {training} {seed} {text_digest(text)}", type(recipe))
        self._run(f"{recipe}, seed {seed}", model, training, folder, tokens=text)
        return model if recipe.rank is None else merged(model)

    def compressed(self, model: PreTrainedModel, method: Method) -> PreTrainedModel:
        """Model under a method without training, calibrated on training text where it calibrates."""
        s, device = self.settings, self.session.settings.device
        windows = windows_of(self.texts.own.training, s.shape.positions)[: s.calibration].to(device)
        model.eval().to(device)
        apply(
            method,
            find_blocks(model),
            forward=lambda tokens: model(input_ids=tokens, use_cache=False),
            batches=windows.split(CALIBRATED_TOGETHER) if method.statistic else (),
        )
        return model
