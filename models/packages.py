"""Packages that few rows need, imported where they are used so that a machine without them can run the rest."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from models.errors import InputError


def needed(module: str, purpose: str, *, package: str = "") -> ModuleType:
    """Module that something cannot be done without, imported now.

    Args:
        module: name to import.
        purpose: what needs it, as the subject of a sentence.
        package: name that pip knows it by, where it is another.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if not f"{module}.".startswith(f"{error.name}."):  # it is there and lacks something itself
            raise
        raise InputError(lacking(module, purpose, package=package)) from error


def installed(module: str) -> bool:
    """True if a module can be found; nothing is imported but the packages around it."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package that it would be part of
        return False


def lacking(module: str, purpose: str, *, package: str = "") -> str:
    """Sentence that says which package is missing, what for, and how to install it."""
    package = package or module
    return f"{purpose} needs the package {package}, which is not installed; run: python -m pip install {package}"
