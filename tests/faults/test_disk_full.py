"""A disk without space: whole files or none, earlier results stay, and an error that names the file."""

from __future__ import annotations

import builtins
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from click.testing import CliRunner
from example_run import example, run_folder
from PIL import Image

from autotl.budget import Allowance
from autotl.cache import Cache, append, atomic, atomic_write, copy_folder, disk_full, key
from autotl.cli import main
from autotl.modality import image_store
from autotl.run_folder import journal, result_file

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "somewhere")


class Disk:
    """Files opened for writing take `left` bytes together, then each write fails as on a full disk."""

    def __init__(self, left: int) -> None:
        self.left = left

    def taken(self, wanted: int) -> int:
        if self.left == 0 and wanted:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = min(wanted, self.left)
        self.left -= taken
        return taken


class File:
    def __init__(self, file: Any, disk: Disk, *, raw: bool) -> None:
        self._file, self._disk, self._raw = file, disk, raw

    def write(self, data: Any) -> int:
        view = data if isinstance(data, str) else memoryview(data).cast("B")
        taken = self._disk.taken(len(view))
        self._file.write(view[:taken])
        if taken < len(view) and not self._raw:
            self._disk.taken(1)
        return taken

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """A function that limits what can be written from now on."""
    original = builtins.open
    disk = Disk(10**12)

    def opened(file: Any, mode: str = "r", *args: Any, **how: Any) -> Any:
        made = original(file, mode, *args, **how)
        buffering = how.get("buffering", args[0] if args else -1)
        return File(made, disk, raw=buffering == 0) if set(mode) & set("wax") else made

    def limit(left: int) -> None:
        disk.left = left
        monkeypatch.setattr(builtins, "open", opened)

    yield limit
    monkeypatch.setattr(builtins, "open", original)


@pytest.mark.parametrize("left", [0, 1, 3, 4])
def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, limited: Callable[[int], None], left: int
) -> None:
    path = tmp_path / "result.json"
    atomic_write(path, "old")
    limited(left)
    with pytest.raises(OSError, match="No space") as caught:
        atomic_write(path, "new, but longer")
    assert disk_full(caught.value)
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["result.json"]


@pytest.mark.parametrize("left", [0, 1, 5, 11])
def test_an_appended_line_is_whole_or_absent(
    tmp_path: Path, limited: Callable[[int], None], left: int
) -> None:
    path = tmp_path / "events.jsonl"
    append(path, b"the first line\n")
    limited(left)
    with pytest.raises(OSError, match="No space"):
        append(path, b"the second line\n")
    assert path.read_bytes() == b"the first line\n"


def test_a_cache_without_space_costs_time_not_the_run(tmp_path: Path, limited: Callable[[int], None]) -> None:
    cache = Cache(tmp_path)
    cache.put(key("old"), {"x": np.zeros(3)})
    limited(20)
    with pytest.warns(RuntimeWarning, match="AUTOTL_CACHE"):
        assert not cache.put(key("new"), {"x": np.ones(3)})
    assert cache.get(key("old")) is not None and cache.get(key("new")) is None


@pytest.mark.parametrize("left", [0, 100, 20_000])
def test_decoding_to_a_full_disk_leaves_no_part(
    tmp_path: Path, limited: Callable[[int], None], left: int
) -> None:
    files = []
    for number in range(4):
        files.append(str(tmp_path / f"{number}.png"))
        Image.new("RGB", (64, 64), (number, 0, 0)).save(files[-1])
    limited(left)
    with pytest.raises(OSError, match="No space") as caught:
        image_store.decode(files, tmp_path / "store", side=64, allowance=Allowance(deadline=float("inf")))
    assert disk_full(caught.value)
    assert list((tmp_path / "store").iterdir()) == []


@pytest.mark.parametrize("left", [0, 1000])
def test_the_result_of_before_stays_readable(
    tmp_path: Path, limited: Callable[[int], None], left: int
) -> None:
    folder = run_folder(tmp_path / "run")
    before = (folder / "result.json").read_bytes()
    limited(left)
    with pytest.raises(OSError, match="No space"):
        result_file.write(example(seed=7), folder)
    assert (folder / "result.json").read_bytes() == before


def test_the_model_of_before_stays_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in (("model", b"old"), ("trial", b"new")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(content)

    def full(*_: object) -> None:
        raise FULL

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(OSError, match="No space") as caught:
        journal.ship(tmp_path / "trial", tmp_path)
    assert disk_full(caught.value)
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == b"old"


def test_folders_are_copied_whole(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_text("c")
    copy_folder(tmp_path / "a", tmp_path / "copy")
    assert (tmp_path / "copy" / "b" / "c").read_text() == "c"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_command_says_it_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), "report.md")

    monkeypatch.setattr("autotl.run.load", full)
    found = CliRunner().invoke(main, ["leaderboard", str(run_folder(tmp_path / "run"))])
    assert found.exit_code == 1
    assert found.stderr == (
        "Error: the disk is full while writing report.md; free some space, or choose another --out\n"
    )


def test_a_block_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with atomic(tmp_path / "a") as temporary:
            temporary.write_bytes(b"half")
            raise FULL

    with pytest.raises(OSError, match="No space"):
        fail()
    assert list(tmp_path.iterdir()) == []
