"""Which package may know which, and what the documents promise."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.measure.settings import SCALES
from bench.report.matrix import counts
from bench.report.write import embedded
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
    ("quantization/gptq.py", "compress.pruning.factor"),
    ("quantization/column_rounding.py", "compress.pruning.compensate"),
    # OBQ takes one weight after the other as OBC does.
    ("quantization/obq.py", "compress.pruning.elimination"),
    ("quantization/obq.py", "compress.pruning.factor"),
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
    assert families == {"pruning", "quantization", "factorisation", "distillation", "packing"}
    crossing = set()
    for path in sources("compress"):
        place = path.relative_to(root)
        own = place.parts[0] if len(place.parts) > 1 else None
        for module in modules(path):
            parts = module.split(".")
            if parts[0] == "compress" and len(parts) > 1 and parts[1] in families - {own}:
                crossing.add((place.as_posix(), ".".join(parts[:3])))
    assert crossing == STATED


PAPERS = ("long_context", "krony", "survey", "small_models", "checkpoint")
"""Folders of `bench` that measure claims, or a user's checkpoint."""
BENCH = {
    "verdict": {"verdict"},
    "measure": {"measure", "verdict"},
    "report": {"report", "verdict", "measure.stale", "krony.printed", "small_models.printed"},
    **{paper: {paper, "measure", "verdict", "fixtures", "parameters"} for paper in PAPERS},
    "gpu": {"gpu"},
    "speed": {"speed", "measure", "verdict", "long_context", "krony"},
}
"""Imports that each folder of `bench` may have of it. Pages may have printed numbers and the reasons for staleness."""
ALSO = {
    # What the command line names is measured one by one, and one that does not open leaves its reason.
    "checkpoint": {"given", "outcomes"},
    "gpu": {"budget"},  # an hour's budget is spelled as a session's is
}


@pytest.mark.parametrize("folder", BENCH)
def test_folders_of_bench_import_one_way(folder):
    """Verdicts know no model, papers never import each other, and pages stand on evidence."""
    allowed = BENCH[folder] | ALSO.get(folder, set())
    files = sorted((ROOT / "bench" / folder).rglob("*.py"))
    assert len(files) > 1, folder
    for path in files:
        for module in modules(path):
            if module.startswith("bench."):
                place = module.removeprefix("bench.")
                assert any(place == name or place.startswith(f"{name}.") for name in allowed), f"{path}: {module}"


def test_every_folder_of_bench_has_a_law():
    folders = {path.parent.name for path in (ROOT / "bench").glob("*/__init__.py")}
    assert folders == set(BENCH)


def test_no_test_imports_a_conftest_or_another_test():
    files = sorted((ROOT / "bench").rglob("test_*.py")) + sorted((ROOT / "bench").rglob("conftest.py"))
    files += sorted((ROOT / "tests").rglob("test_*.py"))
    assert len(files) > 50
    for path in files:
        for module in modules(path):
            places = module.split(".")
            tests = [place for place in places if place.startswith("test_")]
            assert places[0] not in {"bench", "tests"} or not {*tests, "conftest"} & {*places}, f"{path}: {module}"


def test_the_shared_conftest_imports_no_instrument_of_a_paper():
    for name in ("conftest.py", "plugin.py"):
        for module in modules(ROOT / "bench" / name):
            assert module.split(".")[1:2] not in [[paper] for paper in PAPERS], module


def test_verdicts_import_no_torch():
    code = "import bench.verdict.conclude, bench.verdict.seeds, bench.verdict.simulation, bench.verdict.evidence, sys; "
    command = [sys.executable, "-c", f"{code}print('torch' in sys.modules)"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    assert done.stdout.strip() == b"False", done.stderr


def test_the_root_conftest_names_the_plugin():
    assert len((ROOT / "conftest.py").read_text().splitlines()) <= 4


RIDDLES = r"(Of|Those|That|The same|Such|As|What|Whether|How|Both|Each|Where|Why|Which|All) "


def test_first_lines_of_docstrings_stand_alone():
    """They begin with a noun or a verb of the field, and whoever reads one of them alone understands it."""
    riddles = []
    for package in ALLOWED:
        for path in sources(package):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef):
                    first = (ast.get_docstring(node) or "").split("\n")[0]
                    if re.match(RIDDLES, first) and not path.name.startswith("test_"):
                        riddles.append(f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)} {first}")
    assert not riddles


def test_every_claim_of_the_papers_is_there():
    numbers = {}
    for identifier in CLAIMS:
        letters = re.match(r"[A-Z]+", identifier)[0]
        numbers[letters] = numbers.get(letters, 0) + 1
    assert numbers == {"LC": 9, "KP": 15, "SV": 23, "SL": 12}


def test_readme_commands_exist():
    readme = (ROOT / "README.md").read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"bench", "test"} <= set(re.findall(r"\bmake ([a-z-]+)", readme)) <= targets
    options = set(re.findall(r"(--[a-z][a-z-]+)", " ".join(re.findall(r"pytest [^\n`]*", readme))))
    known = set(re.findall(r'"(--[a-z-]+)"', (ROOT / "bench" / "options.py").read_text()))
    assert options and options <= known, options - known
    for module in re.findall(r"python -m ([a-z.]+)", readme):
        place = ROOT / module.replace(".", "/")
        assert (
            place.with_suffix(".py").exists() or (place / "__main__.py").exists() or module in {"pytest", "venv", "pip"}
        )
    for path in re.findall(r"\]\(([\w./-]+)\)", readme):
        assert (ROOT / path).exists(), path
    assert len(readme.encode()) < 10_000


def test_readme_counts_are_those_of_the_record():
    readme = (ROOT / "README.md").read_text()
    between = readme.split("<!-- counts -->")[1].split("<!-- /counts -->")[0].strip()
    assert between == counts(embedded(ROOT / "reports")).strip()


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
