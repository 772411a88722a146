"""Folders of runs: a name for every scale, model and text."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.options import folders


@pytest.mark.parametrize(
    ("options", "scale", "name"),
    [
        ({}, "embedded", "embedded"),
        ({"text": Path("/data/books.txt.xz")}, "embedded", "embedded-books"),
        ({"text": Path("books.jsonl")}, "gpu", "gpu-books"),
        ({"text": Path("books.txt"), "dtype": "bfloat16"}, "embedded", "embedded-books-bfloat16"),
        ({"text": Path("books.txt"), "model": "a/folder"}, "embedded", "folder"),
    ],
)
def test_a_run_of_ones_own_text_has_a_folder_of_its_own(tmp_path, options, scale, name):
    chosen = {"effort": "normal", "dtype": "float32", **options}
    place = folders(SimpleNamespace(getoption=chosen.get, rootpath=tmp_path), scale)
    assert place.run == tmp_path / "reports" / "local" / name and place.record is None
