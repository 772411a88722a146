"""What a definition reaches: by name, in disguise, through objects and modules that are handed on."""

import pytest

from bench.measure.fingerprint import reached
from tests.bench.measure.code_tree import ALONE, MEASURE, edit, fingerprint

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


def test_imports_in_a_circle_end(tree):
    (tree / "lab/a.py").write_text("from lab.b import x, y\n\ndef f():\n    return x() + y()\n")
    (tree / "lab/b.py").write_text("from lab.a import f, y\n\ndef x():\n    return f()\n")
    assert reached(["lab.a:f"], tree, ["lab"]) == ["lab.a:f", "lab.b:x"]


def test_file_that_is_not_python_is_named_when_it_is_reached(tree):
    (tree / "lab/apart.py").write_text("def alone(:\n")
    fingerprint(tree)
    with pytest.raises(ValueError, match=r"apart\.py cannot be read as Python.*line 1"):
        fingerprint(tree, ALONE)


def test_star_import_is_refused(tree):
    (tree / "lab/apart.py").write_text("from lab.run import *\n\ndef alone():\n    return nobody()\n")
    with pytest.raises(ValueError, match=r"apart\.py.*line 1 imports \*"):
        fingerprint(tree, ALONE)
