import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.verdict.footprints import (
    Curve,
    advantage,
    best_at,
    clearest_crossing,
    curve_of,
    footprints_of,
    overtaking,
)

DOCUMENTS = 6


def flat(loss: float) -> np.ndarray:
    return np.full(DOCUMENTS, loss)


def curve(name: str, *points: tuple[float, float], noise: float = 0.0) -> Curve:
    spread = noise * np.linspace(-1, 1, DOCUMENTS)
    return curve_of(name, [(size, flat(loss) + spread) for size, loss in points])


def crossing_pair() -> dict[str, Curve]:
    """Two families that are equal at 20 bytes."""
    return {"early": curve("early", (10, 0.3), (40, 0.2)), "late": curve("late", (10, 0.5), (40, 0.0))}


def test_a_family_leaves_out_what_its_own_smaller_file_beats() -> None:
    made = curve_of("a", [(30, flat(0.4)), (10, flat(0.5)), (20, flat(0.2)), (40, flat(0.1))])
    assert made.bytes.tolist() == [10, 20, 40]


def test_documents_that_choose_are_those_that_are_named() -> None:
    sizes = [(10.0, np.array([0.5, 0.1])), (20.0, np.array([0.4, 0.9]))]
    assert len(curve_of("a", sizes, [0]).bytes) == 2
    assert len(curve_of("a", sizes, [1]).bytes) == 1


def test_losses_between_two_sizes_lie_on_the_logarithm_of_bytes() -> None:
    made = curve("a", (10, 1.0), (40, 0.0))
    assert made.at(np.array([20.0]))[0] == pytest.approx(flat(0.5))


def test_a_family_is_not_there_below_its_smallest_file_and_stays_as_good_beyond_its_largest() -> None:
    losses = curve("a", (10, 1.0), (40, 0.25)).at(np.array([9.0, 400.0]))
    assert np.isnan(losses[0]).all()
    assert losses[1] == pytest.approx(flat(0.25))


def test_crossing_families_are_found_with_the_better_at_either_end() -> None:
    pair = crossing_pair()
    found = clearest_crossing(pair, footprints_of(list(pair.values())))
    assert found is not None
    assert (found.better_small, found.better_large) == ("early", "late")
    assert found.small == pytest.approx(10)
    assert found.large == pytest.approx(40)
    assert found.gain == pytest.approx(0.2)  # nats at either end
    interval = advantage(pair, found)
    assert interval.value == pytest.approx(math.exp(0.2))


def test_families_that_do_not_cross_have_an_advantage_below_one() -> None:
    pair = {"good": curve("good", (10, 0.2), (40, 0.1)), "bad": curve("bad", (10, 0.5), (40, 0.3))}
    found = clearest_crossing(pair, footprints_of(list(pair.values())))
    assert found is not None
    assert found.gain < 0
    assert advantage(pair, found).high < 1


def test_what_crosses_in_ruins_is_no_crossing() -> None:
    pair = {"early": curve("early", (10, 3.0), (40, 2.0)), "late": curve("late", (10, 5.0), (40, 0.0))}
    found = clearest_crossing(pair, footprints_of(list(pair.values())))
    assert found is None or found.gain <= 0


def test_families_without_a_common_footprint_cannot_be_compared() -> None:
    ruins = {"a": curve("a", (10, 3.0), (20, 2.0)), "b": curve("b", (10, 4.0), (20, 3.0))}
    assert clearest_crossing(ruins, footprints_of(list(ruins.values()))) is None


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_noise_alone_does_not_cross_on_the_documents_that_judge(seed: int) -> None:
    """Choosing on some documents and judging on others leaves no gain from the choice: the judged mean is around 0."""
    generator = np.random.default_rng(seed)
    losses = {name: 0.1 + 0.01 * generator.standard_normal((4, 400)) for name in "abc"}
    curves = {name: Curve(name, np.array([10.0, 20, 30, 40]), loss) for name, loss in losses.items()}
    chosen = {name: made.over(range(200)) for name, made in curves.items()}
    found = clearest_crossing(chosen, footprints_of(list(curves.values())))
    assert found is not None
    judged = advantage({name: made.over(range(200, 400)) for name, made in curves.items()}, found)
    assert judged.low <= 1.0  # a mean of 200 has a standard error of 0.001, and the lower of two is told


def test_best_family_and_its_lead() -> None:
    best = best_at(crossing_pair(), 40.0)
    assert best is not None
    assert (best.family, best.runner_up) == ("late", "early")
    assert best.ratio.value == pytest.approx(1.0)
    assert best.lead is not None
    assert best.lead.value == pytest.approx(math.exp(0.2))


def test_below_every_file_nothing_is_best() -> None:
    assert best_at(crossing_pair(), 1.0) is None


def test_one_family_overtakes_where_both_are_equal() -> None:
    pair = crossing_pair()
    places = footprints_of(list(pair.values()))
    at = overtaking(pair["early"], pair["late"], places)
    # 0.3 - 0.05 x = 0.5 - 0.25 x in doublings x of 10 bytes.
    assert at is not None
    assert at.value == pytest.approx(20.0)
    assert overtaking(pair["late"], pair["early"], places) is None
