"""Read and write safetensors at any path: the library itself takes no path that is not UTF-8."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

__all__ = ["load", "save"]

Framework = Literal["torch", "numpy"]


def load(path: Path, framework: Framework) -> dict[str, Any]:
    """Return the tensors of a file. Raises `SafetensorError` for another format, and `OSError`."""
    library = importlib.import_module(f"safetensors.{framework}")
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return dict(library.load(path.read_bytes()))
    return dict(library.load_file(path))  # maps the file


def save(tensors: Mapping[str, Any], path: Path, framework: Framework) -> None:
    """Write tensors to a file of the usual mode; the library's own writer makes it the owner's alone."""
    library = importlib.import_module(f"safetensors.{framework}")
    path.write_bytes(library.save(dict(tensors)))
