"""Documents are read as their author separated them, and what calibrates is never scored."""

import hashlib
import json
import lzma

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.data.embedded import plain_text
from models.data.text import Document, calibration_batches, read_documents, split
from models.errors import InputError


class Words:
    """A tokenizer that numbers words."""

    def __call__(self, text, **_options):
        return {"input_ids": [int(word) for word in text.split()]}


def documents(lengths):
    return [Document(f"d{i}", " ".join([str(i)] * n)) for i, n in enumerate(lengths)]


@given(st.lists(st.integers(1, 60), min_size=3, max_size=30), st.integers(1, 40), st.integers(0, 100), st.data())
def test_no_document_is_both_calibrated_on_and_scored(lengths, needed, calibration, data):
    most = data.draw(st.none() | st.integers(2, 10))
    options = {"scored_tokens": needed, "calibration_tokens": calibration, "most_scored": most}
    try:
        corpus = split(documents(lengths), Words(), **options)
    except InputError:
        return
    scored, calibrating = ({tokens[0].item() for tokens in part} for part in (corpus.scored, corpus.calibration))
    assert not scored & calibrating
    assert len(scored) == len(corpus.scored) == len(corpus.titles) >= 2
    assert all(len(tokens) >= needed for tokens in corpus.scored)
    assert most is None or len(corpus.scored) <= most


def test_a_text_that_stands_twice_is_one_document():
    twice = [Document("a", "1 1 1 1"), Document("b", "1 1 1 1"), Document("c", "2 2 2 2"), Document("d", "3 3 3 3")]
    corpus = split(twice, Words(), scored_tokens=3, calibration_tokens=1)
    assert len(corpus.scored) + len(corpus.calibration) == 3


def test_the_split_does_not_depend_on_the_order_of_documents():
    given_ones = documents([10, 20, 30, 40, 50])
    first, second = (split(d, Words(), scored_tokens=15, calibration_tokens=5) for d in (given_ones, given_ones[::-1]))
    assert first.sha256 == second.sha256
    assert first.titles == second.titles


def test_too_short_a_text_says_what_is_there_and_what_is_needed():
    with pytest.raises(InputError, match=r"only 1 document\(s\) of 3 have the 25 tokens .* has 30\).*--contexts"):
        split(documents([10, 20, 30]), Words(), scored_tokens=25, calibration_tokens=5)


def test_calibration_sequences_do_not_overlap():
    corpus = split(documents([30, 31, 5, 6, 7]), Words(), scored_tokens=25, calibration_tokens=12)
    batches = calibration_batches(corpus, sequences=3, length=4, batch=2)
    assert [tuple(batch.shape) for batch in batches] == [(2, 4), (1, 4)]
    assert torch.equal(torch.cat(batches).flatten(), torch.cat(corpus.calibration)[:12])
    with pytest.raises(InputError, match=r"3 x 100 tokens and the text leaves 18"):
        calibration_batches(corpus, sequences=3, length=100)


@pytest.mark.parametrize(
    ("name", "content", "count"),
    [
        ("a.jsonl", "\n".join(json.dumps({"text": f"t{i}", "title": "x"}) for i in range(3)), 3),
        ("b.txt", "one\n<|endoftext|>\ntwo\n<|endoftext|>\n", 2),
        ("c.txt", " = First = \n\n text\n\n = = Section = = \n\n more\n = Second = \n text", 2),
        ("books.txt", "# Title: One\n\n## Chapter\n\n\n\ntext\n\n\n# Title: Two\n\ntext", 2),
        ("d.txt", "one\n\nstill one\n\n\ntwo", 2),
    ],
)
def test_documents_are_separated_as_the_file_says(tmp_path, name, content, count):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    assert len(read_documents(path)) == count


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.txt", None, "no text file at"),
        ("empty.txt", b"", "holds 0 document"),
        ("one.txt", b"only one", r"holds 1 document.*<\|endoftext\|>"),
        ("latin.txt", b"\xff\xfe\xfa", "not UTF-8"),
        ("bad.jsonl", b'{"text": "a"}\n{"txt": "b"}', "line 2"),
    ],
)
def test_a_text_that_cannot_be_used_is_named_with_the_way_out(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_documents(path)


def test_wiki_markup_leaves_prose():
    markup = (
        "{{Infobox|name=x}}'''Bold''' [[link|shown]] text<ref>note</ref>.\n{| class=wikitable\n| cell\n|}\n"
        "== Head ==\nMore [http://example.org words].\n[[Category:Things]]"
    )
    text = plain_text(markup)
    assert text.startswith("Bold shown text.")
    assert "More words." in text
    for gone in ("Infobox", "note", "cell", "{", "[", "Category"):
        assert gone not in text


def test_a_packed_text_is_read_and_a_broken_one_refused(tmp_path):
    path = tmp_path / "books.txt.xz"
    packed = lzma.compress(b"one book\n<|endoftext|>\nanother book")
    path.write_bytes(packed)
    assert [document.text.strip() for document in read_documents(path)] == ["one book", "another book"]
    path.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(InputError, match=r"no complete \.xz file"):
        read_documents(path)


def test_documents_up_to_a_hash_are_calibrated_on_and_never_scored():
    given_ones = documents([20] * 20)
    keys = sorted(hashlib.sha256(document.text.encode()).hexdigest() for document in given_ones)
    every, later = (
        split(given_ones, Words(), scored_tokens=10, calibration_tokens=30, scored_after=after)
        for after in ("", keys[7])
    )
    assert len(later.scored) == 12
    # Without it, the last two of twenty calibrate, for want of shorter ones.
    assert later.titles[: len(every.titles) - 8] == every.titles[8:]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\r"])
def test_only_a_line_feed_ends_a_line_of_json(tmp_path, separator):
    texts = [f"one{separator}two", "three"]
    content = "\n".join(json.dumps({"text": text}, ensure_ascii=False) for text in texts)
    (tmp_path / "a.jsonl").write_bytes(content.encode())
    assert [document.text for document in read_documents(tmp_path / "a.jsonl")] == texts


def test_packed_json_lines_are_read_as_unpacked_ones(tmp_path):
    content = b'{"text": "one", "title": "First"}\n{"text": "two"}'
    (tmp_path / "a.jsonl").write_bytes(content)
    (tmp_path / "a.jsonl.xz").write_bytes(lzma.compress(content))
    plain, packed = (read_documents(tmp_path / name) for name in ("a.jsonl", "a.jsonl.xz"))
    assert plain == packed == [Document("First", "one"), Document("line 2", "two")]


def test_a_bad_text_to_train_on_names_its_own_option(tmp_path):
    with pytest.raises(InputError, match="it is a folder; give --train-text an existing"):
        read_documents(tmp_path, "--train-text")
