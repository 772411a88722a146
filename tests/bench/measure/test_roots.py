"""Roots of fingerprints: classes, methods and functions, of a small project and of this one."""

import functools
import inspect
import shutil

import pytest

from bench.measure.divergence import compare
from bench.measure.fingerprint import PACKAGES, ROOT, MissingRootError, code_sha256, reached, root_of
from bench.measure.timing import Timing
from bench.survey.lab import Survey
from compress.pruning.magnitude import MagnitudePruning
from compress.quantization.rounding import RoundToNearest
from tests.bench.measure.code_tree import ALONE, MEASURE, edit, fingerprint


def test_class_and_method_are_roots_of_their_own(tree):
    whole, part = fingerprint(tree, "lab.run:Lab"), fingerprint(tree)
    assert whole != part
    edit(tree, "lab/run.py", "return 99", "return 98")
    assert fingerprint(tree, "lab.run:Lab") != whole
    assert fingerprint(tree) == part


def test_order_of_roots_changes_nothing_and_each_counts(tree):
    assert fingerprint(tree, MEASURE, ALONE) == fingerprint(tree, ALONE, MEASURE, ALONE)
    assert len({fingerprint(tree, MEASURE, ALONE), fingerprint(tree), fingerprint(tree, ALONE)}) == 3


def test_inherited_method_is_a_root_of_the_class(tree):
    assert {"lab.base:Base.common", "lab.run:Lab.hook"} <= set(reached(["lab.run:Lab.common"], tree, ["lab"]))


@pytest.mark.parametrize(
    "root", ["lab.run:Gone", "lab.run:Lab.gone", "lab.gone:f", "lab.run", "lab.run:", "os:getcwd", "lab.run:helper_"]
)
def test_root_that_is_gone_is_named(tree, root):
    with pytest.raises(MissingRootError, match=root):
        fingerprint(tree, root)


def test_roots_of_things():
    method = RoundToNearest(4)
    assert root_of(compare) == "bench.measure.divergence:compare"
    assert root_of(Survey._measure) == "bench.survey.lab:Survey._measure"
    assert root_of(method) == root_of(RoundToNearest) == f"{RoundToNearest.__module__}:RoundToNearest"
    assert root_of(method.across) == f"{root_of(RoundToNearest)}.across"
    assert root_of(lambda: 0) == f"{__name__}:test_roots_of_things"
    assert root_of(functools.wraps(compare)(lambda: 0)) == root_of(compare)


def test_roots_of_the_project_have_hashes_of_their_own():
    roots = [root_of(thing) for thing in (compare, Timing, Survey._measure, MagnitudePruning, RoundToNearest)]
    assert len({code_sha256([root]) for root in roots}) == len(roots)


def test_what_loads_and_keeps_is_not_what_measures():
    """A better download or another store must not cost a record."""
    names = reached([root_of(Survey._measure), root_of(RoundToNearest)])
    assert not [name for name in names if "assets" in name or ".store:" in name or "fingerprint" in name]


def test_kernel_changes_the_method_that_uses_it_and_no_other(tmp_path):
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    kernel = inspect.getmodule(RoundToNearest.__call__.__globals__["fit_grid"])
    quantized, pruned = root_of(RoundToNearest), root_of(MagnitudePruning)
    before = [code_sha256([root], tmp_path) for root in (quantized, pruned)]
    assert before == [code_sha256([root]) for root in (quantized, pruned)]
    file = kernel.__file__.removeprefix(f"{ROOT}/")
    edit(tmp_path, file, "FEWEST_BITS, MOST_BITS = 2, 8", "FEWEST_BITS, MOST_BITS = 2, 9")
    after = [code_sha256([root], tmp_path) for root in (quantized, pruned)]
    assert after[0] != before[0]
    assert after[1] == before[1]
