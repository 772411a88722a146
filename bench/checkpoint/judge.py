"""Any checkpoint against the dense model it was made from, whatever made it: one pass of each over the same windows."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from bench.checkpoint.protocols import PROTOCOLS, protocol_lines, scores
from bench.measure.divergence import NAMES, compare
from bench.measure.perplexity import Perplexity
from bench.measure.session import Array, Lab
from bench.survey.lab import SurveyLab
from bench.verdict.documents import Interval, difference_ratio, growth
from models.errors import InputError
from models.load import Decoder, load, weight_bytes

PERCENTILES = (1, 5, 50, 90, 95, 99, 99.9)
FIRST_BUCKET = 32
"""Positions before it have too little context to be one point of a curve."""


def check_same_tokens(dense: Decoder, compressed: Decoder) -> None:
    """Refuse checkpoints that do not read the same text as the same numbers.

    Raises:
        InputError: other vocabularies, other output sizes, or a shorter context.
    """
    ours, theirs = (decoder.tokenizer.get_vocab() for decoder in (dense, compressed))
    if ours != theirs:
        differing = sorted(ours.items() ^ theirs.items())[:3]
        names = ", ".join(repr(token) for token, _ in differing)
        raise InputError(
            f"{dense.name} has {len(ours):,} tokens and {compressed.name} {len(theirs):,}, and they differ (in "
            f"{names}, for instance); a divergence between distributions over other tokens means nothing"
        )
    outputs = [decoder.head.weight.shape[0] for decoder in (dense, compressed)]
    if outputs[0] != outputs[1]:
        raise InputError(f"{dense.name} predicts {outputs[0]:,} tokens and {compressed.name} {outputs[1]:,}")


def held_bytes(model: nn.Module) -> int:
    """What a model's parameters and buffers take in memory; tied ones count once."""
    tensors = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


@dataclass(frozen=True)
class Judged:
    """Two checkpoints on the same windows, `[documents, tokens - 1]` each."""

    tokens: dict[str, Array]
    """By the names of `Predictions`."""
    edges: tuple[int, ...]
    """Positions at which the buckets of context begin, and the end."""

    def ratio(self) -> Interval:
        """Perplexity over the dense model's."""
        return difference_ratio(*(self.tokens[name].mean(1) for name in ("loss", "dense_loss")))

    def by_position(self, name: str = "kl") -> Array:
        """Means over each document's buckets of positions, `[documents, buckets]`."""
        parts = [self.tokens[name][:, a:b].mean(1) for a, b in zip(self.edges, self.edges[1:], strict=False)]
        return np.stack(parts, axis=1)

    def growth(self) -> Interval:
        """KL in the last bucket over that in the first."""
        return growth(self.by_position())

    def columns(self) -> dict[str, float]:
        """The figures of llama.cpp's table, and the loss in both directions."""
        kl, change = self.tokens["kl"], np.exp(-self.tokens["loss"]) - np.exp(-self.tokens["dense_loss"])
        found = {
            "perplexity, dense": np.exp(self.tokens["dense_loss"].mean()),
            "perplexity": np.exp(self.tokens["loss"].mean()),
            "mean KL compressed‖dense": kl.mean(),
            "mean KL dense‖compressed": self.tokens["reverse_kl"].mean(),
            "maximum KL": kl.max(),
            "same top token": self.tokens["agreement"].mean(),
            "mean change of p(right)": change.mean(),
            "RMS change of p(right)": np.sqrt((change**2).mean()),
        }
        found |= {f"{p:g} % percentile of KL": np.percentile(kl, p) for p in PERCENTILES if p >= 50}
        found |= {f"{p:g} % percentile of change of p(right)": np.percentile(change, p) for p in PERCENTILES}
        return {name: float(value) for name, value in found.items()}


class CheckpointLab:
    """The dense model of a lab against `--compressed`."""

    def __init__(self, lab: Lab, survey: SurveyLab) -> None:
        if lab.settings.compressed is None:
            raise InputError("there is nothing to judge; give the checkpoint with --compressed")
        self.lab, self.survey = lab, survey
        self.name = lab.settings.compressed

    @cached_property
    def compressed(self) -> Decoder:
        """The checkpoint, loaded once."""
        found = load(self.name, device=self.lab.settings.device)
        check_same_tokens(self.lab.decoder, found)
        return found

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Bytes of both."""
        return {
            "bytes on disk": weight_bytes(self.name),
            "bytes in memory": held_bytes(self.compressed.model),
            "bytes on disk, dense": weight_bytes(self.lab.decoder.name),
            "bytes in memory, dense": held_bytes(self.lab.decoder.model),
        }

    @cached_property
    def under(self) -> dict[str, tuple[Perplexity | str, Perplexity | str]]:
        """The checkpoint's perplexity and the dense model's by protocol, which reads windows of its own, or why not."""
        lines = protocol_lines(self.lab, self.survey.settings.protocol_tokens)
        ours, dense = scores(self.compressed, lines), scores(self.lab.decoder, lines)
        return {name: (ours[name], dense[name]) for name in PROTOCOLS}

    @cached_property
    def judged(self) -> Judged:
        """Both models' predictions; a second pass is made of neither."""
        dense, compressed, windows = self.survey.dense, self.compressed, self.survey.windows
        if compressed.longest_context < windows.shape[1]:
            longest = compressed.longest_context
            raise InputError(f"{self.name} reads {longest} tokens at once and the windows have {windows.shape[1]}")
        parts: dict[str, list[Array]] = {name: [] for name in NAMES}
        with self.lab.progress.variant(self.name, windows.numel()) as advance, torch.inference_mode():
            for number, window in enumerate(windows):
                hidden = compressed.hidden(window[None])[0, :-1]
                found = self._compare(compressed, hidden, dense[number], window[1:])
                for name, values in found.items():
                    parts[name].append(values)
                advance(window.numel())
        return Judged({name: np.stack(values) for name, values in parts.items()}, edges(windows.shape[1] - 1))

    def _compare(self, compressed: Decoder, hidden: Tensor, dense: Tensor, labels: Tensor) -> dict[str, Array]:
        found = compare(compressed.head, hidden, dense, labels, dense_head=self.lab.decoder.head)
        return {name: getattr(found, name).double().numpy() for name in NAMES}

    def origin(self) -> dict:
        """What a row stands on."""
        windows = self.survey.windows
        return {
            "protocol": f"windows of {windows.shape[1]} tokens from each document's start, every token but the first",
            "documents": len(windows),
            "tokens": windows.numel(),
            "method": f"checkpoint {self.name}",
            "model": f"{self.name} against {self.lab.decoder.name}",
            "model_sha256": hashlib.sha256(f"{self.lab.decoder.sha256} {self.compressed.sha256}".encode()).hexdigest(),
        }


def edges(positions: int) -> tuple[int, ...]:
    """Where buckets of positions begin, and the end: 32, 64, 128, ...; halves where there are too few for two of those.

    A last bucket of fewer positions than half its neighbour's joins it.
    """
    if positions < 3 * FIRST_BUCKET:
        return (0, positions // 2, positions)
    found = [FIRST_BUCKET]
    while 2 * found[-1] < positions:
        found.append(2 * found[-1])
    if positions - found[-1] < found[-1] // 4:
        found.pop()
    return (*found, positions)
