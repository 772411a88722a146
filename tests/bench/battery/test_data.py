"""Folders of the papers' data whose files are not what their names say."""

from __future__ import annotations

import pytest

from models.data.tasks import sst2
from models.errors import InputError
from tests.bench.battery.files import lines, put
from tests.bench.battery.running import Case, cases

MEND = ("nor a pair with premise, hypothesis, label", "mend or delete that line")
PAIR = {"premise": "a", "hypothesis": "b", "label": 0}
FILES = (
    ("words", put("words", "c4.jsonl"), ("c4.jsonl line 1", *MEND)),
    ("null", put(lines({"text": "a"}, {"text": None}), "c4.jsonl"), ("c4.jsonl line 2", *MEND)),
    ("array", put(lines([1]), "c4.jsonl"), ("c4.jsonl line 1", *MEND)),
    ("deep", put("[" * 100_000, "c4.jsonl"), ("c4.jsonl line 1", *MEND)),
    ("half-a-pair", put(lines(PAIR, {"premise": "a"}), "mnli-train.jsonl"), ("line 2", *MEND)),
    ("no-text", put(lines({"txt": "a"}), "p.jsonl"), ("p.jsonl line 1", *MEND)),
    ("bytes-jsonl", put(b"\n\xff\n", "c4.jsonl"), ("c4.jsonl line 2 is not UTF-8", "iconv")),
    ("bytes-txt", put(b"a\n\xff", "w.txt"), ("w.txt line 2 is not UTF-8", "iconv")),
    ("bytes-tsv", put(b"\xff\xfe", "sst2.dev.tsv"), ("sst2.dev.tsv line 1 is not UTF-8", "iconv")),
)


@cases(*(Case(name, "--data-dir={here}/data", words, lay) for name, lay, words in FILES))
def test_data_that_cannot_be_read_is_one_sentence(suite, case):
    (suite.here / "data").mkdir()
    case.lay(suite.here / "data")
    suite.bench(case.arguments).check(case.words)
    assert not suite.out.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no rows with the column label; give a file that has"),
        ("label\n", "has no rows with the column label"),
        ("label\tsentence\n", "has no rows"),
        ("label\ttext\n1\tgood\n", "has no column sentence"),
        ("label\tsentence\n7\tgood\n", "label '7' is not one of 0, 1"),
        ("label\tsentence\n1\n", "has rows of fewer columns than its first line"),
        ("label\tsentence\nsome\n", "has rows of fewer columns"),
    ],
)
def test_a_table_that_cannot_be_used_is_one_sentence(tmp_path, content, message):
    for name in ("sst2.train.tsv", "sst2.dev.tsv"):
        (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        sst2(tmp_path)
