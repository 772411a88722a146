"""The real model with its MLPs factorised or with half its layers, healed on the same tokens, against itself."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from bench.krony.settings import Healed
from bench.long_context.curves import Advance
from bench.measure.divergence import compare
from bench.measure.session import Array, Arrays, Lab
from compress.calibrate import BlockInput, block_inputs, linear_layers
from compress.distillation.heal import heal
from compress.factorisation.kronecker.linear import KroneckerLinear
from compress.factorisation.kronecker.method import KroneckerFactorisation, trained_scalars
from compress.factorisation.kronecker.sums import singular_values
from compress.swap import apply
from models.gpt2 import keep_layers, unique_parameters
from models.load import find_blocks, mlp_width
from models.training.train import train


@dataclass(frozen=True)
class Variant:
    """How the real model is compressed; without a method every other block goes."""

    method: KroneckerFactorisation | None

    def __str__(self) -> str:
        return "every-other-layer" if self.method is None else str(self.method)


class FactorisedLab:
    """Measures such variants; each is a copy of the model, so the lab's own stays dense."""

    def __init__(self, lab: Lab, settings: Healed) -> None:
        self.lab, self.settings = lab, settings
        self.width = mlp_width(lab.decoder.model.config)

    @property
    def count(self) -> int:
        """Blocks that are compressed."""
        return self.settings.blocks or len(self.lab.decoder.blocks)

    @cached_property
    def segments(self) -> Tensor:
        """What is scored, `[documents, tokens]`, from the start of each document that nothing calibrates on."""
        length = min(self.settings.tokens, *(len(document) for document in self.lab.corpus.scored))
        return torch.stack([document[:length] for document in self.lab.corpus.scored])

    @cached_property
    def batches(self) -> list[Tensor]:
        """Calibration sequences `[1, tokens]`, all that fits and heals; each is one step of healing."""
        return list(torch.cat(self.lab.calibration)[: self.settings.calibration].split(1))

    def is_mlp(self, _name: str, layer: nn.Linear) -> bool:
        """Whether a layer is one of the MLP's: one of its sides is the MLP's width."""
        return self.width in layer.weight.shape

    def _states(self, model: PreTrainedModel) -> Tensor:
        """Final hidden states of every scored token but the last, `[documents, tokens - 1, width]`."""
        with torch.inference_mode():
            forward = _hidden(model)
            return torch.cat([forward(segment[None])[:, :-1] for segment in self.segments])

    @cached_property
    def dense(self) -> Tensor:
        """The dense model's final hidden states, run once for all variants."""
        return self._states(self.lab.decoder.model)

    @cached_property
    def inputs(self) -> list[BlockInput]:
        """What enters the first block when the calibration tokens are read."""
        decoder = self.lab.decoder
        return block_inputs(decoder.hidden, decoder.blocks[0], self.batches)

    def measure(self, variant: Variant) -> Arrays:
        """KL and losses by document, block errors before and after healing, and the parameters that are left."""

        def run() -> Arrays:
            steps = self.settings.healing.passes * sum(batch.numel() for batch in self.batches)
            with self.lab.progress.variant(str(variant), steps * self.count) as advance:
                model, errors = self._made(variant, advance)
            found = compare(
                self.lab.decoder.head,
                self._states(model).flatten(0, 1),
                self.dense.flatten(0, 1),
                self.segments[:, 1:].flatten(),
            )
            rows = (len(self.segments), -1)
            return {
                "kl": found.kl.view(rows).mean(1).numpy(),
                "loss": found.loss.view(rows).mean(1).numpy(),
                "dense_loss": found.dense_loss.view(rows).mean(1).numpy(),
                "errors": np.array(errors),
                "parameters": np.array([unique_parameters(model), unique_parameters(self.lab.decoder.model)]),
                "scalars": trained_scalars(model).numpy(),
            }

        return self.lab.measured(f"factorised {variant!r} {self.settings}", run)

    def _made(self, variant: Variant, advance: Advance) -> tuple[PreTrainedModel, list[tuple[float, float]]]:
        dense, depth = self.lab.decoder.model, len(self.lab.decoder.blocks)
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
            self.lab.decoder.blocks,
            self.inputs,
            self._trained,
            self.settings.healing,
            stands_for=stands_for[:reach],
            advance=advance,
        )
        if self.settings.end_to_end is not None:
            windows = torch.cat(self.batches)
            model.requires_grad_(True)
            train(model, windows, self.settings.end_to_end, device=self.lab.settings.device)
        return model.eval().requires_grad_(False), errors

    def _trained(self, block: nn.Module) -> Iterable[nn.Parameter]:
        """The MLP's parameters of a block, dense or factorised."""
        factorised = [module for module in block.modules() if isinstance(module, KroneckerLinear)]
        for layer in (*factorised, *linear_layers(block, self.is_mlp).values()):
            yield from layer.parameters()

    def misfit(self, patterns: Iterable[tuple[int, int]]) -> str:
        """Why this model's MLPs cannot be cut into second factors of these shapes; empty where they can."""
        for second in patterns:
            for layer in self.layers():
                try:
                    KroneckerFactorisation(second).first(layer)
                except ValueError as error:
                    return f"this model's MLP does not factorise as the claim asks: {error}"
        return ""

    def layers(self) -> Iterator[nn.Linear]:
        """The MLP's layers of all blocks."""
        for block in self.lab.decoder.blocks:
            yield from linear_layers(block, self.is_mlp).values()

    @cached_property
    def no_context(self) -> float:
        """The loss of the best model of the scored text that reads no context, nats: its tokens' own entropy."""
        _, counts = torch.unique(self.segments[:, 1:], return_counts=True)
        shares = counts.double() / counts.sum()
        return float(-(shares * shares.log()).sum())

    def doubt(self, *variants: Variant) -> str:
        """Why variants cannot be compared: one of them is no language model any more. Empty where they can."""
        lost = [str(variant) for variant in variants if not self.measure(variant)["loss"].mean() < self.no_context]
        if not lost:
            return ""
        thorough = self.lab.settings.effort == "thorough"
        remedy = "on a GPU (-m gpu) the whole model is trained" if thorough else "use --effort=thorough, or a GPU"
        return (
            f"{' and '.join(lost)} predict worse than the text's token frequencies ({self.no_context:.2f} nats): "
            f"healed too little; {remedy}"
        )

    def origin(self) -> dict:
        """How variants were healed and scored, for the evidence."""
        settings = self.settings
        then = ", then end to end" if settings.end_to_end else ""
        return {
            "protocol": (
                f"healed block by block, {len(self.batches)} x {self.batches[0].shape[1]} tokens, "
                f"{settings.healing.passes} passes, {self.count} blocks{then}; {self.segments.shape[1]} tokens a "
                "document; natural log"
            ),
            "tokens": self.segments.numel(),
        }

    def described(self, *variants: Variant) -> dict:
        """Numbers of variants for the page."""
        found = {}
        for variant in variants:
            run = self.measure(variant)
            change = float((run["loss"] - run["dense_loss"]).mean())
            found[str(variant)] = {
                "parameters": int(run["parameters"][0]),
                "dense_parameters": int(run["parameters"][1]),
                "kl": float(run["kl"].mean()),
                "perplexity_ratio": math.exp(min(change, 99.0)),
                "loss": float(run["loss"].mean()),
                "errors": run["errors"].mean(0).round(4).tolist(),
            }
        return {"variants": found, "no_context": self.no_context}

    def spectra(self, second: tuple[int, int]) -> Array:
        """Squared singular values of every rearranged MLP weight over their sum, `[layers, values]`, falling."""
        method = KroneckerFactorisation(second)

        def rows() -> Iterator[Array]:
            for layer in self.layers():
                energy = singular_values(layer.weight, method.first(layer)).square()
                yield (energy / energy.sum()).cpu().numpy()

        return self.lab.measured(f"spectra {second}", lambda: {"energy": np.stack(list(rows()))})["energy"]


def _hidden(model: PreTrainedModel) -> Callable[[Tensor], Tensor]:
    return lambda tokens: model.base_model(input_ids=tokens.to(model.device), use_cache=False).last_hidden_state
