"""Tables of low rank: a line a share, a column a weighting, and the starts of feature distillation."""

from types import SimpleNamespace

from bench.report.low_rank import sections

KNOWN = {
    "svd-0.9": {"ratio": 6.4e4, "packed_bytes": 4e6},
    "fisher-svd-0.9": {"ratio": 900.0, "packed_bytes": 4e6},
    "svd-0.5-q-k-o-out": {"ratio": 4.112, "packed_bytes": 5e6},
    "low-rank-0.05-and-sparse-0.7": {"ratio": 2.0, "packed_bytes": 1e6},
}
START = {"bytes": 2e6, "perplexity_ratio": 1.25, "rate": 1e-3, "error_before": 0.5, "error_after": 0.125}


def evidence(**features):
    return SimpleNamespace(rows={"SV8": SimpleNamespace(details={"features": features} if features else {})})


def test_a_line_a_share_and_choice_of_layers():
    (section,) = sections(KNOWN, evidence())
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if "%" in line]
    assert lines == [
        ["all", "90%", "4.0", "over 10,000", "900", "–"],
        ["q, k, o, out", "50%", "5.0", "4.11", "–", "–"],
    ]


def test_one_share_is_no_table():
    assert sections({"svd-0.9": KNOWN["svd-0.9"]}, evidence()) == []


def test_starts_stand_with_their_errors():
    bare = START | {"rate": None, "error_before": None, "error_after": None, "perplexity_ratio": 40.0}
    (section,) = sections({}, evidence(**{"svd-0.6": bare, "svd-0.6-distilled": START}))
    assert "0.5 → 0.125" in section and section.index("40") < section.index("1.25") and section.count("–") == 2
