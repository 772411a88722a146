"""Accelerators: each call gets the device and the precision that it asks for."""

import torch

from models.training.accelerators import accelerator_for, generators_of


def test_precision_may_change_from_one_training_to_the_next():
    for precision in ("bf16", "no", "bf16"):
        assert accelerator_for("cpu", precision).mixed_precision == precision


def test_of_several_gpus_only_the_one_that_trains_gives_its_generator(monkeypatch):
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    assert generators_of(torch.device("cpu")) == []
    assert generators_of(torch.device("cuda")) == [1]
    assert generators_of(torch.device("cuda:0")) == [0]
