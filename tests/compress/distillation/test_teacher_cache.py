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
