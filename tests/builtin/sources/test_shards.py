"""Tar shards of WebDataset: samples by name, labels in three forms, parts, samples of large sets, hostile tars."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autotl.builtin.sources import load_dataset, sampling, shards
from autotl.errors import DatasetError
from autotl.records import Dataset, Kind

Members = Iterable[tuple[str, bytes]]


def picture(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def write(path: Path, members: Members, **how: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", **how) as archive:  # type: ignore[call-overload]
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def samples(number: int, classes: int = 2, first: int = 0) -> list[tuple[str, bytes]]:
    return [
        member
        for place in range(first, first + number)
        for member in (
            (f"{place:06d}.png", picture(place)),
            (f"{place:06d}.cls", str(place % classes).encode()),
        )
    ]


def read(path: Path | str, **options: str) -> Dataset:
    return load_dataset(str(path), options)


def reasons(data: Dataset) -> Counter[str]:
    return Counter(left.reason.kind for left in data.left_out)


def test_samples_of_all_shards_are_items_with_the_bytes_of_their_members(tmp_path: Path) -> None:
    write(tmp_path / "set" / "photos-000.tar", samples(6))
    write(tmp_path / "set" / "photos-001.tar", samples(6, first=6))
    data = read(tmp_path / "set")
    assert data.names.tolist()[:2] == ["photos-000/000000.png", "photos-000/000001.png"]
    assert len(data.files) == 12 and data.classes == ("0", "1")
    assert data.labels.tolist() == [0, 1] * 6
    assert Path(data.files[7]).read_bytes() == picture(7)
    assert [guess.kind for guess in data.reading] == [Kind.READ_SHARDS]


def test_one_shard_and_a_pattern_are_read_too(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path / f"train-{number:06d}.tar", samples(4, first=4 * number))
    assert len(read(tmp_path / "train-000001.tar").files) == 4
    data = read(tmp_path / "train-{000000..000001}.tar")
    assert len(data.files) == 8
    with pytest.raises(DatasetError, match=r"4 files, and .*train-000003.tar is none"):
        read(tmp_path / "train-{000000..000003}.tar")


@pytest.mark.parametrize("names", [("train-00.tar", "test-00.tar"), ("train/00.tar", "test/00.tar")])
def test_names_of_shards_and_of_their_folders_are_parts(tmp_path: Path, names: tuple[str, str]) -> None:
    for number, name in enumerate(names):
        write(tmp_path / "set" / name, samples(4, first=4 * number))
    assert sorted(read(tmp_path / "set").given.tolist()) == [0] * 4 + [2] * 4


def test_a_label_is_a_field_of_json_or_a_text_and_numbers_have_names_beside_the_shards(
    tmp_path: Path,
) -> None:
    by_json = [
        member
        for place in range(4)
        for member in (
            (f"{place}.jpg", picture(place)),
            (
                f"{place}.json",
                json.dumps({"width": 8, "Label": place % 2, "kind": "ab"[place // 2]}).encode(),
            ),
        )
    ]
    folder = tmp_path / "json"
    write(folder / "00.tar", by_json)
    (folder / "classnames.txt").write_text("cat\ndog\n")
    assert read(folder).classes == ("cat", "dog")
    assert read(folder, label="kind").classes == ("a", "b")
    by_text = [
        m for p in range(4) for m in ((f"{p}.png", picture(p)), (f"{p}.txt", b"owl\n" if p % 2 else b"elk"))
    ]
    write(tmp_path / "text.tar", by_text)
    assert read(tmp_path / "text.tar").classes == ("elk", "owl")


def test_what_cannot_be_used_is_left_out_with_its_reason(tmp_path: Path) -> None:
    members = [
        *samples(4),
        ("x.png", picture(9)),  # no label
        ("y.png", picture(10)),
        ("y.cls", b"1"),
        ("y.jpg", picture(11)),  # a second image
        ("../z.png", picture(12)),
        ("z.cls", b"1"),
        ("/w.png", picture(13)),
    ]
    path = write(tmp_path / "a.tar", members)
    with tarfile.open(path, "a") as archive:
        link = tarfile.TarInfo("v.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    data = read(path)
    assert len(data.files) == 5
    assert reasons(data) == {
        Kind.NO_LABEL: 1,
        Kind.SEVERAL_IMAGES: 1,
        Kind.ARCHIVE_OUTSIDE: 2,
        Kind.ARCHIVE_LINK: 1,
    }
    root = Path(data.root)
    assert all(Path(file).resolve().is_relative_to(root.resolve()) for file in data.files)


@pytest.mark.parametrize("format_", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_long_names_are_read_in_every_form_of_tar(tmp_path: Path, format_: int) -> None:
    deep = "/".join(["a" * 60, "b" * 60, "c" * 20])
    members = [(f"{deep}/{name}", content) for name, content in samples(4)]
    data = read(write(tmp_path / "a.tar", members, format=format_))
    assert len(data.files) == 4 and data.labels.tolist() == [0, 1, 0, 1]
    assert [Path(file).read_bytes() for file in data.files] == [picture(place) for place in range(4)]


@pytest.mark.parametrize("cut", ["header", "size", "end"])
def test_a_damaged_shard_is_refused_by_name(tmp_path: Path, cut: str) -> None:
    path = write(tmp_path / "a.tar", samples(20))
    content = bytearray(path.read_bytes())
    if cut == "header":
        content[1024 * 10 : 1024 * 10 + 600] = b"\xff" * 600
    elif cut == "size":
        content[124:136] = b"\x80" + b"\xff" * 11
    path.write_bytes(content[: 3000 if cut == "end" else None])
    with pytest.raises(DatasetError, match=r"a.tar is a damaged tar at byte"):
        list(shards.members(path))


def test_of_more_images_than_the_sample_only_the_sample_is_written(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tar", samples(200, classes=2))
    data = read(path, sample="100")
    assert len(data.files) == 100 and Counter(data.labels.tolist()) == {0: 50, 1: 50}
    assert sum(1 for file in Path(data.root).rglob("*") if file.is_file()) == 100
    finding = next(finding for finding in data.findings if finding.kind is Kind.SAMPLED)
    assert finding.count == 100 and finding.values == {"images": 200, "sample": 100}
    again = read(path, sample="100")
    assert again.fingerprint == data.fingerprint
    assert len(read(path, sample="0").files) == 200


def test_images_are_written_without_waiting_for_the_disk_and_again_where_their_content_was_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 100,000 images the waits alone took minutes; a power cut leaves a name without its content."""
    monkeypatch.setattr(os, "fsync", lambda _: pytest.fail("waits for the disk"))
    shard = write(tmp_path / "a-0.tar", samples(4))
    written = Path(read(shard).files[1])
    written.write_bytes(b"")
    assert Path(read(shard).files[1]).read_bytes() == picture(1)


def test_a_tar_of_class_folders_is_still_an_archive(tmp_path: Path) -> None:
    members = [(f"{'ab'[p % 2]}/{p}.png", picture(p)) for p in range(8)]
    data = read(write(tmp_path / "photos.tar", members))
    assert data.classes == ("a", "b") and data.reading[0].kind is Kind.READ_UNPACKED


def test_a_sample_keeps_rare_classes_and_most_of_itself_when_the_set_grows() -> None:
    generator = np.random.default_rng(0)
    strata, keys = np.repeat([0, 1, 2], [9000, 900, 30]), generator.integers(0, 2**32, 9930)
    rows = sampling.chosen(strata, keys, 1000)
    counts = np.bincount(strata[rows])
    assert counts.tolist() == [907, 91, 20]
    more = (
        np.concatenate([strata, np.zeros(100, int)]),
        np.concatenate([keys, generator.integers(0, 2**32, 100)]),
    )
    assert len(set(sampling.chosen(*more, 1000).tolist()) & set(rows.tolist())) > 960
    assert len(sampling.chosen(strata, keys, 0)) == 9930


def test_images_outside_the_sample_are_named_by_shard_and_place_and_none_of_them_tests(
    tmp_path: Path,
) -> None:
    write(tmp_path / "s" / "train-0.tar", samples(200, classes=2))
    write(tmp_path / "s" / "test-0.tar", samples(100, classes=2, first=200))
    data = read(tmp_path / "s", sample="150")
    outside = data.unsampled
    assert outside is not None and outside.offset is not None and outside.size is not None
    assert set(outside.files) == {str(tmp_path / "s" / "train-0.tar")} and len(outside.files) == 100
    content = (tmp_path / "s" / "train-0.tar").read_bytes()
    seen = {Path(file).read_bytes() for file in data.files}
    numbers = {picture(number): number for number in range(200)}
    for place, size, label in zip(outside.offset, outside.size, outside.labels, strict=True):
        image = content[place : place + size]
        assert image not in seen and numbers[image] % 2 == label
    assert read(tmp_path / "s", sample="0").unsampled is None


def test_groups_that_stand_in_names_keep_images_outside_the_sample_out(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tar", samples(200, classes=2))
    assert read(path, sample="100", group=r"(\d\d\d)\.png$").unsampled is None
