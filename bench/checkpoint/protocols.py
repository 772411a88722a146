"""A user's checkpoint against the dense model under each protocol of perplexity."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from transformers import PreTrainedTokenizerBase

from bench.checkpoint.windows import in_order
from bench.measure.hub import RAW_FILE, RAW_WIKITEXT, wikitext_lines
from bench.measure.perplexity import GPTQ_PROTOCOL, HUGGINGFACE, KRONY, Perplexity, Protocol, perplexity
from bench.measure.session import Session
from bench.verdict.documents import Interval, difference_ratio
from models.errors import InputError
from models.load import Decoder

PROTOCOLS = {protocol.name: protocol for protocol in (KRONY, HUGGINGFACE, GPTQ_PROTOCOL)}


def protocol_lines(session: Session, most: int | None) -> list[str]:
    """WikiText-2's lines where `--data-dir` has them, else the documents; about `most` tokens of them."""
    folder, tokenizer = session.settings.data_dir, session.decoder.tokenizer
    if folder is not None and (folder / RAW_FILE).is_file():
        lines = wikitext_lines(RAW_WIKITEXT, folder)
    else:
        lines = [document.text for document in in_order(session.documents)]
    return lines if most is None else _first(lines, tokenizer, most)


def _first(lines: Sequence[str], tokenizer: PreTrainedTokenizerBase, left: int) -> list[str]:
    first: list[str] = []
    for line in lines:
        tokens = tokenizer(line, add_special_tokens=False, verbose=False)["input_ids"]
        first.append(line if len(tokens) <= left else str(tokenizer.decode(tokens[:left])))
        left -= len(tokens)
        if left <= 0:
            break
    return first


def scores(decoder: Decoder, lines: Sequence[str]) -> dict[str, Perplexity | str]:
    """A model's perplexity under each protocol, or why there is none."""
    perplexities: dict[str, Perplexity | str] = {}
    for name, protocol in PROTOCOLS.items():
        try:
            perplexities[name] = _score(decoder, lines, protocol)
        except InputError as error:
            perplexities[name] = str(error)
    return perplexities


def _score(decoder: Decoder, lines: Sequence[str], protocol: Protocol) -> Perplexity:
    if decoder.longest_context < protocol.context:
        longest = decoder.longest_context
        raise InputError(f"{protocol.name} reads {protocol.context} tokens at once and {decoder.name} {longest}")
    score = perplexity(decoder.model, decoder.tokenizer, lines, protocol)
    if len(score.losses) < 2:
        raise InputError(f"the text has one window of {protocol.context} tokens, and an interval takes two")
    return score


def ratio(compressed: Perplexity, dense: Perplexity, protocol: Protocol) -> Interval:
    """Perplexity over the dense model's, over windows that count as the protocol has them count."""
    weights = np.ones_like(dense.lengths) if protocol.mean_of_windows else dense.lengths / dense.lengths.mean()
    return difference_ratio(compressed.losses * weights, dense.losses * weights)
