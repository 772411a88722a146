"""Perplexity under named protocols: the same model and text give another number under each."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bench.measure.divergence import CHUNK_BYTES, log_probabilities
from models.data.text import json_lines
from models.errors import InputError
from models.first_token import as_given

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Protocol:
    """Convention for perplexity: how a text becomes windows, and their losses one number."""

    name: str
    context: int
    """Tokens of a window; windows do not overlap, and a window's first token is only read."""
    mean_of_windows: bool
    """True if every window counts the same, however short the last one is; otherwise every token does."""
    keep_tail: bool
    """True if the last, shorter window is scored."""
    join: str = "\n\n"
    """Separator put between the lines of the text."""
    opening: bool = False
    """True if what the tokenizer puts before a text, such as OPT's BOS, is read."""

    def __str__(self) -> str:
        averaged = "mean of window means" if self.mean_of_windows else "mean over tokens"
        tail = "tail kept" if self.keep_tail else "tail dropped"
        return f"{self.name}: windows of {self.context} without overlap, {tail}, {averaged}"

    def windows(self, tokens: Tensor) -> list[Tensor]:
        """A text's tokens `[tokens]` as windows; a tail of one token has nothing to score and is left out.

        Raises:
            InputError: no window is left.
        """
        parts = [part for part in tokens.split(self.context) if len(part) > 1]
        if not self.keep_tail:
            parts = [part for part in parts if len(part) == self.context]
        if not parts:
            raise InputError(f"{len(tokens)} tokens leave no window of {self.context} to score under {self.name}")
        return parts


KRONY = Protocol("krony", 1024, mean_of_windows=True, keep_tail=True)
"""Krony-PT's script, on tokenized WikiText (`wikitext-*-v1`)."""
HUGGINGFACE = Protocol("huggingface", 1024, mean_of_windows=False, keep_tail=True)
"""Transformers' guide with a stride of the context, on raw WikiText-2: GPT-2 29.94."""
GPTQ_PROTOCOL = Protocol("gptq", 2048, mean_of_windows=False, keep_tail=False, opening=True)
"""Frantar et al. 2023, on raw WikiText-2: OPT-125M 27.65."""


@dataclass(frozen=True)
class Perplexity:
    """Perplexity under one protocol, in all three units, with each window's mean loss for an interval."""

    protocol: str
    token: float
    word: float
    """Perplexity per whitespace-separated word of the text: exp(loss per token times tokens per word)."""
    byte: float
    """Perplexity per UTF-8 byte; its binary logarithm is bits per byte."""
    losses: Array
    """Mean loss of each window, nats a token, `[windows]`."""
    lengths: Array
    """Scored tokens of each window, `[windows]`."""


def lines_of(path: Path) -> list[str]:
    """A WikiText file as the rows of its dataset: blank lines empty, others with their line break."""
    if not path.is_file():
        raise InputError(f"no text at {path}; give the folder that holds it with --data-dir")
    with path.open(encoding="utf-8", newline="\n") as file:  # the dataset's rows end at line feeds alone
        return [line if line.strip() else "" for line in file]


@torch.inference_mode()
def token_losses(model: PreTrainedModel, tokens: Tensor) -> Tensor:
    """Cross-entropy of every token after the first, `[batch, context]` -> float32 `[batch, context - 1]`, on the CPU.

    Logits exist for a few tokens at a time.
    """
    head = model.get_output_embeddings()
    if not isinstance(head, nn.Linear):
        raise InputError(f"{type(model).__name__} has no linear output matrix; give a decoder-only language model")
    tokens = tokens.to(head.weight.device)
    hidden = model.base_model(input_ids=tokens, use_cache=False).last_hidden_state[:, :-1].flatten(0, 1)
    labels = tokens[:, 1:].flatten()
    chunk = max(1, CHUNK_BYTES // (4 * head.weight.shape[0]))
    parts = [
        -log_probabilities(head, h).gather(1, label[:, None])[:, 0]
        for h, label in zip(hidden.split(chunk), labels.split(chunk), strict=True)
    ]
    return torch.cat(parts).cpu().view(len(tokens), -1)


def perplexity(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, lines: Sequence[str], protocol: Protocol
) -> Perplexity:
    """A model's perplexity on a text under a protocol.

    Raises:
        InputError: the text is too short, or the model's context shorter than the protocol's windows.
    """
    longest = getattr(model.config, "max_position_embeddings", protocol.context)
    if longest < protocol.context:
        raise InputError(f"{protocol.name} reads {protocol.context} tokens at once and the model {longest}")
    text = protocol.join.join(lines)
    tokens = torch.tensor(tokenizer(text, add_special_tokens=protocol.opening, verbose=False)["input_ids"])
    windows = protocol.windows(tokens)
    with as_given(model):
        scored = [token_losses(model, window[None])[0] for window in windows]
    losses = np.array([float(loss.double().mean()) for loss in scored])
    lengths = np.array([float(len(loss)) for loss in scored])
    mean = float(losses.mean()) if protocol.mean_of_windows else float(losses @ lengths / lengths.sum())
    words, size = len(text.split()), len(text.encode())
    per_word, per_byte = mean * len(tokens) / words, mean * len(tokens) / size
    return Perplexity(str(protocol), math.exp(mean), math.exp(per_word), math.exp(per_byte), losses, lengths)


LAMBADA = "lambada-openai-test.jsonl"
"""The passages' file in a folder of the papers' data."""


@dataclass(frozen=True)
class LastWords:
    """LAMBADA: how well a model guesses each passage's last word."""

    accuracy: float
    """The share of passages whose last word is the most likely continuation, token by token."""
    losses: Array
    """Loss of each last word, summed over its tokens, nats, `[passages]`."""


@torch.inference_mode()
def last_words(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, passages: Sequence[str]) -> LastWords:
    """LAMBADA as a task: everything but a passage's last word is read, the last word with its space is scored.

    Raises:
        InputError: there are no passages, or one has a single word.
    """
    if not passages:
        raise InputError("no LAMBADA passages were given")
    head, losses, correct = model.get_output_embeddings(), [], []
    if not isinstance(head, nn.Linear):
        raise InputError(f"{type(model).__name__} has no linear output matrix; give a decoder-only language model")
    for passage in passages:
        before, space, word = passage.rpartition(" ")
        if not space or not before or not word:
            raise InputError(f"the passage {passage[:40]!r} has no last word after a space")
        read = tokenizer(before, add_special_tokens=False)["input_ids"]
        wanted = tokenizer(space + word, add_special_tokens=False)["input_ids"]
        tokens = torch.tensor([read + wanted], device=head.weight.device)
        hidden = model.base_model(input_ids=tokens, use_cache=False).last_hidden_state[0, -len(wanted) - 1 : -1]
        predictions = log_probabilities(head, hidden)
        labels = torch.tensor(wanted, device=predictions.device)
        losses.append(-float(predictions.gather(1, labels[:, None]).double().sum()))
        correct.append(bool((predictions.argmax(-1) == labels).all()))
    return LastWords(float(np.mean(correct)), np.array(losses))


def passages_of(path: Path) -> list[str]:
    """The passages of a LAMBADA file, one `{"text": ...}` a line."""
    if not path.is_file():
        raise InputError(f"no LAMBADA passages at {path}; give the folder that holds them with --data-dir")
    return [json.loads(line)["text"] for _, line in json_lines(path.read_text(encoding="utf-8"))]
