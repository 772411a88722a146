"""A fingerprint changes with what a measurement computes, and with nothing else."""

import functools
import inspect
import shutil
import textwrap

import pytest

from bench.measure.divergence import compare
from bench.measure.fingerprint import PACKAGES, ROOT, MissingRootError, code_sha256, reached, root_of
from bench.measure.timing import Timing
from bench.survey.lab import Survey
from compress.pruning.magnitude import MagnitudePruning
from compress.quantization.rounding import RoundToNearest

TREE = {
    "lab/__init__.py": "",
    "lab/run.py": '''
        """Measures."""

        from __future__ import annotations

        import math
        from dataclasses import dataclass

        import lab.grids.fit
        from lab import tables
        from lab.base import Base
        from lab.grids import exported
        from lab.shapes import Shape, area as surface, marked

        LIMIT = 3  # at most


        def helper(x: int) -> int:
            """Twice."""
            return x * 2


        @dataclass
        class Lab(Base):
            """Measures."""

            width: int = 4
            depth: int
            """Of a field."""

            def __post_init__(self):
                self.cache = tables.START

            def measure(self, shape: Shape, *, start=tables.default(1)) -> int:
                """Measured."""
                found = self._part(shape) + super().common() + start
                return found + lab.grids.fit.steps(self.width) + exported(self.state) + self.later

            def _part(self, shape):
                return surface(shape.height) + decorated() + math.sin(0)

            def prepare(self):
                self.state = 11

            def hook(self):
                return 21

            @property
            def later(self):
                return helper(LIMIT)

            def unrelated(self):
                return 99


        @marked(7)
        def decorated():
            pass


        def nobody():
            return 5
    ''',
    "lab/base.py": """
        class Base:
            unit = 8

            def common(self):
                return self.hook() + 13

            def hook(self):
                raise NotImplementedError

            def never(self):
                return 14
    """,
    "lab/tables.py": """
        from . import run

        START = {}
        START["a"] = 31


        def default(x):
            return x + 15


        def cycle():
            return run.nobody()
    """,
    "lab/grids/__init__.py": "from .fit import inner as exported\n",
    "lab/grids/fit.py": """
        from ..constants import STEP as S

        try:
            import fast
        except ImportError:
            fast = None


        def steps(x):
            return x + S


        def inner(x):
            return x - 16
    """,
    "lab/constants.py": "from math import pi\n\nSTEP = 17\nOTHER = 18\n",
    "lab/shapes.py": """
        import numpy as np


        class Shape:
            height = 1

            def volume(self):
                return 19


        def area(x):
            return np.sqrt(x) + 20


        def marked(n):
            return lambda f: f
    """,
    "lab/apart.py": "def alone():\n    return 1\n",
}
MEASURE, ALONE = "lab.run:Lab.measure", "lab.apart:alone"


@pytest.fixture
def tree(tmp_path):
    for name, text in TREE.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return tmp_path


def fingerprint(folder, *roots):
    return code_sha256(roots or [MEASURE], folder, ["lab"])


def edit(folder, file, old, new):
    text = (folder / file).read_text()
    assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {file}"
    (folder / file).write_text(text.replace(old, new))


NOTHING = {
    "docstring": ("lab/run.py", '"""Twice."""', '"""Double."""'),
    "docstring gone": ("lab/run.py", '        """Measured."""\n', ""),
    "docstring of a field": ("lab/run.py", '    """Of a field."""\n', ""),
    "docstring in an empty function": ("lab/run.py", "decorated():\n    pass", 'decorated():\n    """Nothing."""'),
    "comment": ("lab/run.py", "# at most", "# or fewer"),
    "blank lines": ("lab/run.py", "LIMIT = 3", "\n\nLIMIT = 3\n\n"),
    "layout": ("lab/run.py", "return x * 2", "return (\n        x * 2\n    )"),
    "prefix of a string": ("lab/tables.py", '["a"]', '[u"a"]'),
    "annotation": ("lab/run.py", "helper(x: int) -> int", "helper(x: float)"),
    "annotation of a field": ("lab/run.py", "width: int = 4", "width: float = 4"),
    "annotation of a bare field": ("lab/run.py", "depth: int", "depth: float"),
    "annotation of a constant": ("lab/run.py", "LIMIT = 3", "LIMIT: int = 3"),
    "order": ("lab/base.py", "    def hook(self):\n        raise NotImplementedError\n\n", ""),
    "unused import": ("lab/run.py", "import math\n", "import math\nimport os\nfrom lab import apart\n"),
    "imports under a condition": ("lab/run.py", "LIMIT = 3", "if math.pi:\n    from lab import apart\n\nLIMIT = 3"),
    "alias": ("lab/grids/fit.py", "STEP as S\n", "STEP as T\n"),
    "external import's form": ("lab/shapes.py", "import numpy as np\n", "from numpy import sqrt\n"),
    "new function": ("lab/run.py", "def nobody():", "def new():\n    return LIMIT\n\n\ndef nobody():"),
    "new class": ("lab/base.py", "class Base:", "class New:\n    x = 1\n\n\nclass Base:"),
    "another function": ("lab/run.py", "return 5", "return 6"),
    "another constant": ("lab/constants.py", "18", "19"),
    "another method": ("lab/run.py", "return 99", "return 98"),
    "another method of the base": ("lab/base.py", "14", "15"),
    "run as a program": ("lab/run.py", "LIMIT = 3", 'LIMIT = 3\nif __name__ == "__main__":\n    print(nobody())'),
    "file that none reaches": ("lab/apart.py", "return 1", "return 2"),
}
AFTER = {
    "order": (
        "lab/base.py",
        "    def never",
        "    def hook(self):\n        raise NotImplementedError\n\n    def never",
    ),
    "alias": ("lab/grids/fit.py", "x + S", "x + T"),
    "external import's form": ("lab/shapes.py", "np.sqrt", "sqrt"),
}


@pytest.mark.parametrize("what", NOTHING)
def test_what_computes_nothing_else_changes_nothing(tree, what):
    before = fingerprint(tree)
    edit(tree, *NOTHING[what])
    if what in AFTER:
        edit(tree, *AFTER[what])
    assert fingerprint(tree) == before


CHANGES = {
    "constant": ("lab/run.py", "LIMIT = 3", "LIMIT = 4"),
    "constant of a constant's module": ("lab/constants.py", "STEP = 17", "STEP = 18"),
    "type of a constant": ("lab/run.py", "LIMIT = 3", "LIMIT = 3.0"),
    "operator": ("lab/run.py", "x * 2", "x + 2"),
    "default argument": ("lab/run.py", "tables.default(1)", "tables.default(2)"),
    "what a default argument calls": ("lab/tables.py", "x + 15", "x + 16"),
    "field's default": ("lab/run.py", "width: int = 4", "width: int = 5"),
    "bare field": ("lab/run.py", "    depth: int\n", ""),
    "constructor": ("lab/run.py", "self.cache = tables.START", "self.cache = {}"),
    "class decorator": ("lab/run.py", "@dataclass\n", "@dataclass(frozen=True)\n"),
    "decorator's argument": ("lab/run.py", "@marked(7)", "@marked(8)"),
    "decorator": ("lab/shapes.py", "lambda f: f", "lambda f: None"),
    "base's method": ("lab/base.py", "+ 13", "+ 12"),
    "base's field": ("lab/base.py", "unit = 8", "unit = 9"),
    "method that a base calls": ("lab/run.py", "return 21", "return 22"),
    "base": ("lab/run.py", "class Lab(Base)", "class Lab"),
    "method through self": ("lab/run.py", "surface(shape.height)", "1"),
    "property through self": ("lab/run.py", "helper(LIMIT)", "LIMIT"),
    "method that sets an attribute": ("lab/run.py", "self.state = 11", "self.state = 12"),
    "through module.attribute": ("lab/grids/fit.py", "x + S", "x - S"),
    "through an alias": ("lab/shapes.py", "+ 20", "+ 21"),
    "through a re-export": ("lab/grids/fit.py", "x - 16", "x - 17"),
    "re-export itself": ("lab/grids/__init__.py", "inner", "steps"),
    "class of an annotation": ("lab/shapes.py", "return 19", "return 18"),
    "external function": ("lab/shapes.py", "import numpy as np", "import scipy as np"),
    "statement that fills a table": ("lab/tables.py", "= 31", "= 32"),
    "definition under a condition": ("lab/grids/fit.py", "fast = None", "fast = 0"),
    "import of another of that name": ("lab/grids/fit.py", "STEP as S", "OTHER as S"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_is_reached_changes_just_what_reaches_it(tree, what):
    before, apart = fingerprint(tree), fingerprint(tree, ALONE)
    edit(tree, *CHANGES[what])
    assert fingerprint(tree) != before
    assert fingerprint(tree, ALONE) == apart


def test_names_of_a_tree_reach_what_they_should(tree):
    names = set(reached([MEASURE], tree, ["lab"]))
    assert {"lab.run:Lab.prepare", "lab.shapes:Shape.volume", "lab.grids.fit:", "lab.constants:STEP"} <= names
    assert not {"lab.run:Lab.unrelated", "lab.base:Base.never", "lab.tables:cycle", "lab.run:nobody"} & names


def test_moving_a_helper_changes_nothing(tree):
    before = fingerprint(tree)
    edit(tree, "lab/shapes.py", "def area(x):\n    return np.sqrt(x) + 20\n", "")
    (tree / "lab/moved.py").write_text("import numpy\n\ndef area(x):\n    return numpy.sqrt(x) + 20\n")
    edit(
        tree, "lab/run.py", "import Shape, area as surface, marked", "import Shape, marked\nfrom lab.moved import area"
    )
    edit(tree, "lab/run.py", "surface(", "area(")
    assert fingerprint(tree) == before


def test_renaming_files_and_folders_changes_nothing(tree):
    before = fingerprint(tree)
    (tree / "lab/shapes.py").rename(tree / "lab/forms.py")
    edit(tree, "lab/run.py", "lab.shapes", "lab.forms")
    (tree / "lab/grids").rename(tree / "lab/steps")
    edit(tree, "lab/run.py", "import lab.grids.fit\n", "from lab.steps import fit\n")
    edit(tree, "lab/run.py", "lab.grids.fit.", "fit.")
    edit(tree, "lab/run.py", "lab.grids ", "lab.steps ")
    assert fingerprint(tree) == before
    (tree / "lab/run.py").rename(tree / "lab/main.py")
    edit(tree, "lab/tables.py", "run\n", "main as run\n")
    assert fingerprint(tree, "lab.main:Lab.measure") == before


SMALL = {
    "argument named like an alias": (
        "from lab.k import f, f as g\n\ndef run(g):\n    return f(g)\n",
        "f(g)",
        "g(f)",
        True,
    ),
    "annotation by another class": (
        "class A:\n    a = 1\n\nclass B:\n    b = 2\n\ndef run(x: A):\n    return A(), B()\n",
        "x: A",
        "x: B",
        False,
    ),
    "import that is wrapped": (
        "from lab.k import f\nf = str(f)\n\ndef run():\n    return f()\n",
        "str(",
        "repr(",
        True,
    ),
    "constant with a condition after it": (
        "K = 1\nif K:\n    K += 2\n\ndef run():\n    return K\n",
        "K = 1",
        "K = 3",
        True,
    ),
    "method of the base of a named class": (
        "class A:\n    def f(self):\n        return 1\n\nclass B(A):\n    pass\n\ndef run():\n    return B()\n",
        "return 1",
        "return 2",
        True,
    ),
}


@pytest.mark.parametrize("what", SMALL)
def test_small_module(tmp_path, what):
    text, old, new, changes = SMALL[what]
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab/k.py").write_text("def f():\n    return 1\n\ndef g():\n    return 2\n")
    (tmp_path / "lab/run.py").write_text(text)
    before = fingerprint(tmp_path, "lab.run:run")
    edit(tmp_path, "lab/run.py", old, new)
    assert (fingerprint(tmp_path, "lab.run:run") != before) == changes


@pytest.mark.parametrize("use", ["self.count += 1", "self.set = 1", "return self.made", "return type(self).total()"])
def test_method_that_is_reached_in_disguise(tmp_path, use):
    (tmp_path / "lab").mkdir()
    methods = {
        "self.count += 1": "    def start(self):\n        self.count = 41\n",
        "self.set = 1": "    @set.setter\n    def set(self, value):\n        self.kept = 41\n",
        "return self.made": "    def _made(self):\n        return 41\n\n    made = property(_made)\n",
        "return type(self).total()": "    @classmethod\n    def total(cls):\n        return 41\n",
    }
    (tmp_path / "lab/run.py").write_text(f"class C:\n    def run(self):\n        {use}\n\n{methods[use]}")
    before = fingerprint(tmp_path, "lab.run:C.run")
    edit(tmp_path, "lab/run.py", "41", "42")
    assert fingerprint(tmp_path, "lab.run:C.run") != before


def test_name_in_a_package_goes_before_a_module_of_that_name(tree):
    edit(tree, "lab/grids/__init__.py", "inner as exported", "inner as exported, inner as fit")
    (tree / "lab/apart.py").write_text("from lab.grids import fit\n\ndef alone():\n    return fit(1)\n")
    assert reached([ALONE], tree, ["lab"]) == ["lab.apart:alone", "lab.grids.fit:", "lab.grids.fit:inner"]


def test_equal_names_of_different_modules_are_told_apart(tmp_path):
    (tmp_path / "lab").mkdir()
    # The two `scale` have one text and differ in what they name; the two classes differ in a method.
    for name, value in (("a", 1), ("b", 2)):
        (tmp_path / f"lab/{name}.py").write_text(
            f"K = {value}\n\ndef scale():\n    return K\n\nclass C:\n    def f(self):\n        return {value}\n"
        )
    for use in ("scale", "C"):
        text, hashes = f"from lab import a, b\n\ndef run():\n    return {{}}.{use}() - {{}}.{use}()\n", set()
        for order in (("a", "b"), ("b", "a"), ("a", "a")):
            (tmp_path / "lab/run.py").write_text(text.format(*order))
            hashes.add(fingerprint(tmp_path, "lab.run:run"))
        assert len(hashes) == 3, use


def test_object_that_is_handed_on_brings_every_method(tree):
    edit(tree, "lab/run.py", "found = self._part(shape)", "found = helper(self)")
    before = fingerprint(tree)
    edit(tree, "lab/run.py", "return 99", "return 98")
    assert fingerprint(tree) != before


def test_module_that_is_handed_on_brings_all_of_it(tree):
    edit(tree, "lab/run.py", "return helper(LIMIT)", "return helper(tables)")
    assert "lab.tables:cycle" in reached([MEASURE], tree, ["lab"])


def test_import_inside_a_function_is_followed(tree):
    edit(tree, "lab/run.py", "return helper(LIMIT)", "from lab.apart import alone as x\n        return x()")
    before = fingerprint(tree)
    edit(tree, "lab/apart.py", "return 1", "return 2")
    assert fingerprint(tree) != before


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


def test_imports_in_a_circle_end(tree):
    (tree / "lab/a.py").write_text("from lab.b import x, y\n\ndef f():\n    return x() + y()\n")
    (tree / "lab/b.py").write_text("from lab.a import f, y\n\ndef x():\n    return f()\n")
    assert reached(["lab.a:f"], tree, ["lab"]) == ["lab.a:f", "lab.b:x"]


@pytest.mark.parametrize(
    "root", ["lab.run:Gone", "lab.run:Lab.gone", "lab.gone:f", "lab.run", "lab.run:", "os:getcwd", "lab.run:helper_"]
)
def test_root_that_is_gone_is_named(tree, root):
    with pytest.raises(MissingRootError, match=root):
        fingerprint(tree, root)


def test_file_that_is_not_python_is_named_when_it_is_reached(tree):
    (tree / "lab/apart.py").write_text("def alone(:\n")
    fingerprint(tree)
    with pytest.raises(ValueError, match=r"apart\.py cannot be read as Python.*line 1"):
        fingerprint(tree, ALONE)


def test_star_import_is_refused(tree):
    (tree / "lab/apart.py").write_text("from lab.run import *\n\ndef alone():\n    return nobody()\n")
    with pytest.raises(ValueError, match=r"apart\.py.*line 1 imports \*"):
        fingerprint(tree, ALONE)


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
