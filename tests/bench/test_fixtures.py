"""Where an instrument's tests skip: too little text or time, and never for what the record shows."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bench.fixtures import enough, in_time, skip_unless_usable
from models.errors import InputError, TooLittleText


def instrument(*, measures: bool):
    store = SimpleNamespace(write=object() if measures else None)
    return SimpleNamespace(name="ladder", session=SimpleNamespace(store=store))


def raising(error):
    def look():
        raise error

    return look


def test_too_little_text_skips_what_measures_and_says_what_is_short():
    with pytest.raises(pytest.skip.Exception, match="ladder, cannot be measured here: 5 tokens more"):
        skip_unless_usable(instrument(measures=True), lambda: enough("5 tokens more"))


def test_an_instrument_with_all_that_it_needs_is_used():
    skip_unless_usable(instrument(measures=True), lambda: enough(""))


def test_the_record_is_shown_without_text():
    skip_unless_usable(instrument(measures=False), raising(TooLittleText("none")))


def test_only_errors_that_are_named_skip():
    class NoLayer(InputError):
        pass

    with pytest.raises(NoLayer):
        skip_unless_usable(instrument(measures=True), raising(NoLayer("no layer")))
    with pytest.raises(pytest.skip.Exception):
        skip_unless_usable(instrument(measures=True), raising(NoLayer("no layer")), NoLayer)


def test_an_effort_without_settings_skips_and_names_the_way_out():
    assert in_time(3) == 3
    with pytest.raises(pytest.skip.Exception, match="--effort=thorough"):
        in_time(None)
