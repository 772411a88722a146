"""The command line names what changed, and answers bad input with a sentence."""

import pytest

from bench.report import __main__ as command
from bench.verdict.evidence import FILE, append, read
from tests.bench.report.synthetic import RUN, result


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "embedded"
    append(folder, dict(RUN))
    append(folder, result(variants=None))
    return folder


def test_equal_records_have_no_changes(folder, capsys):
    assert command.main(["--changes", str(folder), str(folder)]) == 0
    assert capsys.readouterr().out == "no verdict changed\n"


def test_a_strict_comparison_fails_where_a_row_went_missing(folder, tmp_path, capsys):
    append(tmp_path / "later", dict(RUN))
    append(tmp_path / "later", result("LC3-other"))
    assert command.main(["--changes", str(folder), str(tmp_path / "later")]) == 0
    assert command.main(["--changes", str(folder), str(tmp_path / "later"), "--strict"]) == 1
    said = capsys.readouterr()
    assert "LC1-magnitude-0.1: missing, was reproduced" in said.out
    assert said.err == f"rows that are missing, were not run or have a worse verdict than in {folder}: 1\n"


def test_folders_are_joined_by_name(folder, tmp_path):
    append(tmp_path / "later", dict(RUN))
    append(tmp_path / "later", result("LC3-other"))
    assert command.main(["--join", str(tmp_path / "both"), str(folder), str(tmp_path / "later")]) == 0
    assert set(read(tmp_path / "both").rows) == {"LC1-magnitude-0.1", "LC3-other"}


def test_pages_of_a_named_folder_are_written_and_no_index(folder, capsys):
    assert command.main([str(folder)]) == 0
    assert (folder / "README.md").is_file()
    assert not (folder.parent / "README.md").exists()
    assert capsys.readouterr().out == f"wrote {folder}\n"


def test_the_matrix_of_a_folder_is_printed(folder, capsys):
    assert command.main(["--matrix", str(folder)]) == 0
    assert capsys.readouterr().out.startswith("LC1 ")


def test_rows_of_an_earlier_version_are_named(folder, capsys, monkeypatch):
    monkeypatch.setattr(command, "stale_rows", lambda evidence: dict.fromkeys(evidence.rows, "its code changed"))
    assert command.main(["--stale", str(folder)]) == 0
    assert capsys.readouterr().out == f"{folder}: LC1-magnitude-0.1: its code changed\n"


@pytest.mark.parametrize("option", [[], ["--matrix"], ["--stale"]])
def test_a_folder_without_evidence_is_refused_in_a_sentence(tmp_path, capsys, option):
    assert command.main([*option, str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"no {FILE} in {tmp_path}; give a folder that pytest bench wrote\n"


def test_a_record_of_a_later_version_is_refused_in_a_sentence(folder, capsys):
    append(folder, RUN | {"format": 9})
    assert command.main([str(folder)]) == 2
    said = capsys.readouterr().err
    assert "is of format 9" in said
    assert len(said.splitlines()) == 1


def test_a_damaged_line_is_named_and_the_rest_is_shown(folder, capsys):
    with (folder / FILE).open("a") as file:
        file.write("{torn\n")
    assert command.main(["--matrix", str(folder)]) == 0
    shown = capsys.readouterr()
    assert shown.err == f"{folder / FILE} line 3 is damaged and left out\n"
    assert shown.out.startswith("LC1 ")
