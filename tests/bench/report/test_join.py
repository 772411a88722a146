"""Nights of a card and jobs of a night in one record."""

from bench.report.join import join
from bench.verdict.evidence import append, read
from tests.bench.report.synthetic import RUN, result


def folder(path, *rows, run="r1"):
    append(path, RUN | {"run": run})
    for row in rows:
        append(path, row)
    return path


def test_jobs_of_a_night_are_one_record(tmp_path):
    jobs = [folder(tmp_path / "a", result("LC1-a")), folder(tmp_path / "b", result("KP1-b", run="r2"), run="r2")]
    joined = join(tmp_path / "night", [read(job) for job in jobs])
    assert set(joined.rows) == {"LC1-a", "KP1-b"}
    assert set(joined.runs) == {"r1", "r2"}


def test_a_later_night_replaces_what_it_measured_and_leaves_the_rest(tmp_path):
    record = folder(tmp_path / "record", result("LC1-a"), result("LC2-b"))
    tonight = folder(tmp_path / "tonight", result("LC1-a", verdict="inconclusive", run="r2"), run="r2")
    rows = join(record, [read(tonight)]).rows
    assert {name: row.verdict for name, row in rows.items()} == {"LC1-a": "inconclusive", "LC2-b": "reproduced"}


def test_what_is_on_record_is_never_replaced_by_a_row_that_was_not_run(tmp_path):
    record = folder(tmp_path / "record", result("LC1-a"))
    tonight = folder(tmp_path / "tonight", result("LC1-a", verdict="not run", value=None))
    assert join(record, [read(tonight)]).rows["LC1-a"].verdict == "reproduced"
