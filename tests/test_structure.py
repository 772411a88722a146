"""Which package may know which, and what the documents promise."""

import ast
import re
from pathlib import Path

import pytest

from bench.measure.settings import SCALES
from bench.verdict.claims import CLAIMS

ROOT = Path(__file__).parents[1]
ALLOWED = {
    "models": {"models"},
    "compress": {"compress"},
    "bench": {"bench", "compress", "models", "conftest"},
}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").split(".")[0]


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_point_one_way(package):
    ours = set(ALLOWED) | {"conftest", "tests"}
    for path in (ROOT / package).rglob("*.py"):
        known = ours & set(imports(path))
        assert known <= ALLOWED[package], f"{path.name} imports {known - ALLOWED[package]}"


def test_methods_know_nothing_of_transformers():
    for path in (ROOT / "compress").rglob("*.py"):
        assert not {"transformers", "datasets", "pytest"} & set(imports(path)), path.name


def test_there_are_49_claims_of_four_papers():
    counts = {}
    for identifier in CLAIMS:
        letters = re.match(r"[A-Z]+", identifier)[0]
        counts[letters] = counts.get(letters, 0) + 1
    assert counts == {"LC": 8, "KP": 12, "SV": 19, "SL": 10}


def test_readme_commands_exist():
    readme = (ROOT / "README.md").read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"bench", "test"} <= set(re.findall(r"\bmake ([a-z-]+)", readme)) <= targets
    options = set(re.findall(r"(--[a-z][a-z-]+)", " ".join(re.findall(r"pytest [^\n`]*", readme))))
    known = set(re.findall(r'"(--[a-z-]+)"', (ROOT / "bench" / "measure" / "settings.py").read_text()))
    assert options - known <= {"--benchmark-only", "--durations"}, options - known
    for module in re.findall(r"python -m ([a-z.]+)", readme):
        place = ROOT / module.replace(".", "/")
        assert (
            place.with_suffix(".py").exists() or (place / "__main__.py").exists() or module in {"pytest", "venv", "pip"}
        )
    for path in re.findall(r"\]\(([\w./-]+)\)", readme):
        assert (ROOT / path).exists(), path


def test_contexts_of_every_effort_ascend():
    for efforts in SCALES.values():
        for settings in efforts.values():
            assert list(settings.contexts) == sorted(set(settings.contexts))


def test_nothing_is_loaded_unsafely_or_seeded_globally():
    forbidden = (
        r"torch\.load\((?!.*weights_only=True)|trust_remote_code=True|except:\s*$|np\.random\.(rand|seed)|\bhash\("
    )
    for package in ALLOWED:
        for path in (ROOT / package).rglob("*.py"):
            assert not re.search(forbidden, path.read_text(), re.MULTILINE), path.name
