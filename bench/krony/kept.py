"""Weights of the ladder's teacher, beside the record: students of a later run start where those before did."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from transformers import PreTrainedModel

from models.errors import InputError
from models.folders import written_aside
from models.gpt2 import unique_parameters

FILE = "ladder-teacher.safetensors"
MOST_PARAMETERS = 4_000_000
"""A larger teacher is left to its checkpoints; 16 MB are the most that a record should carry."""
DECIDED_BY = "decided_by"


def kept_weights(
    path: Path, model: PreTrainedModel, decided_by: str, train: Callable[[], PreTrainedModel]
) -> PreTrainedModel:
    """A teacher with the weights of a file, or as it is trained now and then written to the file; without dropout.

    Args:
        path: of the file. One that something else decided is written anew.
        model: of the file's shapes; its own weights do not matter.
        decided_by: name of all that decides the weights: settings, text, seed and code.
        train: gives the model where the file does not have it.

    Raises:
        InputError: the file cannot be read, or holds another architecture.
    """
    if not (path.is_file() and _restored(path, model, decided_by)):
        model = train()
        if unique_parameters(model) <= MOST_PARAMETERS:
            weights = {name: value.detach().cpu().contiguous() for name, value in model.named_parameters()}
            with written_aside(path) as beside:
                save_file(weights, beside, metadata={DECIDED_BY: decided_by})
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # students start from here and are trained without
    return model.eval().requires_grad_(False)


def _restored(path: Path, model: PreTrainedModel, decided_by: str) -> bool:
    """Fill a model from a file; False where something else decided what is in it."""
    try:
        with safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get(DECIDED_BY) != decided_by:
                return False
            weights = {name: file.get_tensor(name) for name, _ in model.named_parameters()}
        model.load_state_dict(weights, strict=False)  # a tied weight stands once in the file
    except (SafetensorError, OSError, RuntimeError) as error:
        reason = str(error).partition("\n\t")[2] or str(error)  # torch heads a list with a line of its own
        raise InputError(
            f"{path} cannot be read ({reason.partition(chr(10))[0]}); restore it from git, or delete it to train anew"
        ) from error
    return True
