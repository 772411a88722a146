"""Every kind of file that a run keeps is told from other errors where it is no longer whole."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from compress.distillation.teacher_cache import cached_logits
from models.damaged import damaged_file


def safetensors(path):
    save_file({"a": torch.zeros(99)}, path)
    return load_file


def pickled(path):
    torch.save({"a": torch.zeros(99)}, path)
    return lambda place: torch.load(place, weights_only=True)


def logits(path):
    cached_logits(path, 9, lambda part: torch.zeros(part.stop - part.start, 3, 4))
    return lambda place: cached_logits(place, 9, lambda part: torch.zeros(1))


def zipped(path):
    with path.open("wb") as file:
        np.savez(file, a=np.zeros(99))

    def read(place):
        with place.open("rb") as file:
            return dict(np.load(file))

    return read


@pytest.mark.parametrize("keep", [safetensors, pickled, logits, zipped], ids=lambda keep: keep.__name__)
@pytest.mark.parametrize("share", [0.0, 0.1, 0.9])
def test_a_file_that_is_not_whole_is_one_sentence(tmp_path, keep, share):
    path = tmp_path / "kept.npy"
    read = keep(path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(Exception) as caught:  # each reader has its own
        read(path)
    assert "delete the folder measurements" in damaged_file(caught.value), repr(caught.value)


def test_other_errors_are_left_alone():
    assert not damaged_file(ValueError("3 is not 4")) and not damaged_file(RuntimeError("size mismatch"))
