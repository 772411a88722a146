"""The record: to full precision, whole after any interruption, and never replaced by less."""

import math
import multiprocessing
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from bench.verdict.evidence import (
    FILE,
    DamagedRecord,
    Evidence,
    Origin,
    Result,
    Variant,
    append,
    compact,
    outranks,
    read,
)
from bench.verdict.lines import line_of

ROW = Result("LC1-x", "LC1", "a", "reproduced", value=1.0, low=0.9, high=1.1, effort="normal", variants=[], run="r")
RUN = {"run": "r", "format": 2, "started": "now", "options": {}}
VARIANT = Variant(
    "curve",
    "long context",
    {"contexts": [1, 2]},
    "m:at",
    ["m:f"],
    "0" * 64,
    Origin("embedded", "normal"),
    {"kl": np.array([[0.1, np.nan]], dtype=np.float32)},
    run="r",
)


def test_a_record_comes_back(tmp_path):
    for entry in (RUN, VARIANT, ROW):
        append(tmp_path, entry)
    evidence = read(tmp_path)
    assert evidence.rows == {"LC1-x": ROW} and evidence.runs == {"r": RUN}
    (variant,) = evidence.variants.values()
    assert variant.key == "long context, normal: curve" and replace(variant, arrays={}) == replace(VARIANT, arrays={})
    np.testing.assert_array_equal(variant.arrays["kl"], VARIANT.arrays["kl"])


def test_a_torn_last_line_harms_nothing_and_the_next_entry_is_whole(tmp_path):
    append(tmp_path, RUN)
    append(tmp_path, ROW)
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes() + line_of(replace(ROW, row="LC2-y")).encode()[:40])
    assert set(read(tmp_path).rows) == {"LC1-x"}
    append(tmp_path, replace(ROW, row="LC3-z"))
    evidence = read(tmp_path)
    assert set(evidence.rows) == {"LC1-x", "LC3-z"} and list(evidence.damaged) == [3]


@pytest.mark.parametrize(
    "line", ["not JSON", "[1, 2]", '{"a": 1}', '{"kind": "song"}', '{"kind": "row"}', "12", "\x00"]
)
def test_a_damaged_line_is_kept_apart_and_lost_by_nothing(tmp_path, line):
    append(tmp_path, RUN)
    with (tmp_path / FILE).open("a") as file:
        file.write(f"{line}\n\n")
    append(tmp_path, ROW)
    assert read(tmp_path).damaged == {2: line} and set(read(tmp_path).rows) == {"LC1-x"}
    compact(tmp_path)
    after = read(tmp_path)
    assert list(after.damaged.values()) == [line] and set(after.rows) == {"LC1-x"}


def test_valid_json_may_hold_line_separators(tmp_path):
    odd = replace(ROW, reason="one\u2028two\u0085three\x0bfour")
    append(tmp_path, odd)
    assert read(tmp_path).rows["LC1-x"].reason == odd.reason and not read(tmp_path).damaged


def test_a_record_of_a_later_version_is_refused(tmp_path):
    append(tmp_path, RUN | {"format": 3})
    with pytest.raises(DamagedRecord, match=r"format 3 .* reads up to 2; update"):
        read(tmp_path)


def test_a_record_that_cannot_be_opened_is_named(tmp_path):
    (tmp_path / FILE).mkdir()
    with pytest.raises(DamagedRecord, match=r"evidence\.jsonl cannot be read .*; move it away"):
        read(tmp_path)


def test_bytes_that_are_no_text_are_kept_as_they_are(tmp_path):
    append(tmp_path, ROW)
    with (tmp_path / FILE).open("ab") as file:
        file.write(b"\xff\xfe\x00\n")
    compact(tmp_path)
    assert (tmp_path / FILE).read_bytes().endswith(b"\n\xff\xfe\x00\n") and set(read(tmp_path).rows) == {"LC1-x"}


def test_compacting_keeps_the_latest_of_each_name_and_is_idempotent(tmp_path):
    for run in ("old", "r"):
        append(tmp_path, RUN | {"run": run})
        append(tmp_path, replace(ROW, value=float(len(run)), run=run))
    compact(tmp_path)
    once = (tmp_path / FILE).read_bytes()
    assert read(tmp_path).rows["LC1-x"].value == 1.0 and set(read(tmp_path).runs) == {"r"}
    compact(tmp_path)
    assert (tmp_path / FILE).read_bytes() == once


def _write(folder, name, count):
    for number in range(count):
        append(folder, replace(ROW, row=f"{name}-{number}", reason="x" * 5000))


def test_two_runs_at_once_lose_nothing(tmp_path):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_write, args=(tmp_path, name, 20)) for name in ("first", "second")]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    evidence = read(tmp_path)
    assert len(evidence.rows) == 40 and not evidence.damaged


@pytest.mark.parametrize(
    ("new", "old", "may"),
    [
        ("normal", "normal", True),
        ("thorough", "normal", True),
        ("normal", "thorough", False),
        ("quick", "normal", False),
    ],
)
def test_a_row_of_lower_effort_never_outranks_one_of_higher(new, old, may):
    assert outranks(replace(ROW, effort=new), replace(ROW, effort=old)) is may
    assert outranks(replace(ROW, effort=new), replace(ROW, effort=old, verdict="not run"))
    assert not outranks(replace(ROW, effort=new, verdict="not run"), replace(ROW, effort=old))


def test_evidence_over_a_record_takes_the_higher_effort_of_each_row():
    record = Evidence({"a": replace(ROW, row="a", effort="thorough"), "b": replace(ROW, row="b")})
    fresh = Evidence({"a": replace(ROW, row="a", value=2.0), "b": replace(ROW, row="b", value=2.0)})
    both = fresh.over(record)
    assert (both.rows["a"].value, both.rows["b"].value) == (1.0, 2.0)


def test_what_json_cannot_hold_is_none(tmp_path):
    append(tmp_path, replace(ROW, high=math.inf, details={"curve": [1.0, math.nan]}))
    row = read(tmp_path).rows["LC1-x"]
    assert row.high is None and row.details == {"curve": [1.0, None]}


def test_runs_and_variants_of_both_are_kept_and_this_ones_go_first():
    mine, theirs = (replace(VARIANT, seconds=seconds) for seconds in (1.0, 2.0))
    record = Evidence({}, {"old": RUN, "r": RUN | {"started": "then"}}, {mine.key: theirs, "other": VARIANT}, {7: "x"})
    both = Evidence({}, {"r": RUN}, {mine.key: mine}, {3: "y"}).over(record)
    assert both.runs == {"old": RUN, "r": RUN} and both.variants == {mine.key: mine, "other": VARIANT}
    assert both.damaged == {3: "y"}


def test_rows_that_only_one_of_two_has_are_kept():
    mine, theirs = (Evidence({name: replace(ROW, row=name)}) for name in "ab")
    assert set(mine.over(theirs).rows) == set(theirs.over(mine).rows) == {"a", "b"}
    equal = Evidence({"a": replace(ROW, row="a", value=5.0)})
    assert equal.over(mine).rows["a"].value == 5 and mine.over(equal).rows["a"].value == 1


def test_a_folder_without_a_record_is_empty_and_is_made_when_something_is_added(tmp_path):
    folder = tmp_path / "new" / "folder"
    assert read(folder) == Evidence() and not folder.exists()
    for _ in range(2):
        append(folder, ROW)
    assert (folder / FILE).read_text().count("\n") == 2 and set(read(folder).rows) == {"LC1-x"}


def test_compacting_keeps_the_runs_of_variants_as_well_as_of_rows(tmp_path):
    for run in ("row's", "variant's", "nobody's"):
        append(tmp_path, RUN | {"run": run})
    append(tmp_path, replace(ROW, run="row's"))
    append(tmp_path, replace(VARIANT, run="variant's"))
    compact(tmp_path)
    evidence = read(tmp_path)
    assert set(evidence.runs) == {"row's", "variant's"} and len(evidence.rows) == len(evidence.variants) == 1


def test_evidence_cannot_be_exchanged():
    with pytest.raises(FrozenInstanceError):
        Evidence().rows = {}
