"""Addresses that fsspec reads: folders, tables and shards in its memory and local file systems."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from builtin.sources.test_shards import picture, samples, write

from autotl.builtin.sources import load_dataset
from autotl.errors import DatasetError
from autotl.records import Dataset, Kind

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def memory() -> Iterator[object]:
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


def read(source: str, **options: str) -> Dataset:
    return load_dataset(source, options)


def fill(system: object, number: int = 6) -> None:
    for place in range(number):
        system.pipe(f"/photos/{'ab'[place % 2]}/{place}.png", picture(place))  # type: ignore[attr-defined]


def test_a_remote_folder_is_read_like_one_that_is_here(memory: object) -> None:
    fill(memory)
    data = read("memory://photos")
    assert data.classes == ("a", "b") and len(data.files) == 6
    assert Path(data.files[0]).read_bytes() == picture(0)
    assert data.reading[0].kind is Kind.READ_REMOTE


def test_what_is_copied_is_not_copied_again_unless_it_changed(
    memory: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(memory)
    first = read("memory://photos")
    opened: list[str] = []
    before = type(memory).open

    def counted(self: object, path: str, *more: object, **how: object) -> object:
        opened.append(path)
        return before(self, path, *more, **how)

    monkeypatch.setattr(type(memory), "open", counted)
    assert read("memory://photos").files.tolist() == first.files.tolist() and not opened
    memory.pipe("/photos/a/8.png", picture(8))  # type: ignore[attr-defined]
    assert len(read("memory://photos").files) == 7 and opened


def test_tables_and_shards_are_read_from_an_address(memory: object, tmp_path: Path) -> None:
    fill(memory)
    rows = "".join(f"{'ab'[p % 2]}/{p}.png,{'xy'[p % 2]}\n" for p in range(6))
    memory.pipe("/photos/labels.csv", ("path,label\n" + rows).encode())  # type: ignore[attr-defined]
    assert read("memory://photos", layout="class").classes == ("a", "b")
    shard = write(tmp_path / "a-00.tar", samples(4))
    memory.pipe("/shards/a-00.tar", shard.read_bytes())  # type: ignore[attr-defined]
    assert len(read("memory://shards").files) == 4
    assert len(read("memory://shards/a-00.tar").files) == 4


def test_an_address_on_this_machine_is_read_in_place(tmp_path: Path) -> None:
    for place in range(4):
        file = tmp_path / "photos" / "ab"[place % 2] / f"{place}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(picture(place))
    data = read(f"file://{tmp_path}/photos")
    assert sorted(data.files) == sorted(map(str, (tmp_path / "photos").rglob("*.png")))


def test_of_a_large_folder_only_a_sample_is_copied(memory: object) -> None:
    fill(memory, 90)
    data = read("memory://photos", sample="50")
    assert np.bincount(data.labels).tolist() == [25, 25]
    finding = next(finding for finding in data.findings if finding.kind is Kind.SAMPLED)
    assert finding.values == {"images": 90, "sample": 50}


@pytest.mark.parametrize("path", ["images/{}.png", "{}"])
def test_rows_of_a_table_beyond_the_sample_are_counted_and_not_missing(memory: object, path: str) -> None:
    """None of the rows that the table is judged by need be in the sample."""
    for place in range(90):
        memory.pipe(f"/photos/images/{place}.png", picture(place))  # type: ignore[attr-defined]
    rows = "".join(f"{path.format(place)},{'xy'[place % 2]}\n" for place in [*range(90), 99])
    memory.pipe("/photos/labels.csv", ("path,label\n" + rows).encode())  # type: ignore[attr-defined]
    data = read("memory://photos", sample="30")
    assert len(data.files) == 30 and data.classes == ("x", "y")
    finding = next(finding for finding in data.findings if finding.kind is Kind.SAMPLED)
    assert finding.values == {"images": 90, "sample": 30}
    assert [(left.name.rsplit("/")[-1][:2], left.reason.kind) for left in data.left_out] == [
        ("99", Kind.NO_SUCH_FILE)
    ]


def test_a_sample_of_a_remote_table_keeps_the_rare_classes_of_its_rows(memory: object) -> None:
    """By folder, of three images in a hundred hardly one would be copied."""
    for place in range(300):
        memory.pipe(f"/photos/images/{place}.png", picture(place))  # type: ignore[attr-defined]
    rows = "".join(
        f"images/{place}.png,{'rare' if place % 20 == 7 else 'usual'},{'test' if place % 3 else 'train'}\n"
        for place in range(300)
    )
    memory.pipe("/photos/labels.csv", ("path,label,split\n" + rows).encode())  # type: ignore[attr-defined]
    data = read("memory://photos", sample="100")
    counts = np.bincount(data.labels + 2 * (data.given == 2))
    assert data.classes == ("rare", "usual") and counts.tolist() == [5, 29, 10, 58]


def test_numbers_of_a_remote_table_are_sampled_by_folder(memory: object) -> None:
    for place in range(90):
        memory.pipe(f"/photos/images/{place}.png", picture(place))  # type: ignore[attr-defined]
    rows = "".join(f"images/{place}.png,{place}.5\n" for place in range(90))
    memory.pipe("/photos/labels.csv", ("path,height\n" + rows).encode())  # type: ignore[attr-defined]
    assert len(read("memory://photos", sample="30", label="height").files) == 30


def test_a_name_that_leads_outside_is_not_copied(memory: object) -> None:
    fill(memory)
    memory.store["/photos/a/../../../evil.png"] = memory.store["/photos/a/0.png"]  # type: ignore[attr-defined]
    data = read("memory://photos")
    assert len(data.files) == 6
    assert [left.reason.kind for left in data.left_out] == [Kind.ARCHIVE_OUTSIDE]


def test_errors_are_one_line_and_name_what_is_missing(
    memory: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DatasetError, match=r"nothere cannot be listed|nothere holds no file"):
        read("memory://nothere")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(DatasetError, match=r"s3://bucket/photos cannot be read .*autotl\[remote\]"):
        read("s3://bucket/photos")
    with pytest.raises(DatasetError, match="what://photos cannot be read"):
        read("what://photos")
