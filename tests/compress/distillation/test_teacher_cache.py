"""A teacher's logits are computed once."""

import pytest
import torch

from compress.distillation.teacher_cache import cached_logits


def test_cached_logits_are_the_teachers(tmp_path):
    logits = torch.randn(7, 2, 5, generator=torch.Generator().manual_seed(0))
    asked = []

    def compute(part):
        asked.append(part)
        return logits[part]

    path = tmp_path / "teacher.npy"
    assert torch.equal(cached_logits(path, 7, compute, batch=3), logits)
    assert torch.equal(cached_logits(path, 7, compute, batch=3), logits)
    assert len(asked) == 3  # once, in parts
    with pytest.raises(ValueError, match="not 8"):
        cached_logits(path, 8, compute)


@pytest.mark.parametrize("batch", [1, 4, 7, 8])
def test_parts_cover_every_example_once_whatever_the_batch(tmp_path, batch):
    logits = torch.randn(7, 3, generator=torch.Generator().manual_seed(0))
    asked = []

    def compute(part):
        asked.append((part.start, part.stop))
        return logits[part]

    assert torch.equal(cached_logits(tmp_path / "teacher.npy", 7, compute, batch=batch), logits)
    assert asked == [(start, min(start + batch, 7)) for start in range(0, 7, batch)]


def test_what_fails_midway_leaves_no_file(tmp_path):
    def compute(part):
        if part.start:
            raise RuntimeError("midway")
        return torch.ones(3, 2)

    with pytest.raises(RuntimeError, match="midway"):
        cached_logits(tmp_path / "teacher.npy", 7, compute, batch=3)
    assert not list(tmp_path.iterdir())
