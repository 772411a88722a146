"""Compressed blocks kept in a folder: an interrupted run goes on at the block it had reached."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from compress.files import written_aside
from compress.grid import fake_quantize
from compress.layers import CompressedModule, SimulatedLinear, WeightGrid
from compress.size import Storage

ORIGIN = "origin.json"
READABLE = [SimulatedLinear, Storage, WeightGrid, partial, fake_quantize]
"""Types and functions that a kept layer is made of; nothing else is unpickled."""


def origin_of(method: object, blocks: Sequence[nn.Module], batches: Iterable[Tensor]) -> dict[str, str]:
    """Identity of a run, by all that decides its outcome: the method in full, and hashes of weights and tokens."""
    weights, tokens = hashlib.sha256(), hashlib.sha256()
    for block in blocks:
        for name, value in block.state_dict().items():
            weights.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            weights.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    for batch in batches:
        tokens.update(str(tuple(batch.shape)).encode())
        tokens.update(batch.cpu().contiguous().numpy().data)
    return {"method": repr(method), "weights": weights.hexdigest(), "calibration": tokens.hexdigest()}


class KeptBlocks:
    """Folder with the compressed layers of every block that is done.

    Raises:
        ValueError: the folder holds another run's blocks.
    """

    def __init__(self, folder: Path, origin: Mapping[str, str]) -> None:
        self.folder = folder
        place = folder / ORIGIN
        if place.is_file():
            kept = json.loads(place.read_text(encoding="utf-8"))
            if changed := sorted(key for key in {*kept, *origin} if kept.get(key) != origin.get(key)):
                raise ValueError(
                    f"{folder} holds blocks of a run with another {', '.join(changed)}; "
                    "give another folder or delete it"
                )
            return
        with written_aside(place) as beside:
            beside.write_text(json.dumps(dict(origin)), encoding="utf-8")

    def _path(self, index: int) -> Path:
        return self.folder / f"block-{index:05d}.pt"

    def done(self, index: int) -> bool:
        """True for a block that is kept."""
        return self._path(index).is_file()

    def load(self, index: int, device: torch.device) -> dict[str, SimulatedLinear]:
        """Loads the layers of a kept block onto a device, wherever they were made, by their names in the block."""
        with torch.serialization.safe_globals(READABLE):  # pyright: ignore[reportArgumentType]
            return torch.load(self._path(index), weights_only=True, map_location=device)

    def save(self, index: int, layers: Mapping[str, CompressedModule]) -> None:
        """Keeps a block's layers.

        Raises:
            TypeError: a layer of a kind that cannot be read back.
        """
        for name, layer in layers.items():
            if type(layer) is not SimulatedLinear:
                raise TypeError(f"{name} became a {type(layer).__name__}, which is not kept; run without a folder")
            if layer.quantize_inputs is not None and getattr(layer.quantize_inputs, "func", None) is not fake_quantize:
                raise TypeError(f"{name} rounds its inputs by {layer.quantize_inputs}, which is not kept; run without")
        with written_aside(self._path(index)) as beside:
            torch.save(dict(layers), beside)
