"""Time budgets: what a time is, what fits in it, and what is said of the rest."""

import pytest

from bench.budget import Budget, command, left_out, seconds_of
from bench.costs import Cost, Piece

PLACE = ("gpu", "krony")


class Item:
    """As much of a test as a budget looks at."""

    def __init__(self, of=""):
        self.of = of

    def get_closest_marker(self, name):
        return pytest.Mark(name, (self.of,), {}) if self.of else None


@pytest.mark.parametrize(
    ("asked", "seconds"), [("90m", 5400), ("2h", 7200), ("1h30m", 5400), ("5400s", 5400), ("1.5h", 5400), ("1H", 3600)]
)
def test_a_time_has_hours_minutes_and_seconds(asked, seconds):
    assert seconds_of(asked) == seconds


@pytest.mark.parametrize("asked", ["90", "", "soon", "-5m", "0m", "30m1h", "nanm"])
def test_what_is_no_time_is_refused_in_a_sentence(asked):
    with pytest.raises(pytest.UsageError, match=f"--time-budget is '{asked}'; give hours, minutes or seconds with"):
        seconds_of(asked)


def budget(seconds, costs, *times):
    clock = iter((0, *times))
    return Budget(seconds, costs, clock=lambda: next(clock))


def test_each_item_is_taken_where_it_still_fits():
    dear, cheap, cheaper = Item(), Item(), Item()
    made = budget(10, {dear: Cost(11), cheap: Cost(6), cheaper: Cost(4)})
    assert made.fitting([dear, cheap, cheaper]) == [cheap, cheaper]
    assert made.left == [dear]


def test_a_shared_piece_is_paid_for_by_the_first_item_that_is_taken():
    teacher = Piece(PLACE, "teacher", 5)
    first, second, third = (Item() for _ in range(3))
    costs = {first: Cost(20, (teacher,)), second: Cost(1, (teacher,)), third: Cost(1, (teacher,))}
    assert budget(7, costs).fitting([first, second, third]) == [second, third]


def test_an_item_that_does_not_fit_in_what_is_really_left_does_not_start():
    slow, dear, cheap = Item(), Item(), Item()
    made = budget(10, {slow: Cost(3), dear: Cost(5), cheap: Cost(1)}, 0, 8, 8)
    assert [made.starts(item) for item in (slow, dear, cheap)] == [True, False, True]
    assert made.left == [dear]


def test_a_piece_of_an_item_that_did_not_start_is_still_to_be_paid():
    first, second = Item(), Item()
    teacher = Piece(PLACE, "teacher", 5)
    made = budget(10, {first: Cost(9, (teacher,)), second: Cost(1, (teacher,))}, 0, 5)
    assert [made.starts(first), made.starts(second)] == [False, False]


def test_what_is_left_out_is_counted_by_claim():
    items = [Item("KP4a"), Item("KP4b"), Item("INSTRUMENT"), Item()]
    count, how, speed = left_out(items, ["bench", "-m", "gpu", "--time-budget=2h"])
    assert count == "4 item(s) left out by --time-budget: KP4 2, INSTRUMENT 1, of no claim 1"
    assert how == "to run them: pytest bench -m gpu --resume --claims KP4,INSTRUMENT"
    assert "pytest bench/speed" in speed


@pytest.mark.parametrize("given", [["--time-budget", "9m", "--claims", "LC", "--resume"], ["--claims=LC", "--co"]])
def test_the_command_keeps_every_other_option(given):
    expected = "pytest bench -k 'a or b' --effort=quick --resume --claims KP4"
    assert command(["bench", "-k", "a or b", *given, "--effort=quick"], ["KP4"]) == expected
