"""Hold of a run on the folders that it writes to: one run a folder; one that nothing came of goes again."""

from __future__ import annotations

from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from bench import scales
from bench.measure.settings import SCALES
from bench.options import folders
from models.errors import InputError

LOCK = ".run.lock"


class Hold:
    """Folder that belongs to this run until it is released, or the process ends, in whatever way."""

    def __init__(self, folder: Path) -> None:
        """Take the folder, and make it where it is not there.

        Raises:
            InputError: another run has it, or it cannot be written.
        """
        self.folder = folder
        self.made: list[Path] = []
        self.lock = FileLock(folder / LOCK, blocking=False)
        try:
            self.made = [place for place in (folder, *folder.parents) if not place.exists()]
            folder.mkdir(parents=True, exist_ok=True)
            self.lock.acquire()
        except Timeout as error:
            raise InputError(
                f"another run is writing to {folder}; wait until it ends, or give another folder with --report-dir"
            ) from error
        except OSError as error:
            reason = error.strerror or error
            raise InputError(f"{folder} cannot be written ({reason}); give another folder with --report-dir") from error

    def release(self) -> None:
        """Let others have the folder; it goes if this run made it and left nothing in it."""
        self.lock.release()
        if self.made and [path.name for path in self.folder.iterdir()] == [LOCK]:
            (self.folder / LOCK).unlink()
            for place in self.made:
                if any(place.iterdir()):
                    break
                place.rmdir()


HOLDS = pytest.StashKey[list[Hold]]()


def take(session: pytest.Session) -> None:
    """Take the folders of all scales that a session runs, or end it with a sentence."""
    holds = session.config.stash.setdefault(HOLDS, [])
    for folder in sorted({folders(session.config, scale).run for scale in _scales(session)}):
        if refused := _refused(holds, folder):
            pytest.exit(refused, returncode=pytest.ExitCode.USAGE_ERROR)


def _refused(holds: list[Hold], folder: Path) -> str:
    try:
        holds.append(Hold(folder))
    except InputError as error:
        return str(error)
    return ""


def _scales(session: pytest.Session) -> set[str]:
    """Scales of a session's rows; one that has workers does not know its items, and goes by what `-m` asks for."""
    options = session.config.option
    if getattr(options, "tx", None):
        return set(scales.shown(options.markexpr, options.scale).split(" and "))
    rows = (getattr(item, "callspec", None) for item in session.items)
    return {str(row.params.get("session")) for row in rows if row is not None} & SCALES.keys()


def release(config: pytest.Config) -> None:
    """Let others have the folders of a session."""
    for hold in config.stash.get(HOLDS, []):
        hold.release()
