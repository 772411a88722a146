"""Any checkpoint against the dense model it was made from, whatever made it: one pass of each over the same windows."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from bench.checkpoint.protocols import PROTOCOLS, protocol_lines, scores
from bench.measure.divergence import NAMES
from bench.measure.instrument import Instrument
from bench.measure.perplexity import Perplexity
from bench.measure.whole_windows import WholeWindows
from bench.verdict.conclude import exactly
from bench.verdict.documents import Array, Interval, difference_ratio, growth
from bench.verdict.evidence import Arrays, Origin
from models.errors import InputError
from models.load import Decoder
from models.sources import weight_bytes

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
    """Bytes of memory that a model's parameters and buffers take; tied ones count once."""
    tensors = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


@dataclass(frozen=True)
class Judged:
    """Two checkpoints on the same windows, `[documents, tokens - 1]` each."""

    tokens: dict[str, Array]
    """Values by the names of `Predictions`."""
    edges: tuple[int, ...]
    """Positions at which the buckets of context begin, and the end."""

    def ratio(self) -> Interval:
        """Perplexity over the dense model's."""
        return difference_ratio(*(self.tokens[name].mean(1) for name in ("loss", "dense_loss")))

    def by_position(self, name: str = "kl") -> Array:
        """Means over each document's buckets of positions, `[documents, buckets]`."""
        parts = [self.tokens[name][:, a:b].mean(1) for a, b in zip(self.edges, self.edges[1:], strict=False)]
        return np.stack(parts, axis=1)

    @property
    def identical(self) -> bool:
        """True if the two predict the same everywhere, so that ratios of their divergences are 0/0."""
        return not self.tokens["kl"].any()

    def growth(self) -> Interval:
        """KL in the last bucket over that in the first; 1 for an identical checkpoint, which has none in either."""
        return exactly(1.0) if self.identical else growth(self.by_position())

    def columns(self) -> dict[str, float]:
        """The figures of llama.cpp's table, and the loss in both directions."""
        kl, change = self.tokens["kl"], np.exp(-self.tokens["loss"]) - np.exp(-self.tokens["dense_loss"])
        figures = {
            "perplexity, dense": np.exp(self.tokens["dense_loss"].mean()),
            "perplexity": np.exp(self.tokens["loss"].mean()),
            "mean KL compressed‖dense": kl.mean(),
            "mean KL dense‖compressed": self.tokens["reverse_kl"].mean(),
            "maximum KL": kl.max(),
            "same top token": self.tokens["agreement"].mean(),
            "mean change of p(right)": change.mean(),
            "RMS change of p(right)": np.sqrt((change**2).mean()),
        }
        figures |= {f"{p:g} % percentile of KL": np.percentile(kl, p) for p in PERCENTILES if p >= 50}
        figures |= {f"{p:g} % percentile of change of p(right)": np.percentile(change, p) for p in PERCENTILES}
        return {name: float(value) for name, value in figures.items()}


class Checkpoint(Instrument):
    """A session's dense model against `--compressed`."""

    name: ClassVar[str] = "checkpoint"
    settings_at: ClassVar[str] = "bench.survey.settings:at"

    @property
    def path(self) -> str:
        """The checkpoint as the user named it."""
        if self.session.settings.compressed is None:
            raise InputError("there is nothing to judge; give the checkpoint with --compressed")
        return self.session.settings.compressed

    @cached_property
    def compressed(self) -> Decoder:
        """The checkpoint, loaded once."""
        decoder = self.session.loaded(self.path)
        check_same_tokens(self.session.decoder, decoder)
        return decoder

    @cached_property
    def windows(self) -> WholeWindows:
        """Scored windows, one document at a time, at most as long as both models read."""
        longest = min(self.session.decoder.longest_context, self.compressed.longest_context)
        length = min(self.settings.tokens, longest)
        scored = [tokens[:length] for tokens in self.session.corpus.scored if len(tokens) >= length]
        if len(scored) < 2:
            raise InputError(f"{len(scored)} scored documents have {length} tokens; give longer documents")
        return WholeWindows(torch.stack(scored[: self.settings.documents]))

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Bytes of both."""
        return {
            "bytes on disk": weight_bytes(self.path),
            "bytes in memory": held_bytes(self.compressed.model),
            "bytes on disk, dense": weight_bytes(self.session.decoder.name),
            "bytes in memory, dense": held_bytes(self.session.decoder.model),
        }

    @cached_property
    def under(self) -> dict[str, tuple[Perplexity | str, Perplexity | str]]:
        """The checkpoint's perplexity and the dense model's by protocol, which reads windows of its own, or why not."""
        lines = protocol_lines(self.session, self.settings.protocol_tokens)
        ours, dense = scores(self.compressed, lines), scores(self.session.decoder, lines)
        return {name: (ours[name], dense[name]) for name in PROTOCOLS}

    def judged(self) -> Judged:
        """Predictions of both models on the same windows."""
        kept = self.measured(f"{self.path} {self.compressed.sha256}", self._judge)
        return Judged({name: kept[name] for name in NAMES}, tuple(int(edge) for edge in kept["edges"]))

    def _judge(self) -> Arrays:
        windows, dense, compressed = self.windows, self.session.decoder, self.compressed
        with self.session.progress.variant(self.path, 2 * windows.tokens.numel()) as advance:
            states = (windows.states(each.hidden, advance) for each in (compressed, dense))
            divergences = windows.against(compressed.head, *states, dense_head=dense.head)
        tokens = {name: values.double().numpy() for name, values in divergences.items()}
        return tokens | {"edges": np.array(edges(windows.tokens.shape[1] - 1))}

    def origin(self) -> Origin:
        """Origin of the comparison: both models, and the text they are compared on."""
        (documents, tokens), dense = self.windows.tokens.shape, self.session.decoder
        protocol = f"windows of {tokens} tokens from each document's start, every token but the first"
        return replace(
            self.session.origin(protocol, documents=documents, tokens=documents * tokens),
            model=f"{self.path} against {dense.name}",
            model_sha256=hashlib.sha256(f"{dense.sha256} {self.compressed.sha256}".encode()).hexdigest(),
        )


def edges(positions: int) -> tuple[int, ...]:
    """First position of each bucket, and the end: 32, 64, 128, ...; two halves where there are too few positions.

    A last bucket of fewer positions than half its neighbour's joins it.
    """
    if positions < 3 * FIRST_BUCKET:
        return (0, positions // 2, positions)
    starts = [FIRST_BUCKET]
    while 2 * starts[-1] < positions:
        starts.append(2 * starts[-1])
    if positions - starts[-1] < starts[-1] // 4:
        starts.pop()
    return (*starts, positions)
