"""Checkpoints of a training run, from which one that was interrupted goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from accelerate import Accelerator
from filelock import FileLock
from safetensors import SafetensorError

from models.errors import InputError
from models.training.plan import History, Training

HISTORY = "history.json"


def newest(folder: Path) -> Path | None:
    """Newest complete checkpoint in a folder; None where there is none. One that is still being written is none."""
    checkpoints = sorted(path for path in folder.glob("step-*") if _steps(path) and (path / HISTORY).is_file())
    return checkpoints[-1] if checkpoints else None


def _steps(path: Path) -> int:
    """Steps after which a checkpoint was written; 0 for a folder of another name."""
    number = path.name.removeprefix("step-")
    return int(number) if number.isdecimal() else 0


def steps_done(folder: Path) -> int:
    """Steps after which a run in this folder goes on; 0 where it starts."""
    path = newest(folder)
    return _steps(path) if path else 0


class Checkpoints:
    """The latest good state of a run in a folder, replaced as a whole."""

    def __init__(self, accelerator: Accelerator, folder: Path | None, training: Training) -> None:
        self.accelerator, self.folder = accelerator, folder
        self.settings = json.loads(json.dumps(asdict(training)))

    def latest(self) -> Path | None:
        """The newest checkpoint."""
        return None if self.folder is None else newest(self.folder)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold of the folder: a second training there waits, and then goes on from what this one left."""
        if self.folder is None or self.accelerator.num_processes > 1:  # processes of one training share it
            yield
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / ".training.lock"):
            yield

    def save(self, history: History) -> None:
        """Write aside, move into place, then drop the one before."""
        if self.folder is None:
            return
        before, place = self.latest(), self.folder / f"step-{len(history.losses):08d}"
        beside = place.with_name(f"{place.name}.part")
        if self.accelerator.is_main_process:
            for left in (place, *self.folder.glob("step-*.part")):  # by trainings that were killed while they wrote
                shutil.rmtree(left, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        self.accelerator.save_state(str(beside), safe_serialization=True)
        if self.accelerator.is_main_process:
            (beside / HISTORY).write_text(json.dumps({"training": self.settings, "history": asdict(history)}))
            beside.replace(place)
            if before is not None and before != place:
                shutil.rmtree(before)

    def resume(self) -> History:
        """Load the newest checkpoint if there is one.

        Raises:
            InputError: it is of other settings or of another architecture, or it is damaged.
        """
        path = self.latest()
        if path is None:
            return History()
        settings, history = _recorded(path)
        if settings != self.settings:
            changed = {key for key, value in self.settings.items() if settings.get(key) != value}
            raise InputError(
                f"{path} holds a run with other settings ({', '.join(sorted(changed))}); "
                "give another folder or delete it"
            )
        try:
            self.accelerator.load_state(str(path))
        except RuntimeError as error:
            if "size mismatch" in str(error) or "in state_dict" in str(error):
                raise InputError(
                    f"{path} is a checkpoint of another architecture ({_first_line(error)}); give another folder"
                ) from error
            raise _damaged(path, error) from error
        except (SafetensorError, OSError, EOFError, UnpicklingError, KeyError, ValueError) as error:
            raise _damaged(path, error) from error
        return history


def _recorded(path: Path) -> tuple[dict[str, Any], History]:
    """Settings and history of a checkpoint."""
    try:
        kept = json.loads((path / HISTORY).read_text())
        return dict(kept["training"]), History(**kept["history"])
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(
        f"the checkpoint {path} is damaged ({_first_line(error)}); delete it, and the training starts again"
    )


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0]
