"""The matrix says what the parts say, and controls say nothing."""

from bench.report import matrix
from bench.verdict.claims import CLAIMS
from bench.verdict.regions import Verdict
from tests.bench.report.synthetic import everything, evidence, result


def test_a_control_never_changes_a_verdict():
    own = result("LC1-magnitude-0.1"), result("LC1-wanda-0.1", "b")
    control = result("LC1-extra", "a", "not reproduced", control=True)
    claim = CLAIMS["LC1"]
    assert matrix.verdict_of(evidence(*own, control), claim) is matrix.verdict_of(evidence(*own), claim)
    assert matrix.parts_of(evidence(*own, control), claim) == matrix.parts_of(evidence(*own), claim)


def test_rows_that_count_come_before_controls_in_their_part():
    rows = result("LC1-b"), result("LC1-a", control=True), result("LC1-c", "b")
    assert [row.row for row in matrix.results_of(evidence(*rows), "LC1")] == ["LC1-b", "LC1-a", "LC1-c"]


def test_parts_are_said_together_where_they_agree():
    rows = (result("SV3-m", "a"), result("SV3-w", "b"), result("SV3-s", "d", "not reproduced"))
    assert matrix.parts_of(evidence(*rows), CLAIMS["SV3"]) == "a, b reproduced; c, e not run; d not reproduced"
    assert matrix.verdict_of(evidence(*rows), CLAIMS["SV3"]) is Verdict.PARTLY_REPRODUCED


def test_an_instrument_passes_or_does_not_qualify():
    assert matrix.word_of(result("INSTRUMENT-x", "")) == "passed"
    assert matrix.word_of(result("INSTRUMENT-x", "", "not reproduced")) == "did not qualify"
    assert matrix.word_of(result("CHECKPOINT-x", "", "not reproduced")) == "not cleared"
    assert matrix.word_of(result(verdict="inconclusive")) == "inconclusive"


def test_the_terminal_has_a_line_a_claim_in_a_hundred_columns_and_ends_with_counts():
    lines = matrix.summary(everything()).splitlines()
    assert max(map(len, lines)) <= matrix.WIDTH
    assert lines[0].split()[:2] == ["LC1", "inconclusive"]
    assert lines[-1].startswith(f"{len(CLAIMS)} claims: ")
    assert "INSTRUMENT: 1 passed" in lines


def test_the_terminal_says_what_is_on_record():
    record = evidence(result("KP2-rank"))
    assert "on record" in matrix.summary(record, {"KP2-rank"})
    assert "on record" not in matrix.summary(record)


def test_counts_add_up_to_all_claims():
    lines = matrix.counts(everything()).splitlines()[2:]
    numbers = [int(cell) for line in lines for cell in line.replace("–", "0").split("|")[2:-1]]
    assert sum(numbers) == len(CLAIMS)


def test_the_full_matrix_has_a_row_for_every_claim():
    text = matrix.full({"embedded": everything()})
    assert all(text.count(f"| {claim} ") == 1 for claim in CLAIMS)


def test_every_folder_has_a_column_and_what_a_claim_waits_for_is_said_where_none_has_it():
    folders = {"embedded": evidence(result("KP2-rank")), "embedded-books": evidence(result("LC1-wanda-0.1", "b"))}
    lines = matrix.full(folders, linked=True).splitlines()
    cells = {line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[3:-1]] for line in lines}
    assert cells["claim"] == ["[embedded](embedded/README.md)", "[embedded-books](embedded-books/README.md)"]
    assert cells["LC1"] == ["*not run*", "**inconclusive**: a not run; b reproduced"]
    assert cells["KP2"][1] == "*not run*" and cells["KP4"][0].startswith("*not run*: run `pytest bench`")
