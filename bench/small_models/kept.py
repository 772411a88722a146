"""Trained models in files of a run's folder, so that what variants share is trained once, also by two processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from filelock import FileLock
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from bench.verdict.documents import Array
from models.folders import written_aside

CURVES = "curves"


def trained_once(path: Path, models: Sequence[nn.Module], train: Callable[[], Array]) -> Array:
    """Curves `[models, points]` of models trained in place, by `train` or by an earlier run that left them in a file.

    Args:
        path: of the file; name it by all that decides its content.
        models: of the shapes that the file has.
        train: trains them in place and gives their curves.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if path.exists():
            return _taken(path, models)
        curves = train()
        weights = {f"{n}.{name}": value for n, model in enumerate(models) for name, value in _weights(model).items()}
        with written_aside(path) as beside:
            save_file({CURVES: torch.from_numpy(curves).clone(), **weights}, beside)
        return curves


@torch.no_grad()
def _taken(path: Path, models: Sequence[nn.Module]) -> Array:
    kept = load_file(path)
    for number, model in enumerate(models):
        for name, parameter in model.named_parameters():
            parameter.copy_(kept[f"{number}.{name}"])
        model.eval()
    return kept[CURVES].numpy()


def _weights(model: nn.Module) -> dict[str, Tensor]:
    """Parameters by name, each once where several names share it."""
    return {name: parameter.detach().cpu().contiguous() for name, parameter in model.named_parameters()}
