"""One way to load any decoder: a hub id, a folder, a GGUF file, or the embedded SmolLM2."""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    CompressedTensorsConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.pytorch_utils import Conv1D

from models.assets import fetch, file_sha256
from models.embedded import SMOLLM2, dequantized, smollm2_folder
from models.errors import InputError

EMBEDDED = "smollm2-135m"
WEIGHTS = ("*.safetensors",)
REST = ("*.json", "*.txt", "*.model", "*.jinja")
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


@dataclass(frozen=True)
class Decoder:
    """A causal language model in evaluation mode, with the parts that compression and measurement need."""

    name: str
    sha256: str
    """Of the configuration and the weight files."""
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    blocks: tuple[nn.Module, ...]
    """The decoder blocks, in order."""
    head: nn.Linear
    """From final hidden states to logits; often the embedding matrix itself, and never compressed."""
    longest_context: int
    """Tokens."""

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return self.head.weight.device

    def hidden(self, tokens: Tensor) -> Tensor:
        """The final hidden states, `[batch, tokens]` -> `[batch, tokens, width]`; `head` of them are the logits."""
        inner = self.model.base_model
        return inner(input_ids=tokens.to(self.device), use_cache=False).last_hidden_state


def load(name: str = EMBEDDED, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Decoder:
    """The model called `name`: the embedded one, a folder or `.gguf` file on disk, or a hub id.

    GPT-2's `Conv1D` layers become `nn.Linear` with the same outputs. Only safetensors and GGUF weights are
    read, and no code that comes with a model is run.

    Raises:
        InputError: no such model, no safe weights in it, an architecture that is not a decoder, or no such device.
    """
    check_device(device)
    folder = _folder(name)
    try:
        with warnings.catch_warnings():
            # Said of every packed checkpoint: that its own settings hold, and ours only of how it is opened.
            warnings.filterwarnings("ignore", message="You passed `quantization_config`")
            model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, use_safetensors=True, **_unpacked(folder))
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{name} is not a causal language model that transformers can open: {error}") from error
    use_linear_layers(model)
    model.eval().requires_grad_(False).to(torch.device(device))  # type: ignore[arg-type]
    head = model.get_output_embeddings()
    if not isinstance(head, nn.Linear):
        raise InputError(f"{name} has no linear output matrix; give a decoder-only language model")
    decoder = Decoder(
        name=name,
        sha256=_fingerprint(folder),
        model=model,
        tokenizer=tokenizer,
        blocks=find_blocks(model),
        head=head,
        longest_context=_longest_context(model.config, name),
    )
    _check_head(decoder)
    return decoder


def _unpacked(folder: Path) -> dict[str, Any]:
    """How a packed checkpoint is opened: with its weights at full width, as codes stand for them.

    Opened packed, transformers expects zero points in another shape than compressed-tensors writes them in.
    """
    kind = (json.loads((folder / "config.json").read_text(encoding="utf-8")).get("quantization_config") or {}).get(
        "quant_method"
    )
    return {"quantization_config": CompressedTensorsConfig(dequantize=True)} if kind == "compressed-tensors" else {}


def weight_bytes(name: str) -> int:
    """What a model's weights take on disk: a `.gguf` file, or the safetensors of a folder.

    Raises:
        InputError: no such model.
    """
    if name == EMBEDDED:
        return fetch(SMOLLM2).stat().st_size
    path = Path(name)
    if path.suffix == ".gguf":
        return path.stat().st_size
    folder = _folder(name)
    return sum(file.stat().st_size for pattern in WEIGHTS for file in folder.glob(pattern))


def check_device(device: str) -> None:
    """Raise InputError where PyTorch has no such device."""
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"device {device} was asked for and this machine has no CUDA GPU; use --device cpu")


def _folder(name: str) -> Path:
    if name == EMBEDDED:
        return smollm2_folder()
    path = Path(name)
    if path.suffix == ".gguf":
        if not path.is_file():
            raise InputError(f"no GGUF file at {name}; give an existing file, a folder or a hub id")
        return dequantized(path, file_sha256(path))
    if path.is_dir():
        return _safe(path, name)
    if path.exists() or name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise InputError(f"no model folder at {name}; give an existing folder, a .gguf file or a hub id")
    return _safe(_from_hub(name), name)


def _safe(folder: Path, name: str) -> Path:
    if not (folder / "config.json").is_file():
        raise InputError(f"{name} has no config.json; a model folder is what save_pretrained writes")
    if any(file for pattern in WEIGHTS for file in folder.glob(pattern)):
        return folder
    pickles = sorted(file.name for pattern in PICKLES for file in folder.glob(pattern))
    if pickles:
        raise InputError(
            f"{name} holds only pickled weights ({', '.join(pickles[:3])}), which can run code when opened; "
            "convert them with save_pretrained(..., safe_serialization=True) in a place you trust"
        )
    raise InputError(f"{name} has no *.safetensors weights; a model folder is what save_pretrained writes")


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - only hub ids need it
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError  # noqa: PLC0415

    try:
        return Path(snapshot_download(name, allow_patterns=[*WEIGHTS, *REST]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError(
            f"no model {name!r}: it is no folder here and the hub does not give it ({reason}); "
            f"check the spelling and the network, or use {EMBEDDED!r}, which needs no hub"
        ) from error


def use_linear_layers(model: nn.Module) -> None:
    """Put an `nn.Linear` with the same weights in the place of every `Conv1D` (GPT-2 stores them transposed)."""
    for name, layer in list(model.named_modules()):
        if isinstance(layer, Conv1D):
            d_in, d_out = layer.weight.shape
            linear = nn.Linear(d_in, d_out, device="meta")
            linear.weight = nn.Parameter(layer.weight.detach().T.contiguous())
            linear.bias = nn.Parameter(layer.bias.detach())
            model.set_submodule(name, linear)


def find_blocks(model: PreTrainedModel) -> tuple[nn.Module, ...]:
    """The decoder blocks in order: the first module list with as many members as the model has layers."""
    depth = model.config.num_hidden_layers
    for module in model.base_model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == depth:
            return tuple(module)
    raise InputError(f"{type(model).__name__} has no list of {depth} decoder blocks; give a decoder-only model")


def mlp_width(config: PreTrainedConfig) -> int:
    """The inner width of the MLPs.

    Raises:
        InputError: the configuration does not say it.
    """
    for name in ("intermediate_size", "ffn_dim", "n_inner"):
        if isinstance(width := getattr(config, name, None), int):
            return width
    if config.model_type == "gpt2":  # n_inner None stands for this
        return 4 * config.n_embd
    raise InputError(f"the configuration of this {config.model_type} model does not say how wide its MLPs are")


def _longest_context(config: PreTrainedConfig, name: str) -> int:
    longest = getattr(config, "max_position_embeddings", None)
    if not isinstance(longest, int):
        raise InputError(f"the configuration of {name} does not say max_position_embeddings; add it to config.json")
    return longest


def _fingerprint(folder: Path) -> str:
    files = sorted([folder / "config.json", *(file for pattern in WEIGHTS for file in folder.glob(pattern))])
    lines = "".join(f"{file.name} {file_sha256(file)}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()


@torch.inference_mode()
def _check_head(decoder: Decoder) -> None:
    """Some architectures cap or scale logits after the head; measuring those from hidden states would be wrong."""
    tokens = torch.arange(8, device=decoder.device)[None] % decoder.head.weight.shape[0]
    expected = decoder.model(input_ids=tokens, use_cache=False).logits
    found = decoder.head(decoder.hidden(tokens))
    if not torch.allclose(found.float(), expected.float(), rtol=1e-3, atol=1e-3):
        raise InputError(
            f"{decoder.name} changes its logits after the output matrix (a cap or a scale), which is not supported"
        )
