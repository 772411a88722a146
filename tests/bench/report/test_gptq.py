"""The section on plain GPTQ and rounding: there with its rows, and true to their numbers."""

from dataclasses import replace

from bench.report.gptq import why_rounding_wins
from tests.bench.report.synthetic import evidence, result


def ratio(name, value):
    return result(name, value=value, low=value - 0.01, high=value + 0.01, accept_low=1.0, accept_high=None)


def rows(plain=0.9, patched=1.2, bits=4):
    return (ratio(f"SV9-rtn-over-gptq-w{bits}", plain), ratio(f"SV9-gptq-over-first-values-dense-w{bits}", patched))


def test_it_stands_where_plain_gptq_loses_and_the_patch_was_measured():
    (section,) = why_rounding_wins(evidence(*rows(), ratio("SV9-rtn-over-gptq-first-tokens-w4", 1.15)))
    assert section.startswith("## Why plain GPTQ does not beat rounding here")
    assert "0.90 of plain GPTQ's perplexity and 1.08 of it" in section
    assert "these values alone make the difference" in section and "it has 1.15 of GPTQ's" in section
    assert "rounding over GPTQ by its authors' recipe" not in section


def test_a_loss_that_may_be_none_is_said_to_be_unsure():
    plain, patched = rows(plain=0.95)
    (section,) = why_rounding_wins(evidence(replace(plain, high=1.002), patched))
    assert "0.95 of plain GPTQ's perplexity, not surely less, and" in section


def test_values_that_do_not_make_up_for_it_are_a_part():
    (section,) = why_rounding_wins(evidence(*rows(patched=1.05)))
    assert "these values are a part of the difference" in section


def test_a_patch_without_a_clear_effect_explains_nothing():
    (section,) = why_rounding_wins(evidence(*rows(patched=1.005)))
    assert "is undecided" in section


def test_widths_stand_side_by_side_and_only_those_that_lose_are_explained():
    (section,) = why_rounding_wins(evidence(*rows(), *rows(plain=1.3, bits=3)))
    assert "| 4 bits" in section and "| 3 bits" in section and "At 3 bits" not in section


def test_it_is_left_out_without_its_rows_or_where_gptq_wins():
    assert why_rounding_wins(evidence()) == []
    assert why_rounding_wins(evidence(rows()[0])) == []
    assert why_rounding_wins(evidence(*rows(plain=1.1))) == []
    unmeasured = result("SV9-rtn-over-gptq-w4", verdict="not run", value=None, low=None, high=None)
    assert why_rounding_wins(evidence(unmeasured, rows()[1])) == []
    doubted = replace(rows()[0], doubt="one calibration sample")
    assert why_rounding_wins(evidence(doubted, rows()[1])) == []
