"""Images without labels: which files are items, which are left out, and where the folder may lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from source_files import folders, labels, picture, read, reasons, table

from autotl.errors import DatasetError
from autotl.records import Dataset


def unlabelled(data: Dataset) -> set[str]:
    assert data.unlabelled is not None
    return set(data.unlabelled.names)


def test_every_file_is_an_item_or_left_out_with_a_reason(tmp_path: Path) -> None:
    folders(tmp_path / "photos", "cat", "dog")
    picture(tmp_path / "more" / "deep" / "a.png", 77)
    picture(tmp_path / "more" / "b.png", 78)
    (tmp_path / "more" / "empty.png").touch()
    (tmp_path / "more" / "notes.txt").write_text("hello")
    (tmp_path / "more" / ".hidden.png").write_bytes(b"x")
    data = read(tmp_path / "photos", unlabelled=str(tmp_path / "more"))
    assert data.unlabelled is not None
    assert unlabelled(data) == {"../more/deep/a.png", "../more/b.png"}
    assert {out.name: str(out.reason.kind) for out in data.unlabelled.left_out} == {
        "../more/.hidden.png": "hidden",
        "../more/empty.png": "empty_file",
        "../more/notes.txt": "not_an_image",
    }
    assert data.classes == ("cat", "dog") and len(data.files) == 4


def test_the_folder_may_lie_in_data_and_is_no_class_then(tmp_path: Path) -> None:
    folders(tmp_path, "cat", "dog", "unsorted")
    data = read(tmp_path, unlabelled=str(tmp_path / "unsorted"))
    assert data.classes == ("cat", "dog")
    assert unlabelled(data) == {"unsorted/0.png", "unsorted/1.png"}
    assert not data.left_out


def test_images_that_a_table_does_not_name_can_be_those_without_labels(tmp_path: Path) -> None:
    for number in range(6):
        picture(tmp_path / "img" / f"{number}.png", 40 * number)
    table(tmp_path, ("path", "label"), [(f"img/{n}.png", "ab"[n % 2]) for n in range(4)])
    assert reasons(read(tmp_path / "labels.csv")) == {"img/4.png": "not_listed", "img/5.png": "not_listed"}
    data = read(tmp_path / "labels.csv", unlabelled=str(tmp_path / "img"))
    assert unlabelled(data) == {"img/4.png", "img/5.png"} and len(labels(data)) == 4
    assert not data.left_out


def test_another_folder_is_other_data(tmp_path: Path) -> None:
    folders(tmp_path / "photos", "cat", "dog")
    picture(tmp_path / "one" / "a.png", 77)
    picture(tmp_path / "other" / "a.png", 78)
    prints = {read(tmp_path / "photos").fingerprint} | {
        read(tmp_path / "photos", unlabelled=str(tmp_path / name)).fingerprint for name in ("one", "other")
    }
    assert len(prints) == 3


@pytest.mark.parametrize("place", ["none", "photos/cat/0.png", "photos"])
def test_what_holds_no_image_without_a_label_is_refused(place: str, tmp_path: Path) -> None:
    folders(tmp_path / "photos", "cat", "dog")
    with pytest.raises(DatasetError, match=r"--unlabelled .*; expected a folder with images"):
        read(tmp_path / "photos", unlabelled=str(tmp_path / place))


def test_an_archive_of_them_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import zipfile

    monkeypatch.setenv("AUTOTL_CACHE", str(tmp_path / "cache"))
    folders(tmp_path / "photos", "cat", "dog")
    Image.fromarray(np.full((8, 8, 3), 99, np.uint8)).save(tmp_path / "a.png")
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.write(tmp_path / "a.png", "in/a.png")
    data = read(tmp_path / "photos", unlabelled=str(tmp_path / "more.zip"))
    assert data.unlabelled is not None and len(data.unlabelled.files) == 1
    assert next(iter(unlabelled(data))).endswith("in/a.png")
