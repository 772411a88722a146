"""Mutation score of the kernels and the verdicts: `python -m tests.mutants`, or `make mutants`.

Each mutant of a fixed sample is tested by the tests that mirror its file, until the first fails. Results are kept in
build/mutants/results.jsonl, so an interrupted run goes on where it was. Ends with status 1 below `--at-least`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.mutants.record import Result, append, explanations, identity, read, score, table
from tests.mutants.sample import Mutant, sample
from tests.mutants.sandbox import Sandbox

ROOT = Path(__file__).parents[2]
FOLDERS = ("compress", "bench/verdict")
RESULTS = ROOT / "build" / "mutants" / "results.jsonl"
SEED = 20261128


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Command line, read."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--count", type=int, default=200, help="number of mutants")
    parser.add_argument("--seed", type=int, default=SEED, help="which mutants are drawn")
    parser.add_argument("--at-least", type=float, default=0.9, help="lowest score that counts as success")
    parser.add_argument("--only", default="", help="test only those of files whose path contains this")
    parser.add_argument("--list", action="store_true", help="print the sample and test nothing")
    return parser.parse_args(arguments)


def mirror(path: str, root: Path) -> list[Path]:
    """Tests of a file: those of the same place and name, more words after it or not; else the nearest folder's."""
    place = root / "tests" / path
    named = [place.with_name(f"test_{place.name}"), *sorted(place.parent.glob(f"test_{place.stem}_*.py"))]
    if named[0].is_file():
        return named
    for folder in place.parents:
        if found := sorted(folder.glob("test_*.py")):
            return found
    raise FileNotFoundError(f"{path} has no tests in {place.parent} or above")


def _tested(sandbox: Sandbox, mutants: Sequence[Mutant], kept: dict[str, Result]) -> Iterator[Result]:
    """Results in order; those of an earlier run are taken from it. The tests are run once on the unchanged file."""
    explained, usual = explanations(), {}
    for number, mutant in enumerate(mutants, 1):
        tests = mirror(mutant.path, sandbox.root)
        name = identity(mutant, tests)
        result = kept.get(name)
        if result is None:
            places = [str(test.relative_to(sandbox.root)) for test in tests]
            if mutant.path not in usual:
                usual[mutant.path] = sandbox.test(places, timeout=600)
                if usual[mutant.path].outcome != "passed":
                    raise SystemExit(f"{mutant.path} as it is: {usual[mutant.path]}")
            limit = 30 + 10 * usual[mutant.path].seconds
            run = sandbox.test(places, timeout=limit, path=mutant.path, source=mutant.source)
            outcome = {"passed": "survived", "failed": "killed"}.get(run.outcome, run.outcome)
            result = Result(
                name, mutant.path, mutant.line, mutant.operator, mutant.was, mutant.becomes, outcome, run.seconds,
                run.first_failure,
            )  # fmt: skip
            append(RESULTS, result)
        if result.outcome == "survived" and result.key in explained:
            result = Result(**{**vars(result), "outcome": "explained"})
        print(f"{number}/{len(mutants)} {result.outcome} {result.path}:{result.line} {result.operator}", flush=True)
        yield result


def main(arguments: Sequence[str] | None = None) -> int:
    """Tests the sample and prints the table; 1 where the score is too low."""
    chosen = options(arguments)
    with Sandbox(ROOT) as sandbox:
        root = sandbox.root  # the working tree may be edited meanwhile
        files = [path for folder in FOLDERS for path in sorted((root / folder).rglob("*.py"))]
        names = [path.relative_to(root).as_posix() for path in files]
        mutants = sample(root, names, count=chosen.count, seed=chosen.seed)
        mutants = [mutant for mutant in mutants if chosen.only in mutant.path]
        if chosen.list:
            for mutant in mutants:
                print(f"{mutant.path}:{mutant.line} {mutant.operator}\n  - {mutant.was}\n  + {mutant.becomes}")
            return 0
        results = list(_tested(sandbox, mutants, read(RESULTS)))
    print(table(results, FOLDERS))
    return int(not score(results) >= chosen.at_least)


if __name__ == "__main__":
    sys.exit(main())
