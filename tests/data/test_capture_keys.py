"""Camera and time in EXIF as keys: read from JPEGs, and divided into sittings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from autotl.budget import Allowance
from autotl.data.capture_keys import capture_keys
from autotl.modality import image

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


def jpeg(path: Path, *, camera: str = "", serial: str = "", taken: datetime | str | None = None) -> str:
    """Write a JPEG with EXIF, and return its path."""
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "Nikon", camera
    inner = exif.get_ifd(ExifTags.IFD.Exif)
    if taken is not None:
        inner[ExifTags.Base.DateTimeOriginal] = exif_time(taken)
    if serial:
        inner[ExifTags.Base.BodySerialNumber] = serial
    Image.new("RGB", (16, 16), (len(path.name) * 7 % 255, 80, 40)).save(path, exif=exif)
    return str(path)


def exif_time(taken: datetime | str) -> str:
    return taken if isinstance(taken, str) else taken.strftime("%Y:%m:%d %H:%M:%S")


def metadata(rows: list[tuple[str, str, str]]) -> dict[str, np.ndarray]:
    return dict(
        zip(
            ("camera", "serial", "taken"),
            (np.array(column) for column in zip(*rows, strict=True)),
            strict=True,
        )
    )


def test_exif_of_jpegs_gives_camera_and_time(tmp_path: Path) -> None:
    files = [
        jpeg(tmp_path / "a.jpg", camera="D50", serial="11", taken=NOON),
        jpeg(tmp_path / "b.jpg", camera="D50", serial="11", taken=NOON + timedelta(seconds=8)),
        jpeg(tmp_path / "c.jpg", camera="D50", serial="22", taken=NOON),
        jpeg(tmp_path / "d.jpg", camera="D50", serial="11", taken=NOON + timedelta(minutes=20)),
        jpeg(tmp_path / "e.jpg", camera="D50", serial="11", taken=NOON + timedelta(hours=3)),
    ]
    decoded = image.decode(files, tmp_path / "store", allowance=Allowance(deadline=float("inf")))
    by = {key.by: key for key in capture_keys(decoded.metadata)}
    assert by["camera"].group.tolist() == [0, 0, 1, 0, 0]
    assert by["camera"].keys == ("Nikon D50 11", "Nikon D50 22")
    assert len(set(by["burst"].group[[0, 2, 3, 4]])) == 4 and by["burst"].group[0] == by["burst"].group[1]
    assert by["session"].group[0] == by["session"].group[1] == by["session"].group[3]
    assert len(set(by["session"].group[[0, 2, 4]])) == 3


def test_a_file_without_exif_or_with_a_clock_that_was_never_set_is_alone() -> None:
    rows = [("A", "", "0000:00:00 00:00:00"), ("A", "", "soon"), ("", "", ""), ("", "", "")]
    rows += [("A", "", exif_time(NOON)), ("A", "", exif_time(NOON)), ("B", "", exif_time(NOON))]
    by = {key.by: key for key in capture_keys(metadata(rows))}
    assert len(set(by["session"].group[:4])) == 4 and by["session"].group[4] == by["session"].group[5]
    assert len(set(by["camera"].group.tolist())) == 4
    assert capture_keys({}) == [] and capture_keys(metadata([("A", "", "")] * 3)) == []
