from pathlib import Path

import pytest
import torch
from torch import nn

from compress.packing.file import as_written, read_packed, write_packed
from compress.pruning.magnitude import MagnitudePruning
from compress.quantization.grouping import PerRow
from compress.quantization.rounding import RoundToNearest
from compress.swap import apply


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(16, 32), nn.Linear(32, 16)


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.embedding, self.block = nn.Embedding(10, 16), Block()
        self.head = nn.Linear(16, 10, bias=False)
        self.register_buffer("steps", torch.arange(3))
        self.register_buffer("scratch", torch.zeros(1000), persistent=False)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
        self.head.weight = self.embedding.weight


def test_a_file_holds_each_weight_once_in_16_bits(tmp_path: Path) -> None:
    model = Model()
    size = write_packed(model, tmp_path / "model")
    read = dict(read_packed(tmp_path / "model"))
    assert read.keys() == model.state_dict().keys() - {"head.weight"}
    for name, value in read.items():
        assert torch.equal(value, model.state_dict()[name].half().float()) or name == "steps"
    values = sum(p.numel() for p in model.parameters())
    assert values * 2 < size == (tmp_path / "model").stat().st_size < values * 2 + 2000


def test_bytes_of_a_pruned_and_a_rounded_model(tmp_path: Path) -> None:
    sizes = {}
    for method in (MagnitudePruning(0.5), RoundToNearest(4, PerRow()), RoundToNearest(8, PerRow())):
        model = Model()
        apply(method, [model.block])
        sizes[str(method)] = write_packed(model, tmp_path / "model")
    weights, header = 2 * 16 * 32, 2000
    dense = write_packed(Model(), tmp_path / "model")
    pruned, four, eight = sizes.values()
    assert dense - pruned == pytest.approx(weights * (2 - 1 - 1 / 8), abs=header / 2)
    assert eight - four == pytest.approx(weights / 2, abs=header / 20)


def test_a_model_computes_as_its_file_says_and_then_as_before(tmp_path: Path) -> None:
    model = Model()
    apply(RoundToNearest(3, PerRow()), [model.block])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    write_packed(model, tmp_path / "model")
    read = dict(read_packed(tmp_path / "model"))
    with as_written(model, tmp_path / "model"):
        assert all(torch.equal(model.state_dict()[name], value) for name, value in read.items())
        assert not torch.equal(model.block.up.bias, before["block.up.bias"])  # 16 bits are narrower
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_another_models_file_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    write_packed(nn.Linear(4, 4), tmp_path / "model")
    model = Model()
    with (
        pytest.raises(ValueError, match=r"has weight as \(4, 4\), which this model has not"),
        as_written(model, tmp_path / "model"),
    ):
        pass


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match="is no file of packed weights"):
        dict(read_packed(tmp_path / "model"))
