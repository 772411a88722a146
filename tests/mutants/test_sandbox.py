"""Mutants are tested in a copy; the working tree is only read."""

import subprocess

import pytest

from tests.mutants.sandbox import Sandbox

CODE = "def half(value):\n    return value / 2\n"
TESTS = {
    "test_half.py": "from code_of import half\n\n\ndef test_half():\n    assert half(4) == 2\n",
    "test_slow.py": "import time\n\n\ndef test_slow():\n    time.sleep(60)\n",
    "test_marked.py": "import pytest\n\n\n@pytest.mark.slow\ndef test_out():\n    assert 0\n\ndef test_in(): ...\n",
}


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "code_of.py").write_text(CODE)
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\npythonpath = ["."]\nmarkers = ["slow"]\n')
    (tmp_path / ".gitignore").write_text("ignored\n")
    (tmp_path / "ignored").write_text("")
    for name, text in TESTS.items():
        (tmp_path / name).write_text(text)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    return tmp_path


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_a_mutant_is_killed_or_survives_and_the_next_one_starts_from_the_original(tree):
    before = files(tree)
    with Sandbox(tree, preloaded=()) as sandbox:
        assert set(files(sandbox.root)) == set(before) - {"ignored"}
        copied = files(sandbox.root)
        assert sandbox.test(["test_half.py"], timeout=60).outcome == "passed"
        same_length = CODE.replace("2", "3")
        killed = sandbox.test(["test_half.py"], timeout=60, path="code_of.py", source=same_length)
        assert (killed.outcome, killed.first_failure) == ("failed", "test_half.py::test_half")
        assert sandbox.test(["test_half.py"], timeout=60, path="code_of.py", source=CODE + "\n").outcome == "passed"
        broken = sandbox.test(["test_half.py"], timeout=60, path="code_of.py", source="half = 1 / 0\n")
        assert (broken.outcome, broken.first_failure) == ("failed", "test_half.py (import)")
        assert sandbox.test(["test_half.py"], timeout=60).outcome == "passed"
        assert {name: files(sandbox.root)[name] for name in copied} == copied
        place = sandbox.root
    assert files(tree) == before and not place.exists()


def test_a_mutant_that_hangs_is_ended(tree):
    with Sandbox(tree, preloaded=()) as sandbox:
        found = sandbox.test(["test_slow.py"], timeout=1)
    assert found.outcome == "timed out" and found.seconds < 30


def test_slow_tests_are_left_out_and_no_tests_at_all_are_an_error(tree):
    with Sandbox(tree, preloaded=()) as sandbox:
        assert sandbox.test(["test_marked.py"], timeout=60).outcome == "passed"
        (sandbox.root / "test_none.py").write_text("")
        with pytest.raises(RuntimeError, match=r"no tests in test_none\.py"):
            sandbox.test(["test_none.py"], timeout=60)
