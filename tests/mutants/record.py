"""What became of each mutant: a line of JSON each, the mutants that change nothing, and the table at the end."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tabulate import tabulate

if TYPE_CHECKING:
    from tests.mutants.sample import Mutant

EQUIVALENT = Path(__file__).with_name("equivalent.toml")


@dataclass(frozen=True)
class Result:
    """One mutant tested."""

    identity: str
    """Hash of the mutated file and of the tests: a result stands until one of them changes."""
    path: str
    line: int
    operator: str
    was: str
    becomes: str
    outcome: str
    """`killed`, `survived`, `timed out`, or `explained`: it survived, and a reason is on file why it must."""
    seconds: float
    killer: str
    """First test that failed."""

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What names the mutant however the lines above it move."""
        return self.path, self.operator, self.was, self.becomes


def identity(mutant: Mutant, tests: Sequence[Path]) -> str:
    """Hash of everything that a result is kept for."""
    digest = hashlib.sha256(mutant.source.encode())
    for test in tests:
        digest.update(test.read_bytes())
    return digest.hexdigest()


def read(path: Path) -> dict[str, Result]:
    """Results of earlier runs by identity. A line that was torn by an interruption is left out."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            result = Result(**json.loads(line))
        except (ValueError, TypeError):
            continue
        found[result.identity] = result
    return found


def append(path: Path, result: Result) -> None:
    """Adds a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(result), ensure_ascii=False) + "\n")


def explanations(path: Path = EQUIVALENT) -> dict[tuple[str, str, str, str], str]:
    """Reasons why a mutant changes nothing that a test could see, by what names the mutant."""
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get("mutant", [])
    return {(entry["path"], entry["operator"], entry["was"], entry["becomes"]): entry["why"] for entry in entries}


def score(results: Sequence[Result]) -> float:
    """Share of killed among those that a test can see. A mutant that hangs is found out, so it is killed."""
    outcomes = [result.outcome for result in results]
    seen = len(outcomes) - outcomes.count("explained")
    return 1 - outcomes.count("survived") / seen if seen else float("nan")


def table(results: Sequence[Result], folders: Sequence[str]) -> str:
    """Counts and score of each folder and of all, then each survivor with its change."""
    columns = ("killed", "timed out", "survived", "explained")
    rows = []
    for folder in (*folders, "all"):
        inside = [result for result in results if folder == "all" or result.path.startswith(f"{folder}/")]
        counts = [sum(result.outcome == column for result in inside) for column in columns]
        rows.append([folder, len(inside), *counts, f"{score(inside):.1%}"])
    lines = [tabulate(rows, headers=["folder", "mutants", *columns, "score"], tablefmt="github"), ""]
    for result in results:
        if result.outcome == "survived":
            lines += [f"{result.path}:{result.line} {result.operator}", f"  - {result.was}", f"  + {result.becomes}"]
    return "\n".join(lines)
