"""Pages say what is measured, what is accepted, where it comes from, and nothing twice."""

from bench.report.pages import Footnotes, View, claim_section, overview, paper_page
from bench.verdict.claims import CLAIMS, LONG_CONTEXT
from bench.verdict.entries import EARLIER
from tests.bench.report.synthetic import evidence, result


def section(*rows, claim="LC1", **view):
    notes = Footnotes()
    text = claim_section(View(evidence(*rows), **view), CLAIMS[claim], notes, {})
    return text, notes.written()


def test_a_claim_shows_its_sentence_its_parts_and_its_rows():
    text, _ = section(result(), result("LC1-wanda-0.1", "b", "not reproduced"))
    assert text.startswith("## LC1: partly reproduced\n\n> Fig. 1: Magnitude and Wanda pruning")
    assert "- b, *not reproduced*: Wanda: flat at every sparsity." in text
    assert "0.8 to 1.25: **reproduced**" in text


def test_a_shared_statistic_is_said_once_above_the_table():
    text, _ = section(result(), result("LC1-magnitude-0.3"), result("LC1-wanda-0.1", "b"))
    assert text.count("KL at 8 over KL at 4") == 1


def test_a_statistic_of_one_row_stands_in_it():
    text, _ = section(result(), result("LC1-magnitude-0.3", statistic="another"))
    assert "`LC1-magnitude-0.3`: another" in text


def test_tables_of_claims_have_three_columns():
    text, _ = section(result(), result("LC1-wanda-0.1", "b", statistic="another"))
    assert {line.count("|") for line in text.splitlines() if line.startswith("|")} == {4}


def test_equal_reasons_are_one_footnote():
    undecided = {"verdict": "inconclusive", "reason": "it straddles"}
    text, notes = section(result(**undecided), result("LC1-magnitude-0.3", **undecided))
    assert text.count("[^1]") == 2
    assert notes == "[^1]: it straddles."


def test_a_control_is_called_one_and_does_not_change_the_verdict():
    rows = result(), result("LC1-wanda-0.1", "b")
    text, _ = section(*rows, result("LC1-extra", verdict="not reproduced", control=True))
    assert text.startswith("## LC1: reproduced")
    assert "`LC1-extra` (control)" in text


def test_a_row_of_an_earlier_version_is_marked():
    text, notes = section(result(variants=None), result("LC1-wanda-0.1", "b"), result("LC1-z"))
    assert text.count("[^1]") == 1
    assert "`LC1-magnitude-0.1` (earlier version)" in text
    assert text.index("LC1-z") < text.index("LC1-magnitude-0.1"), "rows that vote come first"
    assert EARLIER in notes


def test_a_row_whose_code_has_changed_is_marked_with_the_reason():
    _, notes = section(result(), stale={"LC1-magnitude-0.1": "its code has changed"})
    assert notes == "[^1]: its code has changed."


def test_a_row_of_the_record_is_marked_with_its_day():
    _, notes = section(result(), recorded=frozenset({"LC1-magnitude-0.1"}))
    assert notes == "[^1]: on record, 2026-01-02, normal effort."


def test_what_holds_for_every_row_is_said_once_at_the_top():
    rows = result(variants=None), result("LC2-x", variants=None)
    text = paper_page(View(evidence(*rows)), LONG_CONTEXT, "", [])
    assert text.count(EARLIER) == 1
    assert "[^" not in text


def test_a_page_ends_with_what_it_was_measured_on():
    row = result(model_sha256="a" * 64, text="t", text_sha256="b" * 64, protocol="windows", documents=7)
    text = paper_page(View(evidence(row)), LONG_CONTEXT, "", [])
    footer = text[text.index("## Measured on") :]
    for said in ("`m` (sha256 aaaaaaaaaaaa)", "7 scored", "- LC1: windows", "torch 2, transformers 5, Python 3.11"):
        assert said in footer


def test_claims_without_rows_say_what_they_wait_for():
    text = paper_page(View(evidence()), LONG_CONTEXT, "", [])
    assert "run `pytest bench`" in text[text.index("## Not run") :]


def test_damaged_lines_are_named_on_the_overview():
    record = evidence(result(), damaged={3: "{torn"})
    assert "evidence.jsonl line 3 is damaged and left out" in overview(View(record), "embedded", {})


def test_pipes_in_a_statistic_do_not_break_a_table():
    text, _ = section(result(), result("LC1-magnitude-0.3", statistic="KL(p|q)"))
    assert "KL(p\\|q)" in text
