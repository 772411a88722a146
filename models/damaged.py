"""Errors of readers that meet a file which an earlier run kept and which is no longer whole."""

from __future__ import annotations

from pickle import UnpicklingError
from zipfile import BadZipFile

from safetensors import SafetensorError

KINDS = (SafetensorError, UnpicklingError, EOFError, BadZipFile)
WORDS = (
    "PytorchStreamReader",
    "EOF: reading array",
    "mmap length is greater",
    "magic string is not correct",
    "Cannot load file containing",
)
"""What PyTorch and NumPy say in errors of common kinds."""


def damaged_file(error: BaseException) -> str:
    """Sentence on a kept file that cannot be read; empty for any other error."""
    said = f"{type(error).__name__}: {error}".partition("\n")[0]
    if not isinstance(error, KINDS) and not any(words in said for words in WORDS):
        return ""
    return (
        f"a file that an earlier run kept is damaged ({said}); delete the folder measurements beside evidence.jsonl, "
        "and what it held is made again"
    )
