"""Checkpoints as other tools write them: `pip install -e '.[formats]'`, then `pytest tests -m slow`.

GGUF, which needs no further tool, is in `test_gguf.py`, and the suite's own packed folders in `test_save.py`.
"""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, TorchAoConfig

from models.errors import InputError
from models.formats import check_packages
from models.held import held_bytes
from models.load import load
from models.sources import weight_bytes
from tests import foreign
from tests.tiny_models import saved

pytestmark = pytest.mark.slow
TOKENS = torch.arange(40).view(2, 20)


@pytest.fixture(scope="module")
def dense_folder(tmp_path_factory):
    return saved(foreign.small_llama(), tmp_path_factory.mktemp("dense"))


def logits(decoder):
    return decoder.head(decoder.hidden(TOKENS)).float()


def has_packages(method):
    """Skips the test where a format's packages are not installed."""
    try:
        check_packages(method, "this test's checkpoint")
    except InputError as error:
        pytest.skip(str(error))


def beside(dense, folder):
    """The folder with the dense model's tokenizer."""
    for file in dense.glob("tokenizer*"):
        shutil.copy(file, folder)
    return folder


def is_refused_without(folder, part):
    """Whatever the format, a copy that lacks one tensor is refused by the name of its layer."""
    weights = load_file(folder / "model.safetensors")
    (gone,) = (key for key in weights if key.endswith(part))
    damaged = shutil.copytree(folder, folder.with_name(f"{folder.name}-damaged"))
    save_file({k: v for k, v in weights.items() if k != gone}, damaged / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"(it lacks|what) model\.layers\.1\.self_attn\.o_proj"):
        load(str(damaged))


@pytest.mark.parametrize(
    ("options", "rounding"),
    [
        # Some CPUs multiply NF4 with scales in bfloat16.
        ({"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": torch.float32}, 8e-3),
        ({"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True}, 8e-3),
        ({"load_in_8bit": True}, 1e-6),
    ],
    ids=["nf4", "nf4-double", "int8"],
)
def test_bitsandbytes(dense_folder, tmp_path, options, rounding):
    has_packages("bitsandbytes")
    config = BitsAndBytesConfig(**options)
    model = AutoModelForCausalLM.from_pretrained(
        dense_folder, quantization_config=config, device_map="cpu", dtype=torch.float32
    )
    model.save_pretrained(tmp_path / "packed")
    folder = beside(dense_folder, tmp_path / "packed")
    opened, dense = load(str(folder)), load(str(dense_folder))
    with torch.inference_mode():
        expected = model(input_ids=TOKENS).logits
    torch.testing.assert_close(logits(opened), expected, rtol=0, atol=rounding)
    assert weight_bytes(str(folder)) < weight_bytes(str(dense_folder)) / 2
    assert held_bytes(opened.model) < held_bytes(dense.model) / 2
    is_refused_without(folder, "layers.1.self_attn.o_proj.weight")


def torchao_configs():
    """Formats of torchao that a CPU packs and opens."""
    quantization = pytest.importorskip("torchao.quantization", reason="pip install -e '.[formats]'")
    return {
        "int8": quantization.Int8WeightOnlyConfig(version=2),
        "int8-activations": quantization.Int8DynamicActivationInt8WeightConfig(version=2),
        "float8": quantization.Float8WeightOnlyConfig(),
        "int4": quantization.IntxWeightOnlyConfig(
            weight_dtype=torch.int4, granularity=quantization.PerGroup(32), version=2
        ),
    }


@pytest.mark.parametrize("kind", ["int8", "int8-activations", "float8", "int4"])
def test_torchao(dense_folder, tmp_path, kind):
    has_packages("torchao")
    config = TorchAoConfig(torchao_configs()[kind])
    model = AutoModelForCausalLM.from_pretrained(dense_folder, quantization_config=config, dtype=torch.float32)
    model.save_pretrained(tmp_path / "packed")
    folder = beside(dense_folder, tmp_path / "packed")
    opened, dense = load(str(folder)), load(str(dense_folder))
    with torch.inference_mode():
        torch.testing.assert_close(logits(opened), model(input_ids=TOKENS).logits, rtol=1e-5, atol=1e-6)
    assert weight_bytes(str(folder)) < weight_bytes(str(dense_folder)) / 2
    assert held_bytes(opened.model) < held_bytes(dense.model) / 2


@pytest.mark.parametrize("kind", ["qint8", "qint4", "qint2", "qfloat8"])
@pytest.mark.parametrize("head", [False, True], ids=["", "head"])
def test_optimum_quanto(dense_folder, tmp_path, kind, head):
    has_packages("quanto")
    quanto = pytest.importorskip("optimum.quanto")
    dense = AutoModelForCausalLM.from_pretrained(dense_folder, dtype=torch.float32)
    excluded = None if head else "lm_head"
    model = quanto.QuantizedModelForCausalLM.quantize(dense, weights=getattr(quanto, kind), exclude=excluded)
    model.save_pretrained(tmp_path / "packed")
    folder = beside(dense_folder, tmp_path / "packed")
    with torch.no_grad():
        torch.testing.assert_close(logits(load(str(folder))), model(input_ids=TOKENS).logits, rtol=1e-5, atol=1e-5)
    assert weight_bytes(str(folder)) < weight_bytes(str(dense_folder)) / 2
    is_refused_without(folder, "layers.1.self_attn.o_proj.weight._scale")


def test_optimum_quanto_with_rounded_activations_is_refused(dense_folder, tmp_path):
    has_packages("quanto")
    quanto = pytest.importorskip("optimum.quanto")
    dense = AutoModelForCausalLM.from_pretrained(dense_folder, dtype=torch.float32)
    model = quanto.QuantizedModelForCausalLM.quantize(dense, weights=quanto.qint8, activations=quanto.qint8)
    model.save_pretrained(tmp_path / "packed")
    with pytest.raises(InputError, match=r"rounds the activations of \d+ layers"):
        load(str(beside(dense_folder, tmp_path / "packed")))


LAYOUTS = {
    "gptq": (foreign.gptq, {"bits": 4, "group_size": 32, "desc_act": False, "sym": False, "checkpoint_format": "gptq"}),
    "awq": (foreign.awq, {"bits": 4, "group_size": 32, "zero_point": True, "version": "gemm"}),
}


@pytest.mark.parametrize("method", LAYOUTS)
def test_gptq_and_awq(dense_folder, tmp_path, method):
    """Packed by the formats' own rules: their tools take minutes on a CPU."""
    has_packages(method)
    folder = shutil.copytree(dense_folder, tmp_path / "packed")
    layout, settings = LAYOUTS[method]
    back = foreign.write(folder, layout, {"quant_method": method, **settings})
    expected = foreign.small_llama()
    expected.load_state_dict(back | {"lm_head.weight": back["model.embed_tokens.weight"]})
    opened = load(str(folder))
    # Its kernel for CPUs rounds scales to bfloat16.
    torch.testing.assert_close(logits(opened), expected(input_ids=TOKENS).logits, rtol=0, atol=8e-3)
    assert weight_bytes(str(folder)) < weight_bytes(str(dense_folder)) / 2
    assert held_bytes(opened.model) < held_bytes(expected) / 2
    is_refused_without(folder, "layers.1.self_attn.o_proj.qweight")


SCHEMES = {
    "W4A16": "pack-quantized",
    "W8A16": "pack-quantized",
    "W8A8": "int-quantized",
    "FP8_DYNAMIC": "float-quantized",
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_compressed_tensors(dense_folder, tmp_path, scheme):
    """Activations too are rounded as the checkpoint says."""
    from compressed_tensors.compressors import ModelCompressor
    from compressed_tensors.quantization import QuantizationConfig, QuantizationStatus, preset_name_to_scheme
    from compressed_tensors.quantization import apply_quantization_config as apply
    from compressed_tensors.quantization.utils import calculate_qparams

    model, chosen = foreign.small_llama(), preset_name_to_scheme(scheme, ["Linear"])
    chosen.weights.group_size = foreign.GROUP if scheme.endswith("A16") else None
    status = {"format": SCHEMES[scheme], "quantization_status": QuantizationStatus.COMPRESSED}
    config = QuantizationConfig(config_groups={"group_0": chosen}, ignore=["lm_head"], **status)
    apply(model, config)
    for layer in [each for each in model.modules() if hasattr(each, "weight_scale")]:
        groups = layer.weight.unflatten(1, (-1, chosen.weights.group_size or layer.in_features))
        scales, _ = calculate_qparams(groups.amin(-1), groups.amax(-1), chosen.weights)
        layer.weight_scale.data = scales.reshape(layer.weight_scale.shape).to(layer.weight_scale.dtype)
        layer.quantization_status = QuantizationStatus.FROZEN
    with torch.inference_mode():
        expected = model(input_ids=TOKENS).logits
    compressor = ModelCompressor(quantization_config=config, force_compression_format=SCHEMES[scheme])
    compressor.compress_model(model)
    model.save_pretrained(tmp_path / "packed")
    compressor.update_config(str(tmp_path / "packed"))
    folder = beside(dense_folder, tmp_path / "packed")
    torch.testing.assert_close(logits(load(str(folder))), expected, rtol=1e-5, atol=1e-6)
    assert weight_bytes(str(folder)) < weight_bytes(str(dense_folder)) / 2
    is_refused_without(folder, "layers.1.self_attn.o_proj.weight_scale")


def test_hqq_is_refused_by_its_names(dense_folder, tmp_path):
    has_packages("hqq")
    from hqq.core.quantize import BaseQuantizeConfig
    from hqq.models.hf.base import AutoHQQHFModel

    model = foreign.small_llama()
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())  # which it could not save tied
    model.config.tie_word_embeddings = False
    config = BaseQuantizeConfig(nbits=4, group_size=64)
    AutoHQQHFModel.quantize_model(model, quant_config=config, compute_dtype=torch.float32, device="cpu")
    AutoHQQHFModel.save_to_safetensors(model, str(tmp_path / "packed"))
    folder = beside(dense_folder, tmp_path / "packed")
    with pytest.raises(InputError, match="names of the format HQQ, which is not opened so"):
        load(str(folder))
    settings = json.loads((folder / "config.json").read_text())
    settings["quantization_config"] = {"quant_method": "hqq", "quant_config": {}, "skip_modules": ["lm_head"]}
    (folder / "config.json").write_text(json.dumps(settings))
    with pytest.raises(InputError, match="in the format HQQ"):
        load(str(folder))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_narrower_floats(tmp_path, dtype):
    folder = saved(foreign.small_llama().to(dtype), tmp_path / "half")
    expected = {key: value.to(dtype).float() for key, value in foreign.small_llama().state_dict().items()}
    torch.testing.assert_close(load(str(folder)).model.state_dict(), expected, rtol=0, atol=0, check_dtype=True)


def test_pruned_weights(dense_folder, tmp_path):
    folder = shutil.copytree(dense_folder, tmp_path / "pruned")
    weights = load_file(folder / "model.safetensors")
    pruned = {key: value * (value.abs() > value.abs().median()) for key, value in weights.items()}
    save_file(pruned, folder / "model.safetensors", metadata={"format": "pt"})
    opened = load(str(folder))
    assert (opened.blocks[0].mlp.up_proj.weight == 0).float().mean() == pytest.approx(0.5, abs=0.01)
    assert weight_bytes(str(folder)) == weight_bytes(str(dense_folder))
