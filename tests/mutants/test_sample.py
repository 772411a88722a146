"""The sample of mutants is fixed, spread over the code, and moves little when the code does."""

from collections import Counter

import pytest

pytest.importorskip("cosmic_ray", reason="the extra `mutants` is not installed")

from tests.mutants.__main__ import mirror
from tests.mutants.sample import places, sample

SOURCE = '''"""Numbers."""


def half(value: float | None, *, by: int = 2) -> float:
    """Half of {value + 1}."""
    if value is None or by == 0:
        raise ValueError(f"{value + 1} by {by * 2}")
    return value / by


def ramp(count: int) -> list[int]:
    return [3 * n + 1 for n in range(count) if n % 2 == 0 and not n < 4]
'''


@pytest.fixture
def root(tmp_path):
    (tmp_path / "code.py").write_text(SOURCE)
    (tmp_path / "long.py").write_text(SOURCE * 5)
    return tmp_path


def keys(mutants):
    return [mutant.key for mutant in mutants]


def test_the_sample_is_fixed_by_its_seed(root):
    files = ["code.py", "long.py"]
    assert keys(sample(root, files, count=20, seed=1)) == keys(sample(root, files[::-1], count=20, seed=1))
    assert keys(sample(root, files, count=20, seed=1)) != keys(sample(root, files, count=20, seed=2))


def test_a_place_is_changed_once_and_never_beyond_what_there_is(root):
    every = sample(root, ["code.py"], count=10_000, seed=1)
    assert len(every) <= sum(1 for _ in places(root, "code.py"))
    assert len(set(keys(every))) == len(every) > 10


def test_files_are_drawn_by_the_places_that_they_have(root):
    counts = Counter(mutant.path for mutant in sample(root, ["code.py", "long.py"], count=60, seed=1))
    assert counts["long.py"] == pytest.approx(50, abs=9)  # three binomial errors


def test_words_types_and_the_star_before_keywords_are_not_changed(root):
    for mutant in sample(root, ["code.py"], count=10_000, seed=1):
        assert not mutant.was.startswith(("raise", '"""'))
        assert "def half" not in mutant.was or ", *, by" in mutant.becomes
        compile(mutant.source, "code.py", "exec")
        assert mutant.source.splitlines()[mutant.line - 1].split() == mutant.becomes.split()
        assert SOURCE.splitlines()[mutant.line - 1].strip() == mutant.was


def test_operators_take_the_place_of_their_like_alone(root):
    changes = Counter(
        mutant.operator for seed in range(12) for mutant in sample(root, ["code.py"], count=99, seed=seed)
    )
    assert changes["ReplaceBinaryOperator_Div_Mul"] and changes["ReplaceComparisonOperator_Lt_GtE"]
    assert not any("Shift" in name or "Bit" in name for name in changes)
    assert not {"ReplaceComparisonOperator_Eq_Is", "ReplaceComparisonOperator_Lt_IsNot"} & set(changes)


def test_an_edit_elsewhere_changes_no_mutant(root):
    before = keys(sample(root, ["code.py"], count=10_000, seed=1))
    (root / "code.py").write_text(SOURCE.replace("def ramp", "\nNEW = True\n\n\ndef ramp"))
    after = keys(sample(root, ["code.py"], count=10_000, seed=1))
    assert set(before) < set(after) and len(after) == len(before) + 1


@pytest.mark.parametrize(
    ("path", "tests"),
    [
        ("pack/fold.py", ["pack/test_fold.py", "pack/test_fold_back.py"]),
        ("pack/other.py", ["pack/test_fold.py", "pack/test_fold_back.py", "pack/test_folder.py"]),
        ("pack/deep/under.py", ["pack/test_fold.py", "pack/test_fold_back.py", "pack/test_folder.py"]),
    ],
)
def test_a_file_is_tested_by_its_mirror_or_by_the_nearest_folder(root, path, tests):
    (root / "tests" / "pack").mkdir(parents=True)
    for name in ("fold", "fold_back", "folder"):
        (root / "tests" / "pack" / f"test_{name}.py").touch()
    assert [test.relative_to(root / "tests").as_posix() for test in mirror(path, root)] == tests
