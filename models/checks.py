"""Refusals of models that cannot be measured, because they are damaged or incomplete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from models.errors import InputError


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
        key, shape, wanted = misshapen[0]
        problems.append(f"{key} is {tuple(shape)} and the configuration says {tuple(wanted)}{_more(misshapen)}")
    absent = sorted(set(report.get("missing_keys", ())) - {key for key, *_ in misshapen})
    if absent:
        problems.append(f"it lacks {absent[0]}{_more(absent)}")
    if unknown := sorted(report.get("unexpected_keys", ())):
        problems.append(f"the architecture has no {unknown[0]}{_more(unknown)}")
    if problems:
        raise InputError(
            f"the weights of {name} do not fit its config.json: {'; '.join(problems)}; write it again with "
            "save_pretrained from the model that config.json describes"
        )


def _more(names: Sequence[object]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""


def check_finite(name: str, model: nn.Module) -> None:
    """Refuse weights that hold NaN or infinity.

    Raises:
        InputError: the first such tensor, by name.
    """
    for key, value in model.named_parameters():
        if value.is_floating_point() and not value.isfinite().all():
            count = int((~value.isfinite()).sum())
            raise InputError(
                f"{name}: {count:,} of {value.numel():,} values of {key} are NaN or infinite; the checkpoint is "
                "damaged or was written in a dtype too narrow for it"
            )
