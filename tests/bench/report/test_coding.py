"""Deep Compression's table: a cell a setting, rates against 32 bits."""

from bench.report.coding import curve

KNOWN = {
    "deep-compression-0.1-8bits": {"ratio": 1.01, "bits_per_weight": 8.0},
    "deep-compression-0.1-5bits": {"ratio": 1.2, "bits_per_weight": 4.0},
    "deep-compression-0.9-5bits": {"ratio": 1.2e7, "bits_per_weight": 0.8},
    "rtn-w4-g128": {"ratio": 1.5, "bits_per_weight": 4.3},
}


def test_a_cell_a_setting():
    (section,) = curve(KNOWN)
    assert "4.0 times, 1.01" in section and "8.0 times, 1.2 " in section and "40.0 times, over 10,000" in section
    assert section.count("–") == 1 and "rtn" not in section  # 90 % with 8 bits was not measured


def test_one_setting_is_no_curve():
    assert curve({name: KNOWN[name] for name in ("deep-compression-0.9-5bits", "rtn-w4-g128")}) == []
