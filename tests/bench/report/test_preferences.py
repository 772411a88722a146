from bench.report.preferences import section
from tests.bench.report.synthetic import evidence, result


def test_nothing_tuned_is_no_section() -> None:
    assert section(evidence(result())) == []


def test_a_line_for_each_student() -> None:
    arms = {
        "text, none": {"moved": 0.5, "accuracy": 0.8, "loss": 0.0},
        "text, preferences, rate 1": {"moved": 0.62, "accuracy": 0.912, "loss": None},
    }
    (text,) = section(evidence(result("SV19-a", details={"preferences": arms})))
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    assert [line for line in cells if line and line[0].startswith("text")] == [
        ["text, none", "50.0%", "80.0%", "1"],
        ["text, preferences, rate 1", "62.0%", "91.2%", "–"],
    ]
