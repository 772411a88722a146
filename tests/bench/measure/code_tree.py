"""A small project to fingerprint, and edits of it."""

from bench.measure.fingerprint import code_sha256

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


def fingerprint(folder, *roots):
    return code_sha256(roots or [MEASURE], folder, ["lab"])


def edit(folder, file, old, new):
    text = (folder / file).read_text()
    assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {file}"
    (folder / file).write_text(text.replace(old, new))
