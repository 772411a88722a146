from bench.report.preferences import section
from tests.bench.report.synthetic import evidence, result


def test_nothing_tuned_is_no_section() -> None:
    assert section(evidence(result())) == []


def test_a_line_for_each_student() -> None:
    arms = {
        "text, none": {"accuracy": 0.8, "loss": 0.0},
        "text, preferences, rate 1": {"accuracy": 0.912, "loss": None},
    }
    (text,) = section(evidence(result("SV19-a", details={"preferences": arms})))
    assert "| text, none                | 80.0%" in text
    assert "| text, preferences, rate 1 | 91.2%                             | –" in text
