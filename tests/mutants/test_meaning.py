"""Changes of words and types mean nothing, changes of code do."""

import pytest

from tests.mutants.meaning import meaning

SOURCE = '''"""A module."""
from collections.abc import Callable

Draw = Callable[[int], float | None]


class Thing:
    """A thing."""

    size: int | None = 3
    """In bytes."""

    def half(self, by: int | float = 2) -> int | None:
        """Half of it."""
        if self.size == 1:
            raise ValueError(f"{self.size - 1} is too small")
        return self.size // by
'''


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("A module", "Another"),
        ("In bytes", "In bits"),
        ("Half of it", "A third"),
        ("size: int | None", "size: int & None"),
        ("by: int | float", "by: int / float"),
        ("-> int | None", "-> int - None"),
        ("float | None]", "float ^ None]"),
        ("{self.size - 1} is", "{self.size + 1} was"),
    ],
)
def test_docstrings_annotations_and_the_wording_of_errors_mean_nothing(was, becomes):
    changed = SOURCE.replace(was, becomes)
    assert changed != SOURCE and meaning(changed) == meaning(SOURCE)


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("= 3", "= 4"),
        ("= 2)", "= 1)"),
        ("== 1", "!= 1"),
        ("//", "*"),
        ("raise ValueError", "raise KeyError"),
        ("class Thing", "@final\nclass Thing"),
    ],
)
def test_defaults_operators_errors_and_decorators_do(was, becomes):
    assert meaning(SOURCE.replace(was, becomes)) != meaning(SOURCE)


def test_what_is_no_python_has_none():
    assert meaning("def half(a, /, *): pass") is None
