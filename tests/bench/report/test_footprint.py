import json

import numpy as np

from bench.report.footprint import PLOT, comparison_of
from bench.report.pages import View
from bench.report.write import rendered
from bench.verdict.evidence import Origin, Variant
from tests.bench.report.synthetic import evidence, result


def sized(family: str, size: float, loss: float) -> Variant:
    losses = np.array([3.0, 3.2]) + loss + np.array([-0.01, 0.01])
    arrays = {
        "loss": losses,
        "dense_loss": np.array([3.0, 3.2]),
        "kl": np.array([loss, loss * 1.1]) + 1e-3,
        "agreement": np.array([0.9, 0.8]),
        "bytes": np.array(size),
        "seconds": np.array(2.0),
    }
    name = f"{family}: m-{size:g}"
    return Variant(name, "footprint", {}, "", [], "", Origin(effort="normal"), arrays, label=name)


def footprints(*, details: dict | None = None):
    variants = [sized("early", 1e6, 0.3), sized("early", 4e6, 0.2), sized("late", 1e6, 0.5), sized("late", 4e6, 0.0)]
    keys = {variant.key: variant for variant in variants}
    row = result("SV20-families-cross", variants=list(keys), details=details or {})
    return evidence(row, variants=keys)


def test_a_run_without_footprints_has_no_such_page() -> None:
    assert comparison_of(evidence(result())) is None
    assert "footprint.md" not in rendered(View(evidence(result())), "embedded")


def test_page_plot_and_json_say_the_same() -> None:
    files = rendered(View(footprints()), "embedded")
    page, content = files["footprint.md"].decode(), json.loads(files["footprint.json"])
    assert PLOT in files
    assert [best["family"] for best in content["best"]][:: len(content["best"]) - 1] == ["early", "late"]
    (crossing,) = content["crossings"]
    assert (crossing["below"], crossing["above"]) == ("early", "late")
    assert 1.9e6 < crossing["bytes"]["value"] < 2.1e6
    assert [point["on_front"] for point in content["points"]] == [True, False, False, True]
    assert "| early   | late    |" in page
    assert page.count("**m-") == 2


def test_families_that_a_model_does_not_take_are_named() -> None:
    files = rendered(View(footprints(details={"refused": {"Kronecker sums": "8 x 8 does not divide 9 x 9"}})), "m")
    assert "- Kronecker sums: 8 x 8 does not divide 9 x 9" in files["footprint.md"].decode()
