"""Loading any decoder, and refusing what cannot or must not be opened."""

import shutil

import pytest
import torch
from transformers import GPT2LMHeadModel, PreTrainedConfig
from transformers.pytorch_utils import Conv1D

from models.errors import InputError
from models.load import find_blocks, load, mlp_width, use_linear_layers
from tests.tiny_models import tiny_gpt2


def test_conv1d_becomes_linear_with_identical_logits(tokens):
    model = tiny_gpt2()
    before = model(input_ids=tokens).logits
    use_linear_layers(model)
    assert not any(isinstance(module, Conv1D) for module in model.modules())
    # The same sums in another order of operands: float32 rounding only.
    torch.testing.assert_close(model(input_ids=tokens).logits, before, rtol=1e-5, atol=1e-6)
    assert model.lm_head.weight is model.transformer.wte.weight


def test_a_folder_loads_with_its_parts(gpt2_folder, tokens):
    decoder = load(str(gpt2_folder))
    expected = GPT2LMHeadModel.from_pretrained(gpt2_folder)(input_ids=tokens).logits
    torch.testing.assert_close(decoder.head(decoder.hidden(tokens)), expected, rtol=1e-5, atol=1e-6)
    assert len(decoder.blocks) == 3
    assert decoder.longest_context == 128
    assert not any(parameter.requires_grad for parameter in decoder.model.parameters())
    assert len(decoder.sha256) == 64


def test_the_fingerprint_follows_the_weights(gpt2_folder, tmp_path):
    changed = tmp_path / "changed"
    shutil.copytree(gpt2_folder, changed)
    same = load(str(changed)).sha256
    model = GPT2LMHeadModel.from_pretrained(changed)
    model.transformer.wte.weight.data[0, 0] += 1
    model.save_pretrained(changed)
    assert load(str(gpt2_folder)).sha256 == same != load(str(changed)).sha256


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all", "a/b/c", "missing.gguf"])
def test_a_model_that_is_not_there_is_named(name):
    with pytest.raises(InputError, match=rf"{name}.*give an existing"):
        load(name)


def test_an_unknown_hub_id_points_to_the_embedded_model(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r"no model 'nobody/nothing'.*smollm2-135m"):
        load("nobody/nothing")


def test_pickled_weights_are_never_opened(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"cos\nsystem\n")
    with pytest.raises(InputError, match=r"only pickled weights \(pytorch_model.bin\)"):
        load(str(tmp_path))


def test_a_folder_that_is_no_model_is_named(tmp_path):
    with pytest.raises(InputError, match=r"has no config.json"):
        load(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(InputError, match=r"no \*.safetensors"):
        load(str(tmp_path))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_refused(gpt2_folder):
    with pytest.raises(InputError, match="no CUDA GPU; use --device=cpu"):
        load(str(gpt2_folder), device="cuda")


def test_logits_that_are_changed_after_the_head_are_refused(gpt2_folder, monkeypatch):
    forward = GPT2LMHeadModel.forward

    def capped(self, *args, **kwargs):
        out = forward(self, *args, **kwargs)
        out.logits = 0.1 * torch.tanh(out.logits / 0.1)
        return out

    monkeypatch.setattr(GPT2LMHeadModel, "forward", capped)
    with pytest.raises(InputError, match="changes its logits after the output matrix"):
        load(str(gpt2_folder))


def test_blocks_are_the_layers_of_the_configuration(tiny):
    assert len(find_blocks(tiny)) == tiny.config.num_hidden_layers


def test_the_width_of_the_mlp_is_found_in_every_family(tiny):
    width = mlp_width(tiny.config)
    layers = [m for block in find_blocks(tiny) for m in block.modules() if isinstance(m, torch.nn.Linear)]
    assert sum(width in layer.weight.shape for layer in layers) == 3 * (3 if tiny.config.model_type == "llama" else 2)
    with pytest.raises(InputError, match="does not say how wide"):
        mlp_width(PreTrainedConfig())
