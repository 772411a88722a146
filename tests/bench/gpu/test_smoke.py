"""The smoke takes one row of every test function."""

from types import SimpleNamespace

from bench.gpu.smoke import one_each
from bench.select import SECONDS


class Item(SimpleNamespace):
    __hash__ = object.__hash__


def item(name, seconds):
    return Item(nodeid=f"bench/a.py::{name}", stash={SECONDS: seconds}, get_closest_marker=lambda _name: None)


def test_the_cheapest_row_of_every_function_is_kept_in_order():
    items = [item(name, seconds) for name, seconds in [("a[x]", 3.0), ("b[x]", 1.0), ("a[y]", 2.0), ("b[y]", 1.0)]]
    assert [kept.nodeid for kept in one_each(items)] == ["bench/a.py::b[x]", "bench/a.py::a[y]"]
