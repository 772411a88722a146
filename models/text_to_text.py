"""Text to text with a T5, as Raffel et al. 2020 do it: examples as rows of tokens, the loss on targets, accuracy.

A table of examples is `[examples, input_length + target_length + 1]`: padded inputs, padded targets that end in `END`,
and the example's own number, by which what was kept of a teacher is found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedTokenizerFast

from models.data.span_corruption import corrupt, noise_spans
from models.errors import InputError

PAD, END = 0, 1
RESERVED = 2
EVALUATED = 512
"""Examples of one pass without gradients."""
READ_WHOLE = 0.99
"""Share of inputs that are to be read to their end, where they are not longer than an encoder reads."""
MOST_CUT = 0.25
"""Largest share of inputs that may be cut: beyond it a task is another than its name says."""


@dataclass(frozen=True)
class Vocabulary:
    """T5's tokens: padding, end, a tokenizer's own, and sentinels that count down from the last."""

    tokenizer: PreTrainedTokenizerFast
    sentinels: int = 32

    @cached_property
    def size(self) -> int:
        """Number of all tokens."""
        return RESERVED + len(self.tokenizer) + self.sentinels

    @property
    def first_sentinel(self) -> int:
        """T5's `<extra_id_0>`."""
        return self.size - 1

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text, without an end."""
        encoded = self.tokenizer(list(texts), verbose=False, return_attention_mask=False)["input_ids"]
        return [[token + RESERVED for token in text] for text in encoded]

    def text(self, tokens: Sequence[int]) -> str:
        """The text of tokens up to an end; sentinels and padding say nothing."""
        known = []
        for token in tokens:
            if token == END:
                break
            if RESERVED <= token <= self.first_sentinel - self.sentinels:
                known.append(token - RESERVED)
        return str(self.tokenizer.decode(known))


def table(examples: Sequence[tuple[str, str]], vocabulary: Vocabulary, input_length: int, target_length: int) -> Tensor:
    """Rows of `(input, target)` texts; a long input is cut at its end.

    Raises:
        InputError: no example, an empty text, or a target that does not fit.
    """
    if not examples:
        raise InputError("there is no example to learn from or to score")
    rows = torch.full((len(examples), input_length + target_length + 1), PAD)
    sources, targets = (vocabulary.tokens(texts) for texts in zip(*examples, strict=True))
    for number, (inputs, outputs) in enumerate(zip(sources, targets, strict=True)):
        source, target = examples[number]
        if not inputs or not outputs:
            raise InputError(
                f"example {number} has an empty {'target' if inputs else 'input'}: {source!r} -> {target!r}"
            )
        if len(outputs) >= target_length:
            raise InputError(
                f"target {target!r} takes {len(outputs) + 1} tokens with its end and there is room for {target_length}"
            )
        _fill(rows[number], [*inputs[: input_length - 1], END], [*outputs, END], input_length)
        rows[number, -1] = number
    return rows


def input_lengths(examples: Sequence[tuple[str, str]], vocabulary: Vocabulary) -> np.ndarray:
    """Tokens of each input with its end, `[examples]`."""
    return np.array([len(tokens) + 1 for tokens in vocabulary.tokens([source for source, _ in examples])])


def fitting_length(lengths: np.ndarray, *, most: int) -> int:
    """Length at which 99 % of inputs are read to their end; `most` where that is shorter."""
    return min(most, int(np.quantile(lengths, READ_WHOLE, method="inverted_cdf")))


def share_cut(lengths: np.ndarray, length: int, *, of: str) -> float:
    """Share of inputs that are longer than an encoder reads, and lose their end.

    Args:
        lengths: of the inputs with their ends, `[examples]`.
        length: tokens that the encoder reads.
        of: the task's name, for the error.

    Raises:
        InputError: more than a quarter are.
    """
    share = float((lengths > length).mean())
    if share > MOST_CUT:
        raise InputError(
            f"{share:.0%} of the inputs of {of} are longer than the {length} tokens that are read, and {MOST_CUT:.0%} "
            "is the most that may be cut; shorten the texts, or choose a scale that reads more"
        )
    return share


def corrupted_table(tokens: Tensor, vocabulary: Vocabulary, input_length: int, *, seed: int) -> tuple[Tensor, int]:
    """A token sequence cut into windows and corrupted span by span, with the target length that they take.

    Windows are as long as they can be while what is left of them, with sentinels and end, fits the input, as in T5.
    """
    length = input_length // 2
    while _corrupted_lengths(length + 1)[0] <= input_length:
        length += 1
    target_length = _corrupted_lengths(length)[1]
    generator = np.random.default_rng(seed)
    windows = tokens[: len(tokens) // length * length].view(-1, length)
    rows = torch.full((len(windows), input_length + target_length + 1), PAD)
    for number, window in enumerate(windows.tolist()):
        noise = noise_spans(length, generator)
        inputs, target = corrupt(
            window, noise, first_sentinel=vocabulary.first_sentinel, end=END, sentinels=vocabulary.sentinels
        )
        _fill(rows[number], inputs, target, input_length)
        rows[number, -1] = number
    return rows, target_length


def _corrupted_lengths(length: int) -> tuple[int, int]:
    noise = noise_spans(length, np.random.default_rng(0))
    inputs, target = corrupt(range(length), noise, first_sentinel=length + 100, end=END)
    return len(inputs), len(target)


def _fill(row: Tensor, inputs: list[int], target: list[int], input_length: int) -> None:
    row[: len(inputs)] = torch.tensor(inputs)
    row[input_length : input_length + len(target)] = torch.tensor(target)


def logits_of(model: nn.Module, rows: Tensor, input_length: int) -> tuple[Tensor, Tensor]:
    """Logits `[examples, target_length, vocabulary]` of every target token given those before it, and the targets."""
    inputs, targets = rows[:, :input_length], rows[:, input_length:-1]
    # As a sum for each key: a mask of truth values is looked at by transformers, which vmap cannot do.
    mask = (inputs == PAD)[:, None, None, :].to(torch.float32) * torch.finfo(torch.float32).min
    before = torch.cat([torch.full_like(targets[:, :1], PAD), targets[:, :-1]], dim=1)
    output = model(input_ids=inputs, attention_mask=mask, decoder_input_ids=before, use_cache=False)
    return output.logits, targets


@dataclass(frozen=True)
class TargetLoss:
    """Mean cross-entropy of the target tokens, nats."""

    input_length: int

    def __call__(self, model: nn.Module, rows: Tensor) -> Tensor:
        """Loss of a model on rows of a table."""
        logits, targets = logits_of(model, rows, self.input_length)
        return functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), ignore_index=PAD)


@torch.no_grad()
def exact_matches(model: nn.Module, rows: Tensor, input_length: int) -> np.ndarray:
    """Matches, bool `[examples]`: true where the model would write the target to the token.

    Greedy writing gives the target exactly if every target token is the likeliest after those before it, so one pass
    with the targets in the decoder decides it.
    """
    model.eval()
    matches = []
    for part in rows.split(EVALUATED):
        logits, targets = logits_of(model, part, input_length)
        matches.append(((logits.argmax(-1) == targets) | (targets == PAD)).all(-1))
    return torch.cat(matches).cpu().numpy()


@torch.no_grad()
def written(model: nn.Module, rows: Tensor, input_length: int) -> Tensor:
    """The table with what the model writes greedily in the place of its targets: sequence-level distillation's data.

    Kim & Rush 2016, with a beam of one. What has not ended at the table's target length is left as it stands.
    """
    model.eval()
    rows = rows.clone()
    for part in rows.split(EVALUATED):
        ended = torch.zeros(len(part), dtype=torch.bool, device=part.device)
        part[:, input_length:-1] = PAD
        for place in range(input_length, part.shape[1] - 1):
            logits, _ = logits_of(model, part, input_length)
            token = logits[:, place - input_length].argmax(-1)
            part[:, place] = torch.where(ended, PAD, token)
            ended |= token == END
            if ended.all():
                break
    return rows
