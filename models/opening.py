"""Opening a model and its tokenizer with transformers, whatever packed it; every way to fail is one sentence."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    CompressedTensorsConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from models.checks import check_complete, check_ties, check_whole
from models.errors import InputError
from models.formats import check_architecture, check_packages, format_of, read_config, title
from models.packages import needed
from models.quanto import open_quanto
from models.sources import GGUF, weight_files

Report = Mapping[str, Any]
"""Keys that transformers missed, did not expect, or found in other shapes."""


def opened(name: str, place: Path, dtype: torch.dtype) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Model and tokenizer of a folder or a `.gguf` file, with all weights from there.

    Args:
        name: as the user gave it.
        place: folder or file.
        dtype: that the model computes in.

    Raises:
        InputError: what is damaged, missing, unexpected, or of a format or an architecture that cannot be opened here.
    """
    model, report = _from_file(name, place, dtype) if place.suffix == GGUF else _from_folder(name, place, dtype)
    check_complete(name, report)
    check_ties(name, model)
    where = {"gguf_file": place.name} if place.suffix == GGUF else {}
    with _in_a_sentence(f"the tokenizer of {name} cannot be opened; save that of its dense model beside its weights"):
        tokenizer = AutoTokenizer.from_pretrained(
            place.parent if where else place, trust_remote_code=False, **where
        )
    return model, tokenizer


def _from_folder(name: str, folder: Path, dtype: torch.dtype) -> tuple[PreTrainedModel, Report]:
    config = read_config(folder, name)
    check_architecture(config, name)
    method = format_of(folder, config, name)
    check_packages(method, name)
    files = weight_files(folder, name)
    check_whole(name, files)
    packed = f"{name} is in the format {title(method)} and " if method else f"{name} "
    with _in_a_sentence(f"{packed}cannot be opened by transformers {transformers.__version__}"):
        if method == "quanto":
            return open_quanto(folder, files, dtype)
        # Opened packed, zero points are expected in another shape than compressed-tensors writes them in.
        whole = {"quantization_config": CompressedTensorsConfig(dequantize=True)}
        return _with_report(folder, dtype, **(whole if method == "compressed-tensors" else {}))


def _from_file(name: str, file: Path, dtype: torch.dtype) -> tuple[PreTrainedModel, Report]:
    """Model of a GGUF file, its weights unpacked."""
    needed("gguf", f"{name} is in the format GGUF, which")
    # Only versions that could leave weights packed know how they are told not to.
    config = getattr(transformers, "GgufConfig", None)
    options = {} if config is None else {"quantization_config": config(dequantize=True)}
    with _in_a_sentence(f"{name} is no whole GGUF file of a decoder that transformers {transformers.__version__} opens"):
        model, report = _with_report(file.parent, dtype, gguf_file=file.name, **options)
    # transformers refuses to save while it believes that the weights are still packed.
    if hasattr(model.config, "quantization_config"):
        delattr(model.config, "quantization_config")
    model.hf_quantizer = None  # type: ignore[assignment]
    return model, report


def _with_report(place: Path, dtype: torch.dtype, **options: Any) -> tuple[PreTrainedModel, Report]:
    """Model, and what transformers says of loading it; weights of other shapes are named there, not only counted."""
    with warnings.catch_warnings():
        # Said of every packed checkpoint: that its own settings hold, and ours only of how it is opened.
        warnings.filterwarnings("ignore", message="You passed `quantization_config`")
        return AutoModelForCausalLM.from_pretrained(  # type: ignore[return-value]
            place,
            dtype=dtype,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            trust_remote_code=False,
            **options,
        )


@contextmanager
def _in_a_sentence(fact: str) -> Iterator[None]:
    """Turns whatever a library raises at a damaged or foreign file into what the user can read."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # files of unknown origin make libraries fail in every way there is
        raise InputError(f"{fact}: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2]) if lines and lines[0].endswith(":") else lines[0] if lines else type(error).__name__
