"""A fingerprint changes with what a measurement computes, and with nothing else."""

import pytest

from bench.measure.fingerprint import reached
from tests.bench.measure.code_tree import ALONE, MEASURE, edit, fingerprint

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
