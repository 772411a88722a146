"""Movie reviews: a text is learned from or scored, never both, and the split is the texts' own."""

import pytest

from models.data.reviews import split_reviews
from models.errors import InputError

SHORT = [{"text": f"a short one , number {i}", "label": str(i % 2), "source": "rotten_tomatoes"} for i in range(40)]
LONG = [{"text": f"a long<br />one {i}", "label": "1", "source": "imdb"} for i in range(10)]


def test_parts_share_no_text():
    task = split_reviews([*SHORT, *SHORT, *LONG], test=10, shifted=5)
    parts = [{text for text, _ in part} for part in (task.train, task.test, task.shifted)]
    assert [len(part) for part in parts] == [30, 10, 5]
    assert len(set.union(*parts)) == 45


def test_the_split_does_not_depend_on_the_order_of_the_file():
    rows = [*SHORT, *LONG]
    assert split_reviews(rows, test=10, shifted=5) == split_reviews(rows[::-1], test=10, shifted=5)


def test_fewer_scored_texts_are_a_part_of_more():
    few, many = (split_reviews([*SHORT, *LONG], test=count, shifted=count) for count in (4, 8))
    assert (many.test[:4], many.shifted[:4]) == (few.test, few.shifted)


def test_long_reviews_come_without_markup():
    assert all("<" not in text for text, _ in split_reviews([*SHORT, *LONG], test=1, shifted=10).shifted)


def test_more_reviews_than_there_are_are_refused():
    with pytest.raises(InputError, match=r"40 short reviews and 1 long ones were to be scored .* leave some"):
        split_reviews([*SHORT, *LONG], test=40, shifted=1)
