"""Text as documents and tokens; what calibrates a method is never what it is scored on.

A document is the unit of resampling: tokens of one document are not independent of each other.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from models.errors import InputError

END_OF_TEXT = "<|endoftext|>"
TITLES = re.compile(r"^ = (?!=)(.+?) = $", re.MULTILINE), re.compile(r"^# Title: (.+)$", re.MULTILINE)
"""WikiText's, and those of collections of books."""
BLANK_LINES = re.compile(r"\n\s*\n\s*\n+")


@dataclass(frozen=True)
class Document:
    """One article, story or file."""

    title: str
    text: str


@dataclass(frozen=True)
class Corpus:
    """Tokenized documents `[tokens]`, cut into those that calibrate and those that are scored."""

    calibration: tuple[Tensor, ...]
    scored: tuple[Tensor, ...]
    titles: tuple[str, ...]
    """Titles of the scored documents, in their order."""
    sha256: str
    """Hash of all the text, so that a result can name what it was measured on."""


def read_documents(path: Path, option: str = "--text") -> list[Document]:
    """The documents of a text file, in order.

    `.jsonl` holds one `{"text": ..., "title": ...}` a line; `.xz` files are
    unpacked in memory. In any other file documents are separated by `<|endoftext|>`, else by WikiText's
    ` = Title = ` lines, else by lines `# Title: ...`, else by two or more blank lines.

    Args:
        path: of the file.
        option: that names it, for the sentence of an error.

    Raises:
        InputError: the file is missing, is not UTF-8, is empty, or holds fewer than two documents.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"no text file at {path}: it {what}; give {option} an existing .txt or .jsonl file")
    packed = path.suffix.lower() == ".xz"
    content = _content(path, packed=packed)
    inner = path.with_suffix("") if packed else path
    documents = _jsonl(path, content) if inner.suffix.lower() == ".jsonl" else _plain(path.stem, content)
    documents = [document for document in documents if document.text.strip()]
    if len(documents) < 2:
        raise InputError(
            f"{path} holds {len(documents)} document(s) and at least 2 are needed (one calibrates, others are "
            f"scored); separate documents by a line {END_OF_TEXT}, by ' = Title = ' lines or by two blank lines"
        )
    return documents


def _content(path: Path, *, packed: bool) -> str:
    try:
        with lzma.open(path, "rt", encoding="utf-8") if packed else path.open(encoding="utf-8") as file:
            return file.read()
    except (lzma.LZMAError, EOFError) as error:
        raise InputError(f"{path} is no complete .xz file ({error}); copy it again") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not UTF-8 text ({error}); convert it, for instance with iconv, or unpack it if it is packed"
        ) from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); change its permissions or copy it") from error


def json_lines(content: str) -> Iterator[tuple[int, str]]:
    """Numbered lines of JSON-lines text, blank ones left out.

    Only a line feed ends a line: `str.splitlines` would cut valid JSON at U+2028 and its like.
    """
    for number, line in enumerate(content.split("\n"), 1):
        if line.strip():
            yield number, line


def _jsonl(path: Path, content: str) -> list[Document]:
    documents = []
    for number, line in json_lines(content):
        try:
            entry = json.loads(line)
            if not isinstance(entry["text"], str):
                raise TypeError(f"text is {entry['text']!r}")
            entry["text"].encode()  # half a surrogate pair is no text
            documents.append(Document(str(entry.get("title", f"line {number}")), entry["text"]))
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
            raise InputError(
                f'{path} line {number} is not {{"text": "..."}} ({_reason(error)}); mend or delete that line'
            ) from error
    return documents


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:200]


def _plain(name: str, content: str) -> list[Document]:
    if END_OF_TEXT in content:
        parts = content.split(END_OF_TEXT)
    elif headings := next((list(title.finditer(content)) for title in TITLES if title.search(content)), None):
        starts = [match.start() for match in headings]
        parts = [content[a:b] for a, b in zip(starts, [*starts[1:], len(content)], strict=True)]
    else:
        parts = BLANK_LINES.split(content)
    return [Document(f"{name} {i}", part) for i, part in enumerate(parts)]


def split(
    documents: Sequence[Document],
    tokenizer: PreTrainedTokenizerBase,
    *,
    scored_tokens: int,
    calibration_tokens: int,
    most_scored: int | None = None,
    scored_after: str = "",
) -> Corpus:
    """Cut documents into a calibration part and a scored part with no document and no text in common.

    Documents are taken in the order of their text's sha256, which no one chose. Those of at least `scored_tokens`
    tokens are scored, up to `most_scored`, from the first on whose sha256 is above `scored_after`. Calibration takes
    from the rest, the shortest first, until it has `calibration_tokens`, and from the end of the scored ones only if
    they do not suffice.

    Raises:
        InputError: no two documents are long enough, or nothing is left to calibrate on.
    """
    unique = {_sha256(document): document for document in documents}
    tokenized = [(unique[key].title, _tokens(tokenizer, unique[key].text)) for key in sorted(unique)]
    lengths = [len(tokens) for _, tokens in tokenized]
    scored = [
        key > scored_after and len(tokens) >= scored_tokens
        for key, (_, tokens) in zip(sorted(unique), tokenized, strict=True)
    ]
    long = list(compress(tokenized, scored))
    short = sorted((entry for entry, own in zip(tokenized, scored, strict=True) if not own), key=lambda e: len(e[1]))
    if most_scored is not None:
        long, short = long[:most_scored], short + long[most_scored:]
    while sum(len(tokens) for _, tokens in short) < calibration_tokens and len(long) > 2:
        short.append(long.pop())
    if len(long) < 2 or not short:
        raise InputError(
            f"only {len(long)} document(s) of {len(tokenized)} have the {scored_tokens:,} tokens that the longest "
            f"context needs (the longest document has {max(lengths, default=0):,}) and {len(short)} are left to "
            "calibrate on; give longer or more documents, or lower --contexts"
        )
    return Corpus(
        calibration=tuple(tokens for _, tokens in short),
        scored=tuple(tokens for _, tokens in long),
        titles=tuple(title for title, _ in long),
        sha256=text_sha256(documents),
    )


def _sha256(document: Document) -> str:
    return hashlib.sha256(document.text.encode()).hexdigest()


def text_sha256(documents: Sequence[Document]) -> str:
    """Hash of a text: of its different documents, whatever their order and titles."""
    return hashlib.sha256("".join(sorted({_sha256(document) for document in documents})).encode()).hexdigest()


def _tokens(tokenizer: PreTrainedTokenizerBase, text: str) -> Tensor:
    # No special tokens: windows start in the middle of documents, where none would stand.
    encoded = tokenizer(text, add_special_tokens=False, verbose=False)
    return torch.tensor(encoded["input_ids"], dtype=torch.long)


def calibration_batches(
    corpus: Corpus, *, sequences: int, length: int, batch: int = 8, sample: int = 0
) -> list[Tensor]:
    """Token batches `[batch, length]` cut without overlap from the calibration documents, joined in order.

    Args:
        corpus: whose calibration documents are read.
        sequences: how many.
        length: tokens of each.
        batch: sequences at once.
        sample: which of several samples; no two have a token in common.

    Raises:
        InputError: the calibration documents hold too few tokens.
    """
    joined, count = torch.cat(corpus.calibration), sequences * length
    start = sample * count
    if len(joined) < start + count:
        several = f"{sample + 1} samples of " if sample else ""
        raise InputError(
            f"calibration asks for {several}{sequences} x {length} tokens and the text leaves {len(joined):,}; "
            "give more text, or lower --effort"
        )
    return list(joined[start : start + count].view(sequences, length).split(batch))
