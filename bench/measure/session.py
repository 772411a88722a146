"""One model, one text and one store: what the instruments of a run share, each loaded when first asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from bench.measure.fingerprint import code_sha256, root_of
from bench.measure.settings import Settings
from bench.measure.store import Store
from bench.verdict.evidence import Origin
from models.data.embedded import documents_of
from models.data.folder import check_data
from models.data.text import Corpus, Document, calibration_batches, read_documents, split, text_sha256
from models.device import check_device, check_memory, use
from models.errors import InputError, UnusableModel
from models.load import Decoder, identity, load

CALIBRATION_BATCH = {"cpu": 4, "cuda": 32}
"""Calibration sequences that go through the model at once."""


class Progress(Protocol):
    """Display of how far the session is."""

    def variant(self, name: str, tokens: int) -> AbstractContextManager[Callable[[int], None]]:
        """Open a stretch of work of that many tokens; what it gives is told of tokens as they are done."""
        ...


@dataclass
class Session:
    """Model, text, settings and store of one run at one scale."""

    settings: Settings
    store: Store
    progress: Progress
    folder: Path
    """Where large things are kept that the record does not hold: training checkpoints, blocks, teachers' logits."""
    resume: bool = False
    """Whether those of an earlier run may be used."""

    def check(self) -> None:
        """Refuse a model, texts or a device that cannot be used, before anything is measured; compute on the device.

        Raises:
            InputError: one of them does not exist, or the device has too little memory free.
        """
        check_device(self.settings.device)
        check_memory(self.settings.device, self.settings.gpu_memory)
        use(self.settings.device)
        if self.settings.data_dir is not None:
            check_data(self.settings.data_dir)
        _ = self.model_sha256, self.text_sha256, self.more_documents

    @cached_property
    def model_sha256(self) -> str:
        """Identity of the model, by its pinned source and the format that it computes in; nothing is loaded for it."""
        dtype = self.settings.dtype
        return identity(self.settings.model) + ("" if dtype == "float32" else f" in {dtype}")

    @cached_property
    def documents(self) -> list[Document]:
        """Documents of the text."""
        return documents_of(self.settings.text)

    @cached_property
    def text_sha256(self) -> str:
        """Identity of the text, by its documents."""
        return text_sha256(self.documents)

    @cached_property
    def more_documents(self) -> list[Document]:
        """Documents to train on, none where there are none (`--train-text`)."""
        path = self.settings.train_text
        return [] if path is None else read_documents(path, "--train-text")

    @property
    def text_name(self) -> str:
        """The text as pages call it."""
        return self.settings.text.name if self.settings.text else "Wikipedia sample"

    @cached_property
    def decoder(self) -> Decoder:
        """The dense model.

        Raises:
            UnusableModel: it cannot be opened, and so no row that asks for it can be measured.
        """
        try:
            return self.loaded(self.settings.model)
        except InputError as error:
            raise UnusableModel(str(error)) from error

    @cached_property
    def exact(self) -> Decoder:
        """The dense model in float32, which arithmetic in a narrower format is measured against."""
        return self.decoder if self.settings.dtype == "float32" else self.loaded(self.settings.model, "float32")

    def loaded(self, name: str, dtype: str | None = None) -> Decoder:
        """Any model on the session's device, in its format where no other is named."""
        return load(name, device=self.settings.device, dtype=getattr(torch, dtype or self.settings.dtype))

    @cached_property
    def corpus(self) -> Corpus:
        """Scored and calibration documents, in tokens of the model.

        Raises:
            InputError: the model's context is shorter than the settings ask, or the documents are.
        """
        settings, decoder = self.settings, self.decoder
        needed = settings.contexts[-1] + settings.targets
        if needed - 1 > decoder.longest_context:
            raise InputError(
                f"context {settings.contexts[-1]:,} and {settings.targets} targets need {needed - 1:,} positions and "
                f"{decoder.name} has {decoder.longest_context:,}; give --contexts that end lower"
            )
        return split(
            self.documents,
            decoder.tokenizer,
            scored_tokens=needed,
            calibration_tokens=settings.calibration_sequences * settings.calibration_length,
            most_scored=settings.documents,
            scored_after=settings.scored_after if settings.text is None else "",
        )

    @cached_property
    def calibration(self) -> list[Tensor]:
        """Token batches from documents that are never scored, of sequences that the model can read."""
        settings = self.settings
        return calibration_batches(
            self.corpus,
            sequences=settings.calibration_sequences,
            length=min(settings.calibration_length, self.decoder.longest_context),
            batch=CALIBRATION_BATCH["cpu" if settings.device == "cpu" else "cuda"],
        )

    def origin(self, protocol: str, *, documents: int = 0, tokens: int = 0) -> Origin:
        """Origin of what is measured on this model and text."""
        settings = self.settings
        return Origin(
            scale=settings.scale,
            effort=settings.effort,
            model=Path(settings.model).name if Path(settings.model).is_absolute() else settings.model,
            model_sha256=self.model_sha256,
            text=self.text_name,
            text_sha256=self.text_sha256,
            protocol=protocol,
            documents=documents,
            tokens=tokens,
            seed=settings.seed,
        )

    def kept(self, kind: str, name: str, *code: object) -> Path:
        """Folder of something large, by its kind, all that decides it and the code that makes it."""
        made_by = code_sha256(tuple(sorted(root_of(thing) for thing in code)))
        return self.folder / kind / hashlib.sha256(f"{name} {made_by}".encode()).hexdigest()[:24]
