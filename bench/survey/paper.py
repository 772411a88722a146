"""The survey's own model at its own scale: OPT-125M under the protocol that GPTQ's and SparseGPT's tables belong to.

WikiText-2 (raw) and the calibration text, C4, come from the hub, or from one folder (`--data-dir`) with
`wikitext-2-raw-test.txt` and `c4-train.jsonl`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from bench.measure.hub import RAW_WIKITEXT, hub_rows, wikitext_lines
from bench.measure.perplexity import GPTQ_PROTOCOL, perplexity
from bench.measure.session import Arrays, Lab
from bench.survey.settings import SurveySettings
from compress.method import Method
from compress.swap import compressed
from models.data.text import read_documents
from models.errors import InputError

C4 = "en/c4-train.00000-of-01024.json.gz"
"""The shard that calibrates in both papers' code."""
CALIBRATION_BATCH = 4


class OPTLab:
    """Perplexities of OPT-125M and of what one-shot methods make of it; every one is kept."""

    def __init__(self, lab: Lab, settings: SurveySettings) -> None:
        self.lab, self.settings = lab, settings
        if lab.decoder.model.config.model_type != "opt":
            raise InputError(
                f"{lab.decoder.name} is no OPT; the tables are of OPT-125M, give --model facebook/opt-125m"
            )

    @cached_property
    def lines(self) -> list[str]:
        """The scored text."""
        return wikitext_lines(RAW_WIKITEXT, self.lab.settings.data_dir)

    def _texts(self) -> Iterator[str]:
        folder = self.lab.settings.data_dir
        if folder is not None:
            yield from (document.text for document in read_documents(folder / "c4-train.jsonl"))
        else:
            rows = hub_rows("allenai/c4", None, "train", data_files={"train": C4}, streaming=True)
            yield from (row["text"] for row in rows)

    @cached_property
    def calibration(self) -> list[Tensor]:
        """A run of tokens from a place drawn with the seed, of each of the first documents that are longer than it."""
        length, wanted = self.settings.calibration_length, self.settings.calibration_sequences
        draw, found = random.Random(self.lab.settings.seed), []
        for text in self._texts():
            tokens = self.lab.decoder.tokenizer(text, verbose=False)["input_ids"]
            if len(tokens) > length:
                start = draw.randrange(len(tokens) - length)
                found.append(torch.tensor(tokens[start : start + length]))
            if len(found) == wanted:
                return list(torch.stack(found).split(CALIBRATION_BATCH))
        raise InputError(f"{len(found)} documents of C4 have more than {length} tokens; calibration asks for {wanted}")

    def perplexity(self, method: Method | None) -> float:
        """Of the dense model, or of it compressed."""
        return float(self.lab.measured(f"opt {method!r} {self.settings}", lambda: self._measure(method))["token"][0])

    def _measure(self, method: Method | None) -> Arrays:
        decoder = self.lab.decoder
        if method is None:
            return {"token": np.array([self._score()])}
        batches = self.calibration if method.statistic else []
        with compressed(method, decoder.blocks, forward=decoder.hidden, batches=batches):
            return {"token": np.array([self._score()])}

    def _score(self) -> float:
        return perplexity(self.lab.decoder.model, self.lab.decoder.tokenizer, self.lines, GPTQ_PROTOCOL).token

    def origin(self) -> dict:
        """What a row was measured on, for its evidence."""
        s = self.settings
        return {
            "text": "wikitext-2-raw",
            "text_sha256": "",
            "protocol": f"{GPTQ_PROTOCOL}; calibration {s.calibration_sequences} x {s.calibration_length} tokens of C4",
        }
