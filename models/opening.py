"""Opening a model and its tokenizer with transformers, whatever packed it; every way to fail is one sentence."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from logging import Handler, LogRecord
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    CompressedTensorsConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from models.checks import check_complete, check_floats, check_ties, check_whole, listed
from models.errors import InputError
from models.formats import (
    COMPRESSED_TENSORS,
    QUANTO,
    VERSION,
    check_architecture,
    check_packages,
    format_of,
    read_config,
    rounds_activations,
    title,
)
from models.packages import needed
from models.quanto import open_quanto
from models.sources import GGUF, folder_of, weight_files

Report = Mapping[str, Any]
"""Keys that transformers missed, did not expect, or found in other shapes."""

FEWEST_TOKENS = 8
"""Tokens under which a tokenizer is what transformers makes where there is none."""
WRITE_AGAIN = "correct its config.json, or write it again with the program that made it"


def opened(
    name: str, place: Path, dtype: torch.dtype, device: str = "cpu"
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Model and tokenizer of a folder or a `.gguf` file, with all weights from there.

    Args:
        name: as the user gave it.
        place: folder or file.
        dtype: that the model computes in.
        device: that it will compute on, for formats whose weights are laid out for one; others come on the CPU.

    Raises:
        InputError: what is damaged, missing, unexpected, or of a format or an architecture that cannot be opened here.
    """
    model = _from_file(name, place, dtype) if place.suffix == GGUF else _from_folder(name, place, dtype, device)
    check_ties(name, model)
    with _in_a_sentence(f"the tokenizer of {name} cannot be opened", "save that of its dense model beside its weights"):
        tokenizer = AutoTokenizer.from_pretrained(**_where(place))
    if len(tokenizer) < FEWEST_TOKENS:
        raise InputError(f"{name} has no tokenizer; save that of its dense model beside its weights")
    return model, tokenizer


def configuration(name: str) -> PreTrainedConfig:
    """Configuration of a model; its weights are not opened.

    Raises:
        InputError: no such model, or a configuration that transformers cannot read.
    """
    with _in_a_sentence(f"the configuration of {name} cannot be read by {VERSION}", WRITE_AGAIN):
        return AutoConfig.from_pretrained(**_where(folder_of(name)))


def _where(place: Path) -> dict[str, Any]:
    """Folder or file as transformers is told of it; no code that comes with it is run."""
    in_file = place.suffix == GGUF and place.is_file()
    file = {"pretrained_model_name_or_path": place.parent, "gguf_file": place.name}
    return {**(file if in_file else {"pretrained_model_name_or_path": place}), "trust_remote_code": False}


def _from_folder(name: str, folder: Path, dtype: torch.dtype, device: str) -> PreTrainedModel:
    config = read_config(folder, name)
    check_architecture(config, name)
    method = format_of(folder, config, name)
    check_packages(method, name)
    files = weight_files(folder, name)
    check_whole(name, files)
    if method is None:
        check_floats(name, files)
    options: dict[str, Any] = {}
    if method == COMPRESSED_TENSORS:
        # Opened packed, zero points are expected in another shape than it writes them in; unpacked, activations are
        # rounded no more.
        options["quantization_config"] = CompressedTensorsConfig(dequantize=not rounds_activations(config))
    elif method is not None and device != "cpu":
        options["device_map"] = device
    fact = f"{name} is in the format {title(method)} and" if method else name
    with _in_a_sentence(f"{fact} cannot be opened by {VERSION}", WRITE_AGAIN):
        quanto = method == QUANTO
        model, report = open_quanto(folder, files, dtype) if quanto else _with_report(folder, dtype, **options)
    check_complete(f"{name}, in the format {title(method)}," if method else name, report)
    return model


def _from_file(name: str, file: Path, dtype: torch.dtype) -> PreTrainedModel:
    """Model of a GGUF file, its weights unpacked."""
    needed("gguf", f"{name} is in the format GGUF, which")
    # Only versions that could leave weights packed know how they are told not to.
    config = getattr(transformers, "GgufConfig", None)
    options = {} if config is None else {"quantization_config": config(dequantize=True)}
    again = "copy, download or convert it again"
    with _in_a_sentence(f"{name} is no whole GGUF file of a decoder that {VERSION} opens", again):
        model, report = _with_report(file.parent, dtype, gguf_file=file.name, **options)
    # transformers refuses to save while it believes that the weights are still packed.
    if hasattr(model.config, "quantization_config"):
        delattr(model.config, "quantization_config")
    model.hf_quantizer = None  # type: ignore[assignment]
    check_complete(name, report)
    return model


def _with_report(place: Path, dtype: torch.dtype, **options: Any) -> tuple[PreTrainedModel, Report]:
    """Model, and what transformers says of loading it; weights of other shapes are named there, not only counted."""
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
def _in_a_sentence(fact: str, way_out: str) -> Iterator[None]:
    """Turns whatever a library raises at a damaged or foreign file into what the user can read, and that alone."""
    report = _Report()
    logging.disable_default_handler()  # a refusal names what transformers would write tables of
    logging.add_handler(report)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of libraries, about themselves; the suite makes errors of others
            yield
    except InputError:
        raise
    except Exception as error:  # files of unknown origin make libraries fail in every way there is
        raise InputError(f"{fact} ({report.damaged or _first_line(error)}); {way_out}") from error
    finally:
        logging.remove_handler(report)
        logging.enable_default_handler()


class _Report(Handler):
    """Keeps the names of weights that transformers could not unpack, which it writes to its log only."""

    damaged = ""

    def emit(self, record: LogRecord) -> None:
        names = re.findall(r"^(\S.*?) +\| CONVERSION", record.getMessage(), re.MULTILINE)
        if names:
            self.damaged = f"what {listed(names)} is unpacked from is not all there or damaged"


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2]) if lines and lines[0].endswith(":") else lines[0] if lines else type(error).__name__
