"""Section on outlier features: what stands where, and nothing without the dense model."""

import numpy as np
import pytest

from bench.report.outliers import PLOT, magnitudes_of, section, where
from bench.report.plots import png
from bench.verdict.evidence import Origin, Variant
from tests.bench.report.synthetic import evidence


def arrays(largest=((400.0, 50.0), (900.0, 50.0))):
    """Two documents of two layers with the median 2."""
    values = np.array(largest)
    return {
        "hidden largest": values,
        "hidden later": values / 10,
        "hidden median": np.full_like(values, 2.0),
        "hidden feature": np.array([[7, 3], [7, 4]]),
        "hidden position": np.array([[0, 5], [0, 0]]),
    }


def known(*labels):
    made = [Variant(label, "outliers", {}, "", [], "", Origin(), arrays(), label=label) for label in labels]
    return evidence(variants={variant.key: variant for variant in made})


def test_what_stands_where_by_hand():
    said = " ".join(where(arrays()).split())
    # Geometric means over documents: 600 / 2 in the first block, 50 / 2 in the second.
    assert "100 times the median or more in 1 of 2 blocks, up to 300 times (block 0)" in said
    assert "at position 0 in 100% of the cases, and in feature 7 in 100%" in said
    assert "After position 0 it is 30 times the median at most" in said
    low = arrays(((4.0, 50.0), (4.0, 50.0)))
    assert where(low) == "The largest is nowhere 100 times the median; it is 25 times at most."


def test_the_dense_model_comes_first_and_without_it_there_is_no_section():
    assert list(magnitudes_of(known("a", "dense", "b"))) == ["dense", "a", "b"]
    assert section(known("a")) == ([], {}) == section(evidence())


@pytest.mark.parametrize("labels", [("dense",), ("dense", "rtn-w4-g128", "wanda-0.5")])
def test_the_plot_is_drawn_and_named(labels):
    (text,), figures = section(known(*labels))
    assert f"({PLOT})" in text and png(figures[PLOT]).startswith(b"\x89PNG")
