"""Results are kept a line each, and the table counts them."""

from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest

from tests.mutants.record import EQUIVALENT, Result, append, explanations, identity, read, score, table

RESULT = Result("id", "compress/a.py", 3, "NumberReplacer", "x = 1", "x = 2", "killed", 1.5, "test_a")
ROOT = EQUIVALENT.parents[2]


def results(**counts):
    return [replace(RESULT, outcome=outcome.replace("_", " ")) for outcome, n in counts.items() for _ in range(n)]


def test_results_come_back_and_a_torn_line_is_left_out(tmp_path):
    path = tmp_path / "build" / "results.jsonl"
    assert read(path) == {}
    append(path, RESULT)
    append(path, replace(RESULT, identity="other", outcome="survived"))
    with path.open("a") as file:
        file.write('{"identity": "torn')
    assert read(path) == {"id": RESULT, "other": replace(RESULT, identity="other", outcome="survived")}


def test_a_result_stands_until_the_mutated_file_or_a_test_changes(tmp_path):
    test, mutant = tmp_path / "test_a.py", SimpleNamespace(source="x = 2")
    test.write_text("first")
    first = identity(mutant, [test])
    assert first == identity(mutant, [test]) != identity(SimpleNamespace(source="x = 3"), [test])
    test.write_text("second")
    assert identity(mutant, [test]) != first


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"killed": 9, "survived": 1}, 0.9),
        ({"killed": 8, "timed_out": 1, "survived": 1}, 0.9),
        ({"killed": 9, "survived": 1, "explained": 10}, 0.9),
        ({"survived": 2}, 0.0),
    ],
)
def test_the_score_is_of_what_a_test_can_see(counts, expected):
    assert score(results(**counts)) == pytest.approx(expected)


def test_the_table_counts_by_folder_and_names_each_survivor():
    other = replace(RESULT, path="bench/verdict/b.py", outcome="survived", line=7)
    lines = table([RESULT, other], ["compress", "bench/verdict"]).splitlines()
    rows = {line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]] for line in lines[2:5]}
    assert rows["compress"] == ["1", "1", "0", "0", "0", "100.0%"]
    assert rows["bench/verdict"] == ["1", "0", "0", "1", "0", "0.0%"]
    assert rows["all"] == ["2", "1", "0", "1", "0", "50.0%"]
    assert lines[-3:] == ["bench/verdict/b.py:7 NumberReplacer", "  - x = 1", "  + x = 2"]


def test_every_explanation_is_of_a_line_that_there_is():
    for path, _, was, becomes in explanations():
        lines = [" ".join(line.split()) for line in (ROOT / path).read_text().splitlines()]
        assert was in lines and was != becomes, f"{path}: {was}"
    assert all(why.endswith(".") for why in explanations().values())


def test_names_of_mutants_are_read_as_results_have_them(tmp_path):
    path = tmp_path / "equivalent.toml"
    assert asdict(RESULT)["operator"] == RESULT.key[1]
    names = dict(zip(("path", "operator", "was", "becomes", "why"), (*RESULT.key, "It is."), strict=True))
    path.write_text("\n".join(["[[mutant]]", *(f"{name} = '{value}'" for name, value in names.items())]))
    assert explanations(path) == {RESULT.key: "It is."}
