"""Refusals of models that cannot be measured, because they are damaged or incomplete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers import PreTrainedModel

from models.errors import InputError
from models.held import held_tensors

CONSTANTS = (".masked_bias", ".rotary_emb.inv_freq")
"""Ends of the names of buffers that old checkpoints hold and architectures now make themselves."""
MARKS = {
    ".W_q": "HQQ",
    ".qweight": "GPTQ or AWQ",
    ".weight._data": "optimum-quanto",
    ".weight_packed": "compressed-tensors",
}
"""Ends of the names that a format gives its tensors, where the configuration may not say that it is one."""
NAMED = 3
"""Tensors of one kind that a refusal names; it counts the others."""


def check_whole(name: str, files: Sequence[Path]) -> None:
    """Refuse files of weights that were cut short; only their beginnings are read.

    Raises:
        InputError: the first such file.
    """
    for file in files:
        try:
            with safe_open(file, framework="pt"):
                pass
        except (SafetensorError, OSError) as error:
            raise InputError(
                f"{file.name} of {name} is damaged or cut short ({error}); copy, download or write it again"
            ) from error


def check_floats(name: str, files: Sequence[Path]) -> None:
    """Refuse codes of a packed format that the configuration does not name: they would be read as weights.

    Raises:
        InputError: a weight of integers, by name.
    """
    for file in files:
        with safe_open(file, framework="pt") as opened:
            for key in opened.keys():
                kind = str(opened.get_slice(key).get_dtype())
                if key.endswith(".weight") and not kind.startswith(("F", "BF")):
                    raise InputError(
                        f"{key} of {name} holds integers where weights belong ({kind}); write it again at full width, "
                        "or with the quantization_config of its format"
                    )


def check_complete(name: str, report: Mapping[str, Any]) -> None:
    """Refuse a checkpoint whose weights are not just those of its architecture: what is missing would be random.

    Args:
        name: of the model.
        report: what transformers says of loading it.

    Raises:
        InputError: weights that are missing, that the architecture does not have, or of other shapes; by name.
    """
    problems = []
    if misshapen := sorted(report.get("mismatched_keys", ())):
        shapes = [
            f"{key} is {_sizes(found)} and the configuration says {_sizes(said)}" for key, found, said in misshapen
        ]
        problems.append(listed(shapes))
    if absent := sorted(set(report.get("missing_keys", ())) - {key for key, *_ in misshapen}):
        problems.append(f"it lacks {listed(absent)}")
    if unknown := sorted(key for key in report.get("unexpected_keys", ()) if not key.endswith(CONSTANTS)):
        marks = [name for mark, name in MARKS.items() if any(key.endswith(mark) for key in unknown)]
        packed = f" (names of the format {marks[0]}, which is not opened so)" if marks else ""
        problems.append(f"the architecture has no {listed(unknown)}{packed}")
    if problems:
        raise InputError(
            f"the weights of {name} do not fit its configuration: {'; '.join(problems)}; write it again with "
            "the program that made it, from the model that the configuration describes"
        )


def _sizes(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "a number"


def listed(names: Sequence[str]) -> str:
    """Three names, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def check_ties(name: str, model: PreTrainedModel) -> None:
    """Refuse weights that config.json says are one and the file has two of: other programs would drop either.

    Equal copies are one.

    Raises:
        InputError: the names of two that differ.
    """
    weights = dict(model.named_parameters(remove_duplicate=False))
    for one, other in model.get_expanded_tied_weights_keys(all_submodels=True).items():
        pair = weights.get(one), weights.get(other)
        if pair[0] is not pair[1] and all(type(each) in {Tensor, nn.Parameter} for each in pair):
            raise InputError(
                f"the configuration of {name} ties {one} to {other}, and its weights have another value for each; set "
                "tie_word_embeddings to false in config.json, or write it again with save_pretrained"
            )


def check_finite(name: str, model: nn.Module) -> None:
    """Refuse weights that hold NaN or infinity, packed ones by their scales and zero points.

    Buffers that an architecture makes itself, such as masks, may be infinite.

    Raises:
        InputError: the first such tensor, by name.
    """
    made = {key for key, _ in model.named_buffers()} - set(model.state_dict())
    for key, value in held_tensors(model):
        if key in made or not value.is_floating_point():
            continue
        wide = value.to(torch.float32) if value.element_size() == 1 else value  # eight bits have no isfinite
        if not wide.isfinite().all():
            count = int((~wide.isfinite()).sum())
            raise InputError(
                f"{name}: {count:,} of {value.numel():,} values of {key} are NaN or infinite; the checkpoint is "
                "damaged or was written in a dtype too narrow for it"
            )
