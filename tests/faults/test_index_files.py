"""An index.json that someone sent: its entries name files beside it and nothing else, or are left out with a reason."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from amounts import mutants
from mutants import STRANGE, damaged_bytes, damaged_json

from autotl.builtin.backbones import INDEX, discover

ENTRY: dict[str, Any] = {
    "name": "mine", "file": "mine.safetensors", "library": "timm", "arch": "resnet18", "input_size": 64,
    "kwargs": {"in_chans": 3}, "sha256": "0" * 64, "num_classes": 10, "params": 1000, "feature_dim": 8,
}  # fmt: skip
OUTSIDE = (
    "../secret.safetensors", "/OUT/secret.safetensors", "sub/../../secret.safetensors", "linked.safetensors",
    "folder/secret.safetensors", "~/secret.safetensors", "..", "", ".", "a\0.safetensors", "x" * 5000 + ".safetensors",
    "loop.safetensors", "sub", "C:\\secret.safetensors", "pipe.safetensors",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of weights, with links that lead out of it."""
    folder = tmp_path / "weights"
    (folder / "sub").mkdir(parents=True)
    (folder / "mine.safetensors").write_bytes(b"weights")
    (tmp_path / "secret.safetensors").write_bytes(b"private")
    (folder / "linked.safetensors").symlink_to(tmp_path / "secret.safetensors")
    (folder / "folder").symlink_to(tmp_path)
    (folder / "loop.safetensors").symlink_to("loop.safetensors")
    os.mkfifo(folder / "pipe.safetensors")
    (folder / INDEX).write_text(json.dumps([ENTRY]))
    return folder


def listed(folder: Path) -> None:
    """Read the folder, and fail for an entry that is neither used from it nor left out with a reason."""
    specs, skipped = discover(folder)
    for spec in specs:
        assert spec.weights is not None and Path(spec.weights.location).parent == folder.resolve()
    assert all(out.reason.values["message"] for out in skipped)


def test_the_entry_itself_is_used(folder: Path) -> None:
    specs, skipped = discover(folder)
    assert len(specs) == 1 and not skipped


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_file_elsewhere_is_left_out(name: str, folder: Path, tmp_path: Path) -> None:
    entry = ENTRY | {"file": name.replace("/OUT", str(tmp_path))}
    (folder / INDEX).write_text(json.dumps([entry, ENTRY]))
    specs, skipped = discover(folder)
    assert len(specs) == len(skipped) == 1


@pytest.mark.parametrize("field", ENTRY)
def test_any_value_of_a_field(field: str, folder: Path) -> None:
    for value in STRANGE:
        (folder / INDEX).write_text(json.dumps([ENTRY | {field: value}]))
        listed(folder)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[" * 100_000, b"[null]", b"\xff\xfe", b'[{"name": "\\ud800"}]']
)
def test_what_is_no_list_of_objects_is_named(content: bytes, folder: Path) -> None:
    (folder / INDEX).write_bytes(content)
    specs, skipped = discover(folder)
    assert not specs and len(skipped) == 1


def test_mutants(folder: Path, record_property: Callable[[str, object], None]) -> None:
    record_property("mutants", mutants(200))
    whole = (folder / INDEX).read_bytes()
    for seed in range(mutants(200)):
        (folder / INDEX).write_bytes((damaged_bytes, damaged_json)[seed % 2](whole, seed))
        listed(folder)
