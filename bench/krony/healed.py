"""The real model with its MLPs factorised or with half its layers, healed on the same tokens, against itself."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from bench.measure.instrument import Instrument
from bench.measure.whole_windows import Advance, WholeWindows
from bench.verdict.evidence import Arrays, Origin
from compress.calibrate import BlockInput, block_inputs, linear_layers
from compress.distillation.heal import heal
from compress.factorisation.kronecker.linear import KroneckerLinear
from compress.factorisation.kronecker.method import KroneckerFactorisation, trained_scalars
from compress.swap import apply
from models.gpt2 import keep_layers, unique_parameters
from models.load import find_blocks, mlp_width
from models.training.train import train


@dataclass(frozen=True)
class Variant:
    """Compression of the real model; without a method every other block is removed."""

    method: KroneckerFactorisation | None

    def __str__(self) -> str:
        return "every-other-layer" if self.method is None else str(self.method)


class Healed(Instrument):
    """Measures variants of the real model; each is a copy of the model, so the session's own stays dense."""

    name: ClassVar[str] = "healed"
    settings_at: ClassVar[str] = "bench.krony.settings:healed_at"

    @cached_property
    def width(self) -> int:
        """Inner width of the model's MLPs."""
        return mlp_width(self.session.decoder.model.config)

    @property
    def count(self) -> int:
        """Blocks that are compressed."""
        return self.settings.blocks or len(self.session.decoder.blocks)

    @cached_property
    def segments(self) -> Tensor:
        """Scored tokens `[documents, tokens]`, from the start of each document that nothing calibrates on."""
        length = min(self.settings.tokens, *(len(document) for document in self.session.corpus.scored))
        return torch.stack([document[:length] for document in self.session.corpus.scored])

    @cached_property
    def batches(self) -> list[Tensor]:
        """Calibration sequences `[batch, tokens]`, all that fits and heals; each batch is one step of healing."""
        return list(torch.cat(self.session.calibration)[: self.settings.calibration].split(self.settings.batch))

    def is_mlp(self, _name: str, layer: nn.Linear) -> bool:
        """True for a layer of an MLP: one of its sides is the MLP's width."""
        return self.width in layer.weight.shape

    @cached_property
    def windows(self) -> WholeWindows:
        """Scored windows, one document at a time."""
        return WholeWindows(self.segments)

    @cached_property
    def dense(self) -> Tensor:
        """The dense model's final hidden states, run once for all variants."""
        return self.windows.states(_hidden(self.session.decoder.model))

    @cached_property
    def inputs(self) -> list[BlockInput]:
        """Inputs of the first block when the calibration tokens are read."""
        decoder = self.session.decoder
        return block_inputs(decoder.hidden, decoder.blocks[0], self.batches)

    def measure(self, variant: Variant) -> Arrays:
        """KL and losses by document, block errors before and after healing, and the parameters that are left."""
        code = [type(variant.method)] if variant.method else []
        return self.measured(f"healed {variant!r}", partial(self._measure, variant), *code)

    def _measure(self, variant: Variant) -> Arrays:
        decoder = self.session.decoder
        steps = self.settings.healing.passes * sum(batch.numel() for batch in self.batches)
        with self.session.progress.variant(str(variant), steps * self.count) as advance:
            model, errors = self._made(variant, advance)
        tokens = self.windows.against(decoder.head, self.windows.states(_hidden(model)), self.dense)
        means = {name: tokens[name].mean(1).numpy() for name in ("kl", "loss", "dense_loss")}
        return means | {
            "errors": np.array(errors),
            "parameters": np.array([unique_parameters(model), unique_parameters(decoder.model)]),
            "scalars": trained_scalars(model).numpy(),
            "no_context": np.array([self._no_context()]),
            "blocks": np.array([self.count, len(decoder.blocks)]),
        }

    def _made(self, variant: Variant, advance: Advance) -> tuple[PreTrainedModel, list[tuple[float, float]]]:
        dense, depth = self.session.decoder.model, len(self.session.decoder.blocks)
        if variant.method is None:
            kept = [index for index in range(depth) if index >= self.count or index % 2 == 0]
            model = keep_layers(dense, kept)
            stands_for = [index - 1 for index in [*kept[1:], depth]]
        else:
            model, stands_for = copy.deepcopy(dense), list(range(depth))
            blocks = find_blocks(model)[: self.count]
            forward = _hidden(model)
            apply(variant.method, blocks, forward=forward, batches=self.batches, chosen=self.is_mlp)
        reach = sum(index < self.count for index in stands_for)
        errors = heal(
            find_blocks(model)[:reach],
            self.session.decoder.blocks,
            self.inputs,
            self._trained,
            self.settings.healing,
            stands_for=stands_for[:reach],
            advance=advance,
        )
        if self.settings.end_to_end is not None:
            windows = torch.cat(self.batches)
            model.requires_grad_(True)
            train(model, windows, self.settings.end_to_end, device=self.session.settings.device)
        return model.eval().requires_grad_(False), errors

    def _trained(self, block: nn.Module) -> Iterable[nn.Parameter]:
        """The MLP's parameters of a block, dense or factorised."""
        factorised = [module for module in block.modules() if isinstance(module, KroneckerLinear)]
        for layer in (*factorised, *linear_layers(block, self.is_mlp).values()):
            yield from layer.parameters()

    def _no_context(self) -> float:
        """Loss of the best model of the scored text that reads no context, nats: its tokens' own entropy."""
        _, counts = torch.unique(self.segments[:, 1:], return_counts=True)
        shares = counts.double() / counts.sum()
        return float(-(shares * shares.log()).sum())

    def doubt(self, *variants: Variant) -> str:
        """Reason why variants cannot be compared: blocks were left out, or one is no language model any more."""
        runs = {str(variant): self.measure(variant) for variant in variants}
        done, blocks = (int(x) for x in next(iter(runs.values()))["blocks"])
        if done < blocks:
            return f"only {done} of {blocks} blocks are compressed at this effort; --effort=thorough compresses all"
        lost = [name for name, run in runs.items() if not run["loss"].mean() < run["no_context"][0]]
        if not lost:
            return ""
        no_context = float(next(iter(runs.values()))["no_context"][0])
        return (
            f"{' and '.join(lost)} predict worse than the text's token frequencies ({no_context:.2f} nats): "
            "healed too little; on a GPU (-m gpu) the whole model is trained"
        )

    def origin(self) -> Origin:
        """The session's model, healed, and its text."""
        settings = self.settings
        then = ", then end to end" if settings.end_to_end else ""
        protocol = (
            f"healed block by block, {sum(map(len, self.batches))} x {self.batches[0].shape[1]} tokens, "
            f"{settings.healing.passes} passes, {self.count} blocks{then}; {self.segments.shape[1]} tokens a "
            "document; natural log"
        )
        return self.session.origin(protocol, documents=len(self.segments), tokens=self.segments.numel())

    def described(self, *variants: Variant) -> dict:
        """Numbers of variants for the page."""
        shown = {}
        for variant in variants:
            run = self.measure(variant)
            change = float((run["loss"] - run["dense_loss"]).mean())
            shown[str(variant)] = {
                "parameters": int(run["parameters"][0]),
                "dense_parameters": int(run["parameters"][1]),
                "kl": float(run["kl"].mean()),
                "perplexity_ratio": math.exp(min(change, 99.0)),
                "loss": float(run["loss"].mean()),
                "errors": run["errors"].mean(0).round(4).tolist(),
            }
        return {"variants": shown, "no_context": float(self.measure(variants[0])["no_context"][0])}


def _hidden(model: PreTrainedModel) -> Callable[[Tensor], Tensor]:
    return lambda tokens: model.base_model(input_ids=tokens.to(model.device), use_cache=False).last_hidden_state
