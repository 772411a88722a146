"""Compression that is interrupted and goes on: the same layers, and only the blocks that were left."""

import copy

import pytest
import torch

from compress.factorisation.kronecker.method import KroneckerFactorisation
from compress.method import Method
from compress.pruning.sparsegpt import SparseGPT
from compress.pruning.structured import StructuredPruning
from compress.pruning.wanda import WandaPruning
from compress.quantization.awq import AWQ
from compress.quantization.float_grid import FP4, FP8_E4M3, FloatRounding
from compress.quantization.gptq import GPTQ
from compress.quantization.grouping import PerGroup
from compress.quantization.int8 import LLMInt8, SmoothQuant
from compress.swap import apply
from models.load import find_blocks

METHODS = [
    GPTQ(4, PerGroup(8)),
    GPTQ(4, PerGroup(8), activation_bits=8),
    GPTQ(4, PerGroup(8), true_sequential=True, first_token_weight=10.0),
    AWQ(4, PerGroup(8)),
    SparseGPT(0.5),
    WandaPruning(0.5),
    LLMInt8(1.0),
    SmoothQuant(),
    StructuredPruning(0.25),
]


class Interrupted(Exception):
    pass


def run(method, model, tokens, **options):
    return apply(
        method, find_blocks(model), forward=lambda batch: model(input_ids=batch), batches=tokens.split(2), **options
    )


def interrupting(method, monkeypatch, after):
    """Let a method fail when it has been called with that many blocks."""
    begun = set()
    plain = type(method).compress_block

    def compress_block(self, layers, statistics, *, prefix):
        begun.add(prefix)
        if len(begun) > after:
            raise Interrupted
        return plain(self, layers, statistics, prefix=prefix)

    monkeypatch.setattr(type(method), "compress_block", compress_block)


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_an_interrupted_run_goes_on_where_it_was(tiny, tokens, tmp_path, monkeypatch, method):
    whole, model = copy.deepcopy(tiny), tiny
    plain = run(method, whole, tokens)
    with monkeypatch.context() as patch:
        interrupting(method, patch, after=2)
        with pytest.raises(Interrupted):
            run(method, model, tokens, keep=tmp_path / "blocks")
    assert len(list((tmp_path / "blocks").glob("block-*.pt"))) == 2
    with monkeypatch.context() as patch:
        interrupting(method, patch, after=1)  # only one block may be left to do
        outcome = run(method, model, tokens, keep=tmp_path / "blocks")
    assert outcome.compressed == plain.compressed
    with torch.no_grad():
        assert torch.equal(model(input_ids=tokens).logits, whole(input_ids=tokens).logits)


def test_the_originals_come_back_after_a_resumed_run(tiny, tokens, tmp_path):
    with torch.no_grad():
        before = tiny(input_ids=tokens).logits
    for _ in range(2):
        outcome = run(WandaPruning(0.5), tiny, tokens, keep=tmp_path / "blocks")
        outcome.undo()
    assert torch.equal(tiny(input_ids=tokens).logits, before)


@pytest.mark.parametrize("change", ["method", "weights", "calibration"])
def test_blocks_of_another_run_are_refused(tiny, tokens, tmp_path, change):
    method: Method = WandaPruning(0.5)
    run(method, tiny, tokens, keep=tmp_path / "blocks").undo()
    if change == "method":
        method = WandaPruning(0.25)
    elif change == "weights":
        next(find_blocks(tiny)[0].parameters()).data.view(-1)[0] += 1
    else:
        tokens = tokens.flip(1)
    with pytest.raises(ValueError, match=f"another {change};.*give another folder"):
        run(method, tiny, tokens, keep=tmp_path / "blocks")


def test_layers_of_another_kind_are_not_kept_in_silence(tiny, tokens, tmp_path):
    with pytest.raises(TypeError, match="KroneckerLinear, which is not kept"):
        run(KroneckerFactorisation((2, 1)), tiny, tokens, keep=tmp_path / "blocks")


def test_inputs_rounded_in_another_way_are_not_kept_in_silence(tiny, tokens, tmp_path):
    with pytest.raises(TypeError, match=r"rounds its inputs by .*, which is not kept"):
        run(FloatRounding(FP4, activations=FP8_E4M3), tiny, tokens, keep=tmp_path / "blocks")
    assert list((tmp_path / "blocks").glob("block*")) == []


def test_nothing_but_layers_is_read_back(tiny, tokens, tmp_path):
    folder = tmp_path / "blocks"
    run(WandaPruning(0.5), tiny, tokens, keep=folder).undo()
    torch.save({"mlp": Interrupted()}, folder / "block-00000.pt")
    with pytest.raises(Exception, match="Interrupted"):
        run(WandaPruning(0.5), tiny, tokens, keep=folder)
