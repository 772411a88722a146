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


STATED = {
    # GPTQ's solver is SparseGPT's.
    ("quantization/gptq.py", "compress.pruning.compensate"),
    ("quantization/column_rounding.py", "compress.pruning.compensate"),
}
"""Imports of one family of `compress` by another."""


def sources(package):
    """Files of a package; there are some, or a law about them would hold of nothing."""
    files = sorted((ROOT / package).rglob("*.py"))
    assert len(files) > 5, f"{package} has {len(files)} files below {ROOT}"
    return files


def modules(path):
    """Dotted names of the modules that a file imports, and of what it imports from them."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imports(path):
    return {module.split(".")[0] for module in modules(path)}


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_point_one_way(package):
    ours = set(ALLOWED) | {"conftest", "tests"}
    for path in sources(package):
        known = ours & imports(path)
        assert known <= ALLOWED[package], f"{path.name} imports {known - ALLOWED[package]}"


def test_methods_know_nothing_of_transformers():
    for path in sources("compress"):
        assert not {"transformers", "datasets", "pytest"} & imports(path), path.name


def test_families_import_the_core_and_never_one_another():
    """Core files import no family either; the exceptions that are stated are all there."""
    root = ROOT / "compress"
    families = {path.name for path in root.iterdir() if (path / "__init__.py").is_file()}
    assert families == {"pruning", "quantization", "factorisation", "distillation"}
    crossing = set()
    for path in sources("compress"):
        place = path.relative_to(root)
        own = place.parts[0] if len(place.parts) > 1 else None
        for module in modules(path):
            parts = module.split(".")
            if parts[0] == "compress" and len(parts) > 1 and parts[1] in families - {own}:
                crossing.add((place.as_posix(), ".".join(parts[:3])))
    assert crossing == STATED


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
        for path in sources(package):
            assert not re.search(forbidden, path.read_text(), re.MULTILINE), path.name
