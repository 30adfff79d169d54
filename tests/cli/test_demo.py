from __future__ import annotations

import hashlib
from pathlib import Path

from PIL import Image

from autotl.cli.demo import SIDE, write_digits


def digest(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*.png"))
    return hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in files)).hexdigest()


def test_digits_are_written_once_and_the_same(tmp_path: Path) -> None:
    assert write_digits(tmp_path / "one") == write_digits(tmp_path / "two") == 1797
    assert digest(tmp_path / "one") == digest(tmp_path / "two")
    folders = sorted(path.name for path in (tmp_path / "one").iterdir() if path.is_dir())
    assert folders == [str(number) for number in range(10)]
    first = min((tmp_path / "one").rglob("*.png"))
    with Image.open(first) as image:
        assert image.size == (SIDE, SIDE)
    changed = first.stat().st_mtime_ns
    write_digits(tmp_path / "one")
    assert first.stat().st_mtime_ns == changed
