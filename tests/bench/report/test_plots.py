"""Plots clip what lies beyond, keep quantities apart, and let no label lie on another."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bench.report import course, forest, krony, long_context, seeds, survey
from bench.report.plots import label_points, spread
from bench.verdict.claims import SMALL_MODELS
from tests.bench.report.synthetic import curves, evidence, ladder, of_ladder, result, scored, students, trained, variant


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=9), st.floats(1, 20))
@example([0.0, 0.0, 0.0], 10.0)
def test_spread_places_keep_their_distance_and_their_order(places, gap):
    moved = spread(places, gap)
    order = sorted(range(len(places)), key=lambda i: (places[i], i))
    ordered = [moved[i] for i in order]
    assert all(b - a >= gap - 1e-6 for a, b in pairwise(ordered))


@given(st.lists(st.integers(-1000, 1000), max_size=9, unique=True))
def test_places_that_are_far_apart_stay(places):
    assert spread([40.0 * place for place in places], 10.0) == [40.0 * place for place in places]


def test_labels_of_a_crowd_do_not_overprint():
    axes = Figure(figsize=(6, 4)).subplots()
    notes = label_points(axes, [(0.5 + i / 500, 0.5, f"method {i}", "black") for i in range(8)])
    canvas = FigureCanvasAgg(axes.figure)
    boxes = [note.get_window_extent(canvas.get_renderer()) for note in notes]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


@pytest.mark.parametrize(
    ("statistic", "unit"),
    [
        ("points of 2W over 1W", "difference in points"),
        ("perplexity of a over that of b", "ratio (logarithmic)"),
        ("standard deviation over seeds, far teacher over near", "ratio (logarithmic)"),
        ("exponent e in: variance of the noise", "exponent"),
        ("rows of 23 that arithmetic does not give", "count"),
        ("mean scalar after training (over seeds; all start at 1)", "value of a scalar"),
        ("something else", "other figures"),
    ],
)
def test_like_statistics_share_a_panel(statistic, unit):
    assert forest.unit_of(result(statistic=statistic)).name == unit


def test_ratios_come_first_and_exact_numbers_fill_no_panel():
    points = [result("SL2-skip", statistic="points of a over b"), result("SL2-skip-2", statistic="points of b over a")]
    exact = result("KP2-rank", statistic="rows of 3 that are wrong", value=0, low=0, high=0)
    panels = forest.panels_of([*points, result(), exact])
    assert [panel.unit.name for panel in panels] == ["ratio (logarithmic)", "difference in points"]


def test_an_interval_that_leaves_the_axis_has_an_arrow_where_it_leaves():
    assert forest.clipped(result(value=5842.0, low=4190.0, high=8144.0), (0.1, 20)) == [(20, ">")]
    assert forest.clipped(result(low=None), (0.1, 20)) == [(0.1, "<")]
    assert forest.clipped(result(), (0.1, 20)) == []


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("trained-81M-over-81M-double-rate-at-the-end", 1),
        ("trained-4-terms-scalars-frozen-at-4-over-4-terms-scalars", 2),
        ("a-name-that-compares-nothing-and-goes-on-for-very-long", 2),
        ("x" * 60, 2),
    ],
)
def test_a_long_name_has_two_lines_that_are_all_of_it(name, lines):
    said = forest.fitted(name).split("\n")
    assert len(said) == lines and max(map(len, said)) <= forest.LONGEST
    assert "".join(said).replace("-", "") == name.replace("-", "")
    if lines == 2 and "-over-" in name:
        assert said[1].startswith("over-")


def test_names_do_not_overprint_their_claims():
    long = result("KP15-trained-4-terms-scalars-frozen-at-4-over-4-terms-scalars-from-4")
    drawn = forest.figure([long])
    canvas = FigureCanvasAgg(drawn)
    boxes = {text.get_text(): text.get_window_extent(canvas.get_renderer()) for text in drawn.axes[0].texts}
    claim = next(box for words, box in boxes.items() if words.startswith("KP15"))
    name = next(box for words, box in boxes.items() if words.startswith("trained"))
    assert claim.x1 < name.x0


def test_a_ratio_beyond_all_others_does_not_stretch_the_axis():
    rows = [result(f"LC1-{i}") for i in range(30)] + [result("LC1-x", value=1e7, low=1e6, high=1e8)]
    (panel,) = forest.panels_of(rows)
    assert panel.limits[1] <= 20


def test_rows_that_were_not_run_are_not_drawn():
    assert forest.figure([result(verdict="not run", value=None, low=None, high=None)]) is None


def test_growth_is_relative_to_the_shortest_context():
    assert long_context.growth_of(result(details=curves((0.5, 0.6)))) == pytest.approx([1, 1.2])
    assert math.isnan(long_context.growth_of(result(details=curves((0.0, 0.6))))[0])


def test_names_are_shortened_to_what_tells_them_apart():
    names = ["rtn-w3-g64-keep-0.02-largest", "rtn-w4-g64-keep-0.02-largest", "rtn-w3-g64-keep-0.02-random"]
    assert long_context.short_names(names) == ["w3-largest", "w4-largest", "w3-random"]
    assert long_context.short_names(names[:1]) == names[:1]


def test_every_method_has_a_panel():
    names = ["magnitude-0.1", "rtn-w4-g64", "rtn-w4a8-g64", "rtn-w3-g64-keep-0.02-largest", "kv-3", "unheard-of"]
    families = long_context.families_of({name: result(details=curves()) for name in names})
    assert sorted(name for members in families.values() for name in members) == sorted(names)


def test_every_student_is_drawn_with_what_it_is_held_against():
    record = evidence(result("KP4-x", details=students()), variants=ladder())
    _, figures = krony.extras(record)
    (axes,) = figures[course.CURVES].get_axes()
    drawn = [text.get_text() for text in axes.texts]
    assert axes.get_title(loc="left") == "KP4" and axes.get_xscale() == "log"
    for name in ("81M 3.6", "half 3.4", "half-distilled 3.3", "teacher", "5-gram model", "half depth, from scratch"):
        assert any(text.startswith(name) for text in drawn), name
    low, high = axes.get_ylim()
    assert low < 3.2 and high > 3.6


def test_a_course_has_all_seeds_of_the_highest_effort():
    quick = of_ladder("81M, seed 2", {"along": np.array([1.0]), "held_out": np.array([9.0])}, effort="quick")
    courses = course.courses_of(evidence(variants=ladder() | {"quick": quick}))
    assert {name: each.losses.shape for name, each in courses.items()}["81M"] == (2, 4)


def test_slopes_and_where_ratios_lead_are_on_the_page():
    parts, _ = krony.extras(evidence(result("KP4-x", details=students()), variants=ladder()))
    page = "\n".join(parts)
    assert "0.80 % [0.60, 1.00]" in page
    assert "1.100 [1.000, 1.200]" in page and "1.200 [1.100, 1.400]" in page


def test_the_front_holds_what_nothing_smaller_beats():
    points = {"a": (10, 5.0), "b": (20, 2.0), "c": (30, 3.0), "d": (40, 1.0)}
    assert survey.front_of(points) == ["a", "b", "d"]


def test_a_point_beyond_the_ceiling_is_named_with_its_value():
    kept, ruined = scored("rtn-w4-g128", 1.5, 50), scored("gptq-w2-g128", 5841.9, 30)
    _, figures = survey.extras(evidence(result("SV9-a", details=kept), result("SV9-b", details=ruined)))
    (axes,) = figures[survey.PLOT].get_axes()
    assert "GPTQ w2 ↑ 5,842" in [text.get_text() for text in axes.texts]
    assert axes.get_ylim()[1] < 10


def test_variants_on_record_take_the_place_of_what_rows_carry():
    row = result("SV9-a", details=scored("rtn-w4-g128", 1.5, 10))
    figures = survey.variants_of(evidence(row, variants={"survey: rtn-w4-g128": variant()}))["rtn-w4-g128"]
    assert figures["ratio"] == pytest.approx(math.exp(0.2))
    assert figures["packed_bytes"] == 50e6
    assert figures["percentiles"]["99.9"] == 2.0
    assert figures["harness"] == {"byte_perplexity": 2.0}
    assert figures["seconds"] == 3.0


def test_what_is_not_finite_is_drawn_at_the_edge_and_said():
    kept, ruined = scored("rtn-w4-g128", 1.5, 50), scored("gptq-w2-g128", None, 30)
    parts, figures = survey.extras(evidence(result("SV9-a", details=kept), result("SV9-b", details=ruined)))
    (axes,) = figures[survey.PLOT].get_axes()
    assert "GPTQ w2 ↑ ∞" in [text.get_text() for text in axes.texts]
    broken = result(method="rtn-w3", details=curves((0.5, 0.6)))
    broken.details["series"]["kl"][1] = [None, None, None]
    parts, _ = long_context.extras(evidence(broken))
    assert "| –" in next(part for part in parts if part.startswith("## Every variant"))


def test_the_variant_that_claims_share_is_drawn_once():
    rows = [
        result("SL2-skip", details=trained(baseline=(30, 34), without=(20, 21))),
        result("SL4-both", details=trained(baseline=(30, 34), both=(31, 33))),
    ]
    figure = seeds.strips(evidence(*rows), SMALL_MODELS)
    labels = [[tick.get_text() for tick in axes.get_yticklabels()] for axes in figure.get_axes()]
    assert labels == [["baseline", "without"], ["both"]]


def test_variants_of_one_name_are_told_apart_by_their_rows():
    rows = [
        result("SL2-skip", details=trained(without=(20, 21))),
        result("SL2-skip-encoder", details=trained(without=(24, 25))),
    ]
    variants = seeds.trained(evidence(*rows), SMALL_MODELS)["SL2"]
    assert seeds.labels_of(variants) == ["without (skip)", "without (skip-encoder)"]
