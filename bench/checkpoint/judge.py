"""Any checkpoint against the dense model it was made from, whatever made it: one pass of each over the same windows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from bench.checkpoint.blocks import departures
from bench.checkpoint.configurations import differing
from bench.checkpoint.dense import Dense
from bench.checkpoint.judged import Judged, edges
from bench.checkpoint.protocols import scores
from bench.checkpoint.settings import CheckpointSettings
from bench.checkpoint.tasks import task_scores
from bench.measure.divergence import NAMES
from bench.measure.instrument import Instrument
from bench.measure.perplexity import Perplexity
from bench.measure.whole_windows import WholeWindows
from bench.verdict.evidence import Arrays, Origin
from models.errors import InputError
from models.first_token import read_alike
from models.held import held_bytes
from models.load import Decoder
from models.sources import identity, weight_bytes
from models.tokenizers import check_same_tokenizer

WORST = 10
"""Tokens that a sheet shows, of those whose predictions differ most."""
TOP, BYTES = "top", "bytes"
EMBEDDING, BLOCKS = "embedding", "blocks"


def check_same_tokens(dense: Decoder, compressed: Decoder, texts: Sequence[str] = ()) -> None:
    """Refuse checkpoints that do not read the same text as the same numbers.

    Raises:
        InputError: other vocabularies, other cuts of the texts, or other output sizes.
    """
    check_same_tokenizer(dense, compressed, texts)
    outputs = [decoder.head.weight.shape[0] for decoder in (dense, compressed)]
    if outputs[0] != outputs[1]:
        raise InputError(f"{dense.name} predicts {outputs[0]:,} tokens and {compressed.name} {outputs[1]:,}")


class Checkpoint(Instrument):
    """One checkpoint against the dense model."""

    name: ClassVar[str] = "checkpoint"
    settings_at: ClassVar[str] = "bench.checkpoint.settings:at"

    def __init__(self, session: Any, settings: CheckpointSettings, dense: Dense, path: str) -> None:
        """Prepare; nothing is loaded yet.

        Args:
            session: whose model is the dense one.
            settings: amounts of text.
            dense: the dense model's side, shared by all checkpoints.
            path: folder, `.gguf` file or hub id of the checkpoint.
        """
        super().__init__(session, settings)
        self.dense, self.path = dense, path
        self.refused: InputError | None = None

    @cached_property
    def sha256(self) -> str:
        """Identity of the checkpoint's files; nothing is loaded for it."""
        return identity(self.path)

    @property
    def arrays(self) -> Arrays:
        """Predictions by token, the likeliest where they differ most, departures of blocks, and bytes.

        Raises:
            InputError: it cannot be opened, or it does not read what the dense model does; again when asked again.
        """
        if self.refused is not None:
            raise self.refused
        try:
            return self.measured(f"{self.path} {self.sha256}", self._measure)
        except InputError as error:
            self.refused = error
            raise

    def departures(self) -> list[float] | None:
        """Departure of each block; None where they do not match the dense model's one by one."""
        return self.arrays[BLOCKS].tolist() if BLOCKS in self.arrays else None

    def on_tasks(self, names: Sequence[str]) -> Arrays:
        """Score of every example by task, `[examples]`."""
        return self.measured(f"{self.path} {self.sha256}, tasks {', '.join(names)}", partial(self._tasks, names))

    @cached_property
    def reference(self) -> Checkpoint:
        """Dense model as if it were a checkpoint: its scores on tasks are kept as a checkpoint's are."""
        return Checkpoint(self.session, self.settings, self.dense, self.session.settings.model)

    def _tasks(self, names: Sequence[str]) -> Arrays:
        settings = self.session.settings
        decoder = self.dense.decoder if self.path == settings.model else self.session.loaded(self.path)
        with self.session.progress.variant(f"{Path(self.path).name}, tasks", 1):
            return task_scores(decoder, names, folder=settings.data_dir, limit=self.settings.task_examples)

    @cached_property
    def under(self) -> dict[str, Perplexity | str]:
        """Perplexity by protocol, which reads windows of its own, or why there is none."""
        return scores(self.session.loaded(self.path), self.dense.lines)

    def judged(self) -> Judged:
        """Predictions of both models on the same windows."""
        tokens = {name: self.arrays[name].astype(np.float64) for name in NAMES}
        return Judged(tokens, edges(tokens["kl"].shape[1]))

    def _measure(self) -> Arrays:
        dense, decoder = self.dense, self.session.loaded(self.path)
        check_same_tokens(dense.decoder, decoder, dense.beginnings)
        read_alike(decoder.model, dense.decoder.model)
        length = min(dense.windows.tokens.shape[1], decoder.longest_context)
        windows = WholeWindows(dense.windows.tokens[:, :length])  # a prefix of the dense states is that of its windows
        with self.session.progress.variant(Path(self.path).name, windows.tokens.numel()) as advance:
            states = windows.states(decoder.hidden, advance)
        own = dense.states[:, : length - 1]
        compared = windows.against(decoder.head, states, own, dense_head=dense.decoder.head)
        arrays: Arrays = {name: values.numpy() for name, values in compared.items()}
        places = Judged(arrays, edges(length - 1)).worst(WORST)
        arrays[TOP] = np.stack([likeliest(decoder, states, places), likeliest(dense.decoder, own, places)], axis=1)
        if (parts := departures(decoder, dense.at_blocks)) is not None:
            arrays |= {EMBEDDING: np.array([parts.embedding]), BLOCKS: np.array(parts.blocks)}
        return arrays | {BYTES: np.array([weight_bytes(self.path), held_bytes(decoder.model)])}

    def origin(self) -> Origin:
        """Origin of the comparison: both models, and the text they are compared on."""
        (documents, tokens), dense = self.dense.windows.tokens.shape, self.session.settings.model
        protocol = f"windows of {tokens} tokens from each document's start, every token but the first"
        return replace(
            self.session.origin(protocol, documents=documents, tokens=documents * tokens),
            model=f"{self.path} against {dense}",
            model_sha256=hashlib.sha256(f"{self.session.model_sha256} {self.sha256}".encode()).hexdigest(),
        )

    def described(self) -> dict[str, Any]:
        """Figures, tokens and settings of the sheet, as plain numbers and words."""
        judged, arrays = self.judged(), self.arrays
        growth = judged.growth()
        curve = zip(judged.edges, judged.edges[1:], judged.by_position().mean(0), strict=False)
        sizes = [*arrays[BYTES].tolist(), *self.dense.sizes]
        names = ("bytes on disk", "bytes in memory", "bytes on disk, dense", "bytes in memory, dense")
        return {
            "path": self.path,
            "sha256": self.sha256,
            "measures": {name: list(asdict(value).values()) for name, value in judged.measures().items()},
            "unusable": judged.unusable,
            "columns": judged.columns(),
            "growth": growth and list(asdict(growth).values()),
            "kl_by_position": {f"{a}-{b - 1}": float(value) for a, b, value in curve},
            "sizes": dict(zip(names, sizes, strict=True)),
            "embedding": float(arrays[EMBEDDING][0]) if EMBEDDING in arrays else None,
            "blocks": self.departures(),
            "worst": self._worst(judged),
            "settings": {name: list(pair) for name, pair in differing(self.session.settings.model, self.path).items()},
        }

    def _worst(self, judged: Judged) -> list[dict[str, Any]]:
        tokens, tokenizer = self.dense.windows.tokens, self.dense.decoder.tokenizer
        shown = []
        for (document, place), (own, dense) in zip(judged.worst(WORST), self.arrays[TOP].tolist(), strict=True):
            before = tokens[document, max(0, place - 11) : place + 1]
            texts = [str(tokenizer.decode(ids)) for ids in (before, tokens[document, place + 1 : place + 2])]
            shown.append(
                {
                    "kl": float(judged.tokens["kl"][document, place]),
                    "document": document,
                    "position": place + 1,
                    "context": texts[0],
                    "right": texts[1],
                    "compressed": str(tokenizer.decode([own])),
                    "dense": str(tokenizer.decode([dense])),
                }
            )
        return shown


@torch.inference_mode()
def likeliest(decoder: Decoder, states: Tensor, places: Sequence[tuple[int, int]]) -> np.ndarray:
    """Most likely token of a model at each place, `[places]`, from its final hidden states."""
    picked = torch.stack([states[place] for place in places]).to(decoder.device, decoder.head.weight.dtype)
    return decoder.head(picked).argmax(-1).cpu().numpy()
