"""A machine without the packages that few rows need says which one is missing, and runs the rest."""

import sys

import pytest

from bench.measure.hub import hub_rows
from models.data import embedded
from models.errors import InputError
from models.packages import installed, needed


def without(monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)


def test_what_is_installed_is_imported():
    assert installed("json")
    assert needed("json", "this test").loads("[1]") == [1]


def test_a_missing_package_is_named_with_the_command_that_installs_it():
    with pytest.raises(InputError, match=r"^a test needs the package no-such, which is not installed; run: .*no-such$"):
        needed("no_such", "a test", package="no-such")


def test_what_a_package_itself_lacks_is_not_taken_for_the_package(monkeypatch, tmp_path):
    (tmp_path / "broken_package.py").write_text("import absent_dependency\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="absent_dependency"):
        needed("broken_package", "a test")


def test_wiki_markup_without_its_parser_is_a_sentence(monkeypatch):
    without(monkeypatch, "mwparserfromhell")
    with pytest.raises(InputError, match=r"Wikipedia sample needs the package mwparserfromhell.*pip install"):
        embedded.plain_text("''a''")


def test_a_gguf_file_without_gguf_is_a_sentence(monkeypatch, tmp_path):
    without(monkeypatch, "gguf")
    monkeypatch.setenv("LM_COMPRESSION_BENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    with pytest.raises(InputError, match=r"opening model\.gguf needs the package gguf.*pip install gguf"):
        embedded.dequantized(tmp_path / "model.gguf", "0" * 64)


def test_a_dataset_without_datasets_is_a_sentence(monkeypatch):
    without(monkeypatch, "datasets")
    with pytest.raises(InputError, match=r"reading a/b from the hub needs the package datasets.*pip install datasets"):
        hub_rows("a/b", None, "test")
