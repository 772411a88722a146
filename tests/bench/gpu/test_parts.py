"""Folders that are carried in parts come out whole, or say which part is not."""

import subprocess
import sys

import pytest

from bench.gpu.parts import MANIFEST, DamagedPartsError, join, main, split
from tests.bench.sessions import ROOT


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "carried" / "assets").mkdir(parents=True)
    (tmp_path / "carried" / "assets" / "large.gguf").write_bytes(bytes(range(256)) * 200)
    (tmp_path / "carried" / "small.whl").write_bytes(b"wheel")
    return tmp_path / "carried"


@pytest.fixture
def parts(folder, tmp_path):
    split(folder, tmp_path / "parts", most=20_000)
    return tmp_path / "parts"


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_comes_out_as_it_went_in(folder, parts, tmp_path):
    join(parts, tmp_path / "joined")
    assert files(tmp_path / "joined") == files(folder)


def test_no_part_is_larger_than_asked_and_the_manifest_names_them_all(parts):
    made = sorted(parts.glob("part-*"))
    assert len(made) == 4
    assert max(part.stat().st_size for part in made) == 20_000
    text = (parts / MANIFEST).read_text()
    assert all(f'"{part.name}"' in text for part in made)


def test_splitting_again_leaves_no_part_of_the_last_time(folder, parts):
    (folder / "assets" / "large.gguf").unlink()
    split(folder, parts, most=20_000)
    assert [part.name for part in parts.glob("part-*")] == ["part-000"]


def test_missing_and_damaged_parts_are_named(parts, tmp_path):
    (parts / "part-001").unlink()
    (parts / "part-002").write_bytes(b"torn")
    said = r"^part-001 is missing, part-002 is damaged \(4 of 20,000 bytes\) in .*; carry over again what is named$"
    with pytest.raises(DamagedPartsError, match=said):
        join(parts, tmp_path / "joined")
    assert not (tmp_path / "joined").exists()


def test_parts_without_a_manifest_are_refused_in_a_sentence(tmp_path, capsys):
    assert main([str(tmp_path), str(tmp_path / "joined")]) == 1
    said = capsys.readouterr().err
    assert f"no {MANIFEST} in {tmp_path}" in said and len(said.splitlines()) == 1


def test_joining_needs_no_package(parts, tmp_path):
    command = [sys.executable, "-I", "-S", "-c", "import runpy, sys; sys.path.insert(0, '.'); "]
    command[-1] += "runpy.run_module('bench.gpu.parts', run_name='__main__')"
    done = subprocess.run([*command, parts, tmp_path / "joined"], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "joined" / "small.whl").read_bytes() == b"wheel"
