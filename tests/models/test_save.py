"""What is saved is what is loaded; what a folder cannot hold is refused, and what was there stays."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from compress.layers import changing_inputs, grids_of
from compress.pruning.sparsegpt import SparseGPT
from compress.pruning.structured import StructuredPruning
from compress.quantization.gptq import GPTQ
from compress.quantization.grouping import PerGroup
from compress.quantization.int8 import SmoothQuant
from compress.quantization.rounding import RoundToNearest
from compress.swap import apply
from models.errors import InputError
from models.load import load
from models.save import save_dense, save_packed

TOKENS = torch.arange(24).view(2, 12)


def compressed(folder, method):
    decoder = load(str(folder))
    apply(method, decoder.blocks, forward=decoder.hidden, batches=[TOKENS])
    return decoder


def dense(decoder, folder):
    save_dense(decoder.model, decoder.tokenizer, folder, changing_inputs=changing_inputs(decoder.model))


def packed(decoder, folder):
    names = changing_inputs(decoder.model)
    save_packed(decoder.model, decoder.tokenizer, folder, grids=grids_of(decoder.model), changing_inputs=names)


def logits(model):
    with torch.inference_mode():
        return model(input_ids=TOKENS, use_cache=False).logits


@pytest.mark.parametrize("kind", ["gpt2_folder", "llama_folder"])
@pytest.mark.parametrize("method", [GPTQ(3, PerGroup(8)), SparseGPT(0.5, (2, 4))], ids=str)
def test_dense_comes_back_bit_for_bit(kind, method, request, tmp_path):
    decoder = compressed(request.getfixturevalue(kind), method)
    dense(decoder, tmp_path / "out")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    expected = logits(decoder.model)
    # GPT-2's own layers multiply the transposed weight, in another order.
    torch.testing.assert_close(logits(again), expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(logits(load(str(tmp_path / "out")).model), expected)
    assert AutoTokenizer.from_pretrained(tmp_path / "out").get_vocab() == decoder.tokenizer.get_vocab()


def test_two_of_four_holds_in_the_saved_file(llama_folder, tmp_path):
    decoder = compressed(llama_folder, SparseGPT(0.5, (2, 4)))
    dense(decoder, tmp_path / "out")
    state = load_file(tmp_path / "out" / "model.safetensors")
    pruned = [value for name, value in state.items() if "proj" in name]
    assert pruned
    for weight in pruned:
        assert ((weight.view(len(weight), -1, 4) != 0).sum(-1) <= 2).all()


@pytest.mark.parametrize("bits, symmetric", [(4, False), (4, True), (8, False)])
@pytest.mark.parametrize("kind", [RoundToNearest, GPTQ])
def test_packed_comes_back(llama_folder, tmp_path, bits, symmetric, kind):
    method = kind(bits, PerGroup(8), symmetric)
    decoder = compressed(llama_folder, method)
    expected = logits(decoder.model)
    packed(decoder, tmp_path / "out")
    assert torch.equal(logits(decoder.model), expected)  # the model itself is left alone
    config = json.loads((tmp_path / "out" / "config.json").read_text())["quantization_config"]
    assert config["format"] == "pack-quantized" and config["config_groups"]["group_0"]["weights"]["num_bits"] == bits
    state = load_file(tmp_path / "out" / "model.safetensors")
    codes = [value for name, value in state.items() if name.endswith("weight_packed")]
    assert len(codes) == 21 and all(value.dtype == torch.int32 for value in codes)
    assert sum(value.numel() * 32 for value in codes) == bits * sum(
        layer.weight.numel() for block in decoder.blocks for layer in block.modules() if hasattr(layer, "grid")
    )
    again = load(str(tmp_path / "out"))
    # A weight is (code - zero point) * scale in float32 on both sides.
    torch.testing.assert_close(logits(again.model), expected, rtol=1e-5, atol=1e-5)


def test_refusals(llama_folder, tmp_path):
    with pytest.raises(InputError, match="changes its inputs"):
        decoder = compressed(llama_folder, SmoothQuant())
        dense(decoder, tmp_path / "out")
    with pytest.raises(InputError, match="changes its inputs"):
        packed(compressed(llama_folder, RoundToNearest(4, PerGroup(8), activation_bits=8)), tmp_path / "out")
    with pytest.raises(InputError, match="configuration says"):
        decoder = compressed(llama_folder, StructuredPruning(0.5))
        dense(decoder, tmp_path / "out")
    with pytest.raises(InputError, match="4 and 8 bits"):
        decoder = compressed(llama_folder, GPTQ(3, PerGroup(8)))
        packed(decoder, tmp_path / "out")
    with pytest.raises(InputError, match="do not divide"):
        decoder = compressed(llama_folder, GPTQ(4, PerGroup(5)))
        packed(decoder, tmp_path / "out")
    with pytest.raises(InputError, match="0 different grids"):
        decoder = load(str(llama_folder))
        packed(decoder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_full_disk_leaves_the_old_folder(llama_folder, tmp_path, monkeypatch):
    decoder = load(str(llama_folder))
    place = tmp_path / "out"
    shutil.copytree(llama_folder, place)
    before = {path.name: path.read_bytes() for path in place.iterdir()}

    def full(*_args, **_rest):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(decoder.tokenizer.__class__, "save_pretrained", full)
    with pytest.raises(OSError, match="No space"):
        dense(decoder, place)
    assert {path.name: path.read_bytes() for path in place.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_transposed_layers_are_not_packed(gpt2_folder, tmp_path):
    """Such a folder could be written and not be opened."""
    decoder = load(str(gpt2_folder))
    apply(RoundToNearest(4, PerGroup(8)), decoder.blocks)
    with pytest.raises(InputError, match=r"gpt2 keeps .*transposed.*use save_dense"):
        packed(decoder, tmp_path / "packed")
    assert not (tmp_path / "packed").exists()
