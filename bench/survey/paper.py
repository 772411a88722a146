"""The survey's own model at its own scale: OPT-125M under the protocol that GPTQ's and SparseGPT's tables belong to.

WikiText-2 (raw) and the calibration text, C4, come from the hub, or from one folder (`--data-dir`) with
`wikitext-2-raw-test.txt` and `c4-train.jsonl`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property, partial
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from bench.measure.hub import RAW_WIKITEXT, hub_rows, wikitext_lines
from bench.measure.instrument import Instrument
from bench.measure.perplexity import GPTQ_PROTOCOL, perplexity
from bench.measure.session import Session
from bench.survey.settings import SurveySettings
from bench.verdict.evidence import Arrays, Origin
from compress.method import Method
from compress.swap import compressed
from models.data.text import read_documents
from models.errors import InputError
from models.first_token import as_given

C4 = "en/c4-train.00000-of-01024.json.gz"
"""The shard that calibrates in both papers' code."""
CALIBRATION_BATCH = 4


class OPT(Instrument):
    """Perplexities of OPT-125M and of what one-shot methods make of it."""

    name: ClassVar[str] = "OPT"
    settings_at: ClassVar[str] = "bench.survey.settings:at"

    @classmethod
    def of(cls, session: Session, settings: SurveySettings) -> OPT:
        """The survey's model at the session's effort.

        Raises:
            InputError: the session's model is no OPT.
        """
        if session.decoder.model.config.model_type != "opt":
            name = session.decoder.name
            raise InputError(f"{name} is no OPT; the tables are of OPT-125M, give --model facebook/opt-125m")
        return cls(session, settings)

    @cached_property
    def lines(self) -> list[str]:
        """The scored text."""
        return wikitext_lines(RAW_WIKITEXT, self.session.settings.data_dir)

    def _texts(self) -> Iterator[str]:
        folder = self.session.settings.data_dir
        if folder is not None:
            yield from (document.text for document in read_documents(folder / "c4-train.jsonl"))
        else:
            rows = hub_rows("allenai/c4", None, "train", data_files={"train": C4}, streaming=True)
            yield from (row["text"] for row in rows)

    @cached_property
    def calibration(self) -> list[Tensor]:
        """A run of tokens from a place drawn with the seed, of each of the first documents that are longer than it."""
        length, wanted = self.settings.calibration_length, self.settings.calibration_sequences
        draw, runs = random.Random(self.session.settings.seed), []
        for text in self._texts():
            tokens = self.session.decoder.tokenizer(text, verbose=False)["input_ids"]
            if len(tokens) > length:
                start = draw.randrange(len(tokens) - length)
                runs.append(torch.tensor(tokens[start : start + length]))
            if len(runs) == wanted:
                return list(torch.stack(runs).split(CALIBRATION_BATCH))
        raise InputError(f"{len(runs)} documents of C4 have more than {length} tokens; calibration asks for {wanted}")

    def perplexity(self, method: Method | None) -> float:
        """Perplexity of the dense model, or of it compressed."""
        code = [] if method is None else [type(method)]
        return float(self.measured(f"{method!r}", partial(self._measure, method), *code)["token"][0])

    def _measure(self, method: Method | None) -> Arrays:
        decoder = self.session.decoder
        if method is None:
            return {"token": np.array([self._score()])}
        batches = self.calibration if method.statistic else []
        with as_given(decoder.model), compressed(method, decoder.blocks, forward=decoder.hidden, batches=batches):
            return {"token": np.array([self._score()])}

    def _score(self) -> float:
        return perplexity(self.session.decoder.model, self.session.decoder.tokenizer, self.lines, GPTQ_PROTOCOL).token

    def origin(self) -> Origin:
        """OPT-125M on WikiText-2, calibrated on C4."""
        s = self.settings
        protocol = f"{GPTQ_PROTOCOL}; calibration {s.calibration_sequences} x {s.calibration_length} tokens of C4"
        return replace(self.session.origin(protocol), text="wikitext-2-raw", text_sha256="")
