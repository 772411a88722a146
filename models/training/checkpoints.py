"""Checkpoints of a training run, from which one that was interrupted goes on."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

from accelerate import Accelerator

from models.errors import InputError
from models.training.plan import History, Training


def newest(folder: Path) -> Path | None:
    """Newest complete checkpoint in a folder; None where there is none."""
    checkpoints = sorted(path for path in folder.glob("step-*") if (path / "history.json").is_file())
    return checkpoints[-1] if checkpoints else None


def steps_done(folder: Path) -> int:
    """Steps after which a run in this folder goes on; 0 where it starts."""
    path = newest(folder)
    return int(path.name.removeprefix("step-")) if path else 0


class Checkpoints:
    """The latest good state of a run in a folder, replaced as a whole."""

    def __init__(self, accelerator: Accelerator, folder: Path | None, training: Training) -> None:
        self.accelerator, self.folder = accelerator, folder
        self.settings = json.loads(json.dumps(asdict(training)))

    def latest(self) -> Path | None:
        """The newest checkpoint."""
        return None if self.folder is None else newest(self.folder)

    def save(self, history: History) -> None:
        """Write aside, move into place, then drop the one before."""
        if self.folder is None:
            return
        before, place = self.latest(), self.folder / f"step-{len(history.losses):08d}"
        beside = place.with_name(f"{place.name}.part")
        self.accelerator.save_state(str(beside), safe_serialization=True)
        if self.accelerator.is_main_process:
            (beside / "history.json").write_text(json.dumps({"training": self.settings, "history": asdict(history)}))
            beside.replace(place)
            if before is not None and before != place:
                shutil.rmtree(before)

    def resume(self) -> History:
        """Load the newest checkpoint if there is one."""
        path = self.latest()
        if path is None:
            return History()
        kept = json.loads((path / "history.json").read_text())
        if kept["training"] != self.settings:
            changed = {key for key, value in self.settings.items() if kept["training"].get(key) != value}
            raise InputError(
                f"{path} holds a run with other settings ({', '.join(sorted(changed))}); "
                "give another folder or delete it"
            )
        try:
            self.accelerator.load_state(str(path))
        except (RuntimeError, KeyError, ValueError) as error:
            reason = str(error).split("\n")[0]
            raise InputError(
                f"{path} is a checkpoint of another architecture ({reason}); give another folder"
            ) from error
        return History(**kept["history"])
