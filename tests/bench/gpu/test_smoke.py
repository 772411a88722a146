"""The smoke takes one row of every test function."""

from types import SimpleNamespace

from bench.gpu.smoke import one_each


def item(name, *, gpu=True):
    return SimpleNamespace(nodeid=f"bench/a.py::{name}", get_closest_marker=lambda mark: gpu and mark == "gpu")


def test_the_first_row_of_every_function_at_the_gpu_scale_is_kept():
    items = [
        item("a[embedded-x]", gpu=False),
        item("a[gpu-x]"),
        item("b[gpu-x]"),
        item("a[gpu-y]"),
        item("c", gpu=False),
    ]
    assert [kept.nodeid for kept in one_each(items)] == ["bench/a.py::a[gpu-x]", "bench/a.py::b[gpu-x]"]
