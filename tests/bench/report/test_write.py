"""Pages are a pure function of evidence, and go nowhere but into its folder."""

import pytest

from bench.report.write import CLOSE, OPEN, fill_counts, write, write_counts, write_index
from bench.verdict.evidence import FILE, append
from tests.bench.report.synthetic import RUN, everything, evidence, result


def fill(folder, record):
    append(folder, dict(RUN))
    for row in record.rows.values():
        append(folder, row)
    return folder


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write(fill(tmp_path_factory.mktemp("reports") / "embedded", everything()))


def test_equal_evidence_gives_equal_bytes(written):
    folder = written[0].parent
    first = contents(folder)
    assert {path.suffix for path in written} == {".json", ".md", ".png"}
    write(folder)
    assert contents(folder) == first


def test_nothing_outside_the_folder_is_written(tmp_path):
    folder = fill(tmp_path / "reports" / "embedded", evidence(result()))
    mine = folder.parent / "README.md"
    mine.write_text("mine")
    written = write(folder)
    assert {path.parent for path in written} == {folder}
    assert mine.read_text() == "mine"
    assert {path.name for path in folder.parent.iterdir()} == {"embedded", "README.md"}


def test_every_plot_is_shown_and_every_shown_plot_is_written(written):
    text = "".join(path.read_text() for path in written if path.suffix == ".md")
    shown = {part.split(")")[0] for part in text.split("](")[1:]}
    assert {path.name for path in written} == shown | {"README.md", "checkpoint.json"}


def test_the_forest_plot_is_first_on_its_page(written):
    page = (written[0].parent / "long-context.md").read_text()
    assert page.index("long-context-forest.png") < page.index("## LC1")


def test_what_a_run_did_not_measure_is_shown_from_the_record(tmp_path):
    own = fill(tmp_path / "local", evidence(result()))
    write(own, record=evidence(result(value=1.05), result("LC1-wanda-0.1", "b")))
    page = (own / "long-context.md").read_text()
    assert "1.00 [0.90, 1.10]" in page
    assert "LC1-wanda-0.1" in page
    assert page.count("on record, 2026-01-02") == 1


def test_damaged_lines_are_named_on_stderr_and_on_the_page(tmp_path, capsys):
    folder = fill(tmp_path, evidence(result()))
    with (folder / FILE).open("a") as file:
        file.write('{"kind": "row", "row": "LC\n')
    number = len((folder / FILE).read_text().splitlines())
    write(folder)
    assert f"{folder / FILE} line {number} is damaged and left out" in capsys.readouterr().err
    assert f"line {number} is damaged and left out" in (folder / "README.md").read_text()


def test_the_index_holds_the_record_and_not_a_users_runs(tmp_path):
    fill(tmp_path / "embedded", everything())
    fill(tmp_path / "local" / "embedded", everything())
    fill(tmp_path / "local", everything())
    text = write_index(tmp_path).read_text()
    assert "[embedded](embedded/README.md)" in text
    assert "local" not in text


def test_a_folder_that_cannot_be_read_does_not_stop_the_index(tmp_path, capsys):
    fill(tmp_path / "embedded", everything())
    append(tmp_path / "other", RUN | {"format": 9})
    text = write_index(tmp_path).read_text()
    assert "other is left out" in text
    assert "[embedded]" in text
    assert "is of format 9" in capsys.readouterr().err


def test_counts_are_filled_in_between_their_markers_and_twice_is_once(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n\n{OPEN}\nold\n{CLOSE}\n\nafter\n")
    fill_counts(readme, everything())
    once = readme.read_text()
    assert once.startswith(f"before\n\n{OPEN}\n| paper")
    assert once.endswith(f"{CLOSE}\n\nafter\n")
    assert "old" not in once
    fill_counts(readme, everything())
    assert readme.read_text() == once


def test_a_page_without_markers_is_refused_and_kept(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("text")
    with pytest.raises(ValueError, match="put both where the counts belong"):
        fill_counts(readme, everything())
    assert readme.read_text() == "text"


def test_counts_are_of_the_suites_own_model_and_the_most_effort(tmp_path):
    """A row that another text has with more effort counts as it has it; another model's and a user's never do."""
    readme, wanted = tmp_path / "README.md", tmp_path / "wanted.md"
    for page in (readme, wanted):
        page.write_text(f"{OPEN}\n{CLOSE}\n")
    fill(tmp_path / "embedded", evidence(result("KP13-x", verdict="inconclusive")))
    fill(tmp_path / "embedded-books", evidence(result("KP13-x", effort="thorough")))
    fill(tmp_path / "embedded-wiki", evidence(result("KP13-x", verdict="not reproduced", effort="quick")))
    fill(tmp_path / "gpu", everything())
    fill(tmp_path / "local", everything())
    assert write_counts(readme, tmp_path)
    fill_counts(wanted, evidence(result("KP13-x")))
    assert readme.read_text() == wanted.read_text()


@pytest.mark.parametrize("text", [None, "a page of one's own"])
def test_a_first_page_without_a_place_for_counts_stays(tmp_path, text):
    readme = tmp_path / "README.md"
    if text is not None:
        readme.write_text(text)
    assert not write_counts(readme, tmp_path)
    assert (readme.read_text() if readme.exists() else None) == text
