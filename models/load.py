"""One way to load any decoder: a hub id, a folder, a GGUF file, or the embedded SmolLM2."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
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

from models.data.assets import fetch, file_sha256
from models.data.embedded import SMOLLM2, dequantized, smollm2_folder
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
    """Hash of the source: the GGUF file, or a folder's configuration and weight files."""
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    blocks: tuple[nn.Module, ...]
    """The decoder blocks, in order."""
    head: nn.Linear
    """Output matrix, from final hidden states to logits; often the embedding matrix itself, and never compressed."""
    longest_context: int
    """Tokens."""

    @property
    def device(self) -> torch.device:
        """Device on which the model computes."""
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
    model, tokenizer = _opened(name, _folder(name), dtype)
    check_finite(name, model)
    use_linear_layers(model)
    model.eval().requires_grad_(False).to(torch.device(device))  # type: ignore[arg-type]
    head = model.get_output_embeddings()
    if not isinstance(head, nn.Linear):
        raise InputError(f"{name} has no linear output matrix; give a decoder-only language model")
    decoder = Decoder(
        name=name,
        sha256=identity(name),
        model=model,
        tokenizer=tokenizer,
        blocks=find_blocks(model),
        head=head,
        longest_context=_longest_context(model.config, name),
    )
    _check_head(decoder)
    return decoder


def _opened(name: str, folder: Path, dtype: torch.dtype) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Model and tokenizer of a folder; every way in which that can fail is one sentence."""
    try:
        with warnings.catch_warnings():
            # Said of every packed checkpoint: that its own settings hold, and ours only of how it is opened.
            warnings.filterwarnings("ignore", message="You passed `quantization_config`")
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                folder, dtype=dtype, use_safetensors=True, output_loading_info=True, **_unpacked(folder, name)
            )
            model, report = loaded
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except ImportError as error:
        raise InputError(
            f"{name} needs a package that is not installed ({_first_line(error)}); install it with pip and try again"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        raise InputError(
            f"{name} is not a causal language model that transformers can open: {_first_line(error)}"
        ) from error
    check_complete(name, report)
    return model, tokenizer


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def check_complete(name: str, report: Mapping[str, Any]) -> None:
    """Refuse a checkpoint whose weights are not just those of its architecture: what is missing would be random.

    Args:
        name: of the model.
        report: what transformers says of loading it.

    Raises:
        InputError: weights that are missing, that the architecture does not have, or of other shapes; by name.
    """
    problems = []
    if misshapen := sorted(report.get("mismatched_keys", ())):
        key, shape, wanted = misshapen[0]
        problems.append(f"{key} is {tuple(shape)} and the configuration says {tuple(wanted)}{_more(misshapen)}")
    absent = sorted(set(report.get("missing_keys", ())) - {key for key, *_ in misshapen})
    if absent:
        problems.append(f"it lacks {absent[0]}{_more(absent)}")
    if unknown := sorted(report.get("unexpected_keys", ())):
        problems.append(f"the architecture has no {unknown[0]}{_more(unknown)}")
    if problems:
        raise InputError(
            f"the weights of {name} do not fit its config.json: {'; '.join(problems)}; write it again with "
            "save_pretrained from the model that config.json describes"
        )


def _more(names: Sequence[object]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""


def check_finite(name: str, model: nn.Module) -> None:
    """Refuse weights that hold NaN or infinity.

    Raises:
        InputError: the first such tensor, by name.
    """
    for key, value in model.named_parameters():
        if value.is_floating_point() and not value.isfinite().all():
            count = int((~value.isfinite()).sum())
            raise InputError(
                f"{name}: {count:,} of {value.numel():,} values of {key} are NaN or infinite; the checkpoint is "
                "damaged or was written in a dtype too narrow for it"
            )


def _unpacked(folder: Path, name: str) -> dict[str, Any]:
    """Options that open a packed checkpoint: with its weights at full width, as codes stand for them.

    Opened packed, transformers expects zero points in another shape than compressed-tensors writes them in.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"the config.json of {name} is not JSON ({error}); write it again") from error
    if not isinstance(config, dict):
        raise InputError(f"the config.json of {name} holds a {type(config).__name__}, not an object; write it again")
    kind = (config.get("quantization_config") or {}).get("quant_method")
    return {"quantization_config": CompressedTensorsConfig(dequantize=True)} if kind == "compressed-tensors" else {}


def identity(name: str) -> str:
    """Hash of a model's source, without opening it: that of `Decoder.sha256`.

    Raises:
        InputError: no such model.
    """
    if name == EMBEDDED:
        return SMOLLM2.sha256
    path = Path(name)
    if path.suffix == ".gguf" and path.is_file():
        return file_sha256(path)
    return _fingerprint(_folder(name))


def weight_bytes(name: str) -> int:
    """Bytes that a model's weights take on disk: a `.gguf` file, or the safetensors of a folder.

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
    """Refuse architectures that cap or scale logits after the head: hidden states do not give those."""
    tokens = torch.arange(8, device=decoder.device)[None] % decoder.head.weight.shape[0]
    expected = decoder.model(input_ids=tokens, use_cache=False).logits
    logits = decoder.head(decoder.hidden(tokens))
    if not torch.allclose(logits.float(), expected.float(), rtol=1e-3, atol=1e-3):
        raise InputError(
            f"{decoder.name} changes its logits after the output matrix (a cap or a scale), which is not supported"
        )
