"""Windows that checkpoints are judged on: as long as asked where the text has it, as long as it has where not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.checkpoint.windows import FEWEST, first_windows
from models.data.text import Document
from models.errors import InputError


def words(text, **_options):
    return {"input_ids": [int(word) for word in text.split()]}


def documents(*lengths):
    return [Document("", " ".join(str(1000 * place + i) for i in range(own))) for place, own in enumerate(lengths)]


@given(st.lists(st.integers(1, 60), min_size=2, max_size=9), st.integers(FEWEST, 40), st.integers(2, 6))
def test_windows_are_beginnings_of_one_length(lengths, length, most):
    if sorted(lengths)[-2] < FEWEST:
        with pytest.raises(InputError, match="two of at least 16"):
            first_windows(documents(*lengths), words, length, most)
        return
    windows = first_windows(documents(*lengths), words, length, most)
    count, own = windows.shape
    assert 2 <= count <= most and FEWEST <= own <= length
    assert all((window - window[0]).tolist() == list(range(own)) and window[0] % 1000 == 0 for window in windows)


def test_windows_are_as_long_as_asked_where_two_documents_are():
    assert first_windows(documents(50, 50, 20, 20), words, 40, 4).shape == (2, 40)


def test_windows_are_shorter_where_no_two_documents_are_long_enough():
    assert first_windows(documents(50, 30, 25, 20, 5), words, 40, 3).shape == (3, 25)


def test_a_text_twice_counts_once():
    with pytest.raises(InputError, match="1 document"):
        first_windows(documents(50) * 2, words, 40, 4)
