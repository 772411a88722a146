"""Texts that cannot be read, scored or trained on."""

from __future__ import annotations

import gzip
import lzma

from tests.bench.battery.files import lines, put
from tests.bench.battery.running import Case, cases

SEPARATE = "separate documents by a line <|endoftext|>"
WORDS = " ".join(f"w{i}" for i in range(96))
DOCUMENTS = "\n<|endoftext|>\n".join(f"{WORDS} w{i}" for i in range(9))
LITTLE = DOCUMENTS[: DOCUMENTS.index("w3\n")]


GOOD = {"text": WORDS}
LINE = ("line 2 is not", "mend or delete that line")
# Each is given as --text and as --train-text.
FILES = (
    (
        "folder",
        "text.txt",
        lambda here: (here / "text.txt").mkdir(),
        ("is a folder", "an existing .txt or .jsonl file"),
    ),
    ("empty", "text.txt", put(b""), ("holds 0 document(s)", SEPARATE)),
    ("blank", "text.txt", put(b" \n\n\n \n\n\n\n"), ("holds 0 document(s)", SEPARATE)),
    ("one-document", "text.txt", put(WORDS), ("holds 1 document(s)", SEPARATE)),
    ("latin-1", "text.txt", put("naïve\n<|endoftext|>\ncafé".encode("latin-1")), ("is not UTF-8", "iconv")),
    ("utf-16", "text.txt", put(DOCUMENTS.encode("utf-16")), ("is not UTF-8", "iconv")),
    ("gzip", "text.gz", put(gzip.compress(DOCUMENTS.encode()), "text.gz"), ("is not UTF-8", "unpack it")),
    (
        "xz-torn",
        "text.xz",
        put(lzma.compress(DOCUMENTS.encode())[:60], "text.xz"),
        ("is no complete .xz file", "copy it again"),
    ),
    ("xz-in-name-only", "text.xz", put(DOCUMENTS, "text.xz"), ("is no complete .xz file", "copy it again")),
    ("jsonl-null", "text.jsonl", put(lines(GOOD, {"text": None}), "text.jsonl"), ("text is None", *LINE)),
    ("jsonl-number", "text.jsonl", put(lines(GOOD, {"text": 5}), "text.jsonl"), ("text is 5", *LINE)),
    ("jsonl-list", "text.jsonl", put(lines(GOOD, {"text": ["a"]}), "text.jsonl"), ("text is ['a']", *LINE)),
    ("jsonl-no-text", "text.jsonl", put(lines(GOOD, {"txt": "b"}), "text.jsonl"), ("'text'", *LINE)),
    ("jsonl-array", "text.jsonl", put(lines(GOOD, [1, 2]), "text.jsonl"), LINE),
    ("jsonl-string", "text.jsonl", put(lines(GOOD, "words"), "text.jsonl"), LINE),
    ("jsonl-torn", "text.jsonl", put(lines(GOOD) + b'\n{"text": "wor', "text.jsonl"), LINE),
    (
        "jsonl-surrogate",
        "text.jsonl",
        put(lines(GOOD) + b'\n{"text": "\\ud800"}', "text.jsonl"),
        ("surrogates not allowed", *LINE),
    ),
    ("jsonl-deep", "text.jsonl", put(lines(GOOD) + b"\n" + b"[" * 200_000, "text.jsonl"), LINE),
    ("jsonl-upper-case", "TEXT.JSONL", put(lines(GOOD, {"text": None}), "TEXT.JSONL"), ("text is None", *LINE)),
    (
        "jsonl-packed",
        "a.jsonl.xz",
        put(lzma.compress(lines(GOOD, {"text": None})), "a.jsonl.xz"),
        ("text is None", *LINE),
    ),
)
TABLE = [
    Case(f"{option[2:]}-{name}", f"{option}={{here}}/{file}", words, lay=lay)
    for option in ("--text", "--train-text")
    for name, file, lay, words in FILES
]
TOO_SHORT = ("document(s) of", "needs", "give longer or more documents, or lower --contexts")
TABLE += [
    Case("text-absent", "--text={here}/none.txt", ("none.txt: it does not exist", "give --text")),
    Case("train-text-folder", "--train-text={here}", ("it is a folder", "give --train-text")),
    Case("text-short", "--text={here}/text.txt", TOO_SHORT, put("w1 w2\n<|endoftext|>\nw3")),
    Case("text-twice-the-same", "--text={here}/text.txt", TOO_SHORT, put(f"{WORDS}\n<|endoftext|>\n{WORDS}")),
    Case("text-too-little", "--text={here}/text.txt", ("calibration asks for", "give more text"), put(LITTLE)),
]


@cases(*TABLE)
def test_a_text_that_cannot_be_used_is_one_sentence(suite, case):
    if case.lay:
        case.lay(suite.here)
    suite.bench(case.arguments).check(case.words)
    assert not suite.out.exists()
