"""Reading sources: parts, groups, what is left out, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autotl.data import load, split
from autotl.errors import DatasetError
from autotl.plugins.manager import load_plugins
from autotl.records import Dataset, Kind, fact
from autotl.report import wording


def picture(path: Path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8, 3), value % 256, np.uint8)).save(path)


def read(source: Path, **options: str) -> Dataset:
    return load.load(str(source), options, load_plugins())


def test_class_folders(tmp_path: Path) -> None:
    for number in range(3):
        picture(tmp_path / "a" / f"{number}.png", number)
        picture(tmp_path / "b" / "deep" / f"{number}.png", 100 + number)
    data = read(tmp_path)
    assert data.classes == ("a", "b")
    assert data.names.tolist() == [
        "a/0.png",
        "a/1.png",
        "a/2.png",
        "b/deep/0.png",
        "b/deep/1.png",
        "b/deep/2.png",
    ]
    assert (data.given == -1).all()


def test_given_parts_and_a_test_folder_elsewhere(tmp_path: Path) -> None:
    for part in ("train", "valid"):
        for label in ("a", "b"):
            picture(tmp_path / "data" / part / label / "0.png", len(part + label))
    for label in ("a", "b"):
        picture(tmp_path / "later" / label / "0.png", 7)
    data = read(tmp_path / "data", test=str(tmp_path / "later"))
    assert sorted(data.given.tolist()) == [0, 0, 1, 1, 2, 2]
    assert any(name.startswith("../later/") for name in data.names)


@pytest.mark.parametrize("folder", ["data", "data/train"], ids=["no part", "train folder"])
def test_declared_groups_that_train_and_test_are_counted_in_images(tmp_path: Path, folder: str) -> None:
    for label in ("a", "b"):
        for person in range(3):
            picture(tmp_path / folder / label / f"p{person}_0.png", person + 10 * (label == "a"))
        for person in range(2, 4):
            picture(tmp_path / "later" / label / f"p{person}_1.png", 50 + person + 10 * (label == "a"))
    data = read(tmp_path / "data", test=str(tmp_path / "later"), group=r"(p\d)_")
    (shared,) = [finding for finding in data.findings if finding.kind == "shared_group"]
    assert shared.count == 1 and shared.where == ("p2",)
    assert wording.sentence(shared) == (
        "1 group with images in more than one of the given parts; 2 of the 4 test images (50.0%) show groups that are"
        " trained on or chosen by: scores there are too high"
    )


def test_what_is_left_out_says_why(tmp_path: Path) -> None:
    for label in ("a", "b"):
        picture(tmp_path / label / "0.png", 1)
    (tmp_path / "a" / ".hidden.png").write_bytes(b"x")
    (tmp_path / "a" / "notes.txt").write_text("x")
    (tmp_path / "a" / "empty.png").touch()
    (tmp_path / "b" / "broken.png").write_bytes(b"no image")
    (tmp_path / ".ipynb_checkpoints").mkdir()
    reasons = {out.name: out.reason for out in read(tmp_path).left_out}
    assert reasons["a/.hidden.png"] == fact(Kind.HIDDEN)
    assert reasons["a/notes.txt"] == fact(Kind.NOT_AN_IMAGE)
    assert reasons["a/empty.png"] == fact(Kind.EMPTY_FILE)
    assert reasons["b/broken.png"] == fact(Kind.UNREADABLE, error="not an image of a known format")
    assert ".ipynb_checkpoints/" in reasons
    findings = [finding for finding in read(tmp_path).findings if finding.kind == Kind.LEFT_OUT]
    assert {name for finding in findings for name in finding.where} == {
        "a/notes.txt",
        "a/empty.png",
        "b/broken.png",
    }
    assert {wording.sentence(finding) for finding in findings} == {
        "1 entry left out: not an image",
        "1 entry left out: an empty file",
        "1 entry left out: not a readable image (not an image of a known format)",
    }


def test_a_class_that_train_lacks_is_named(tmp_path: Path) -> None:
    for name in ("train/a", "train/b", "test/a", "test/c"):
        picture(tmp_path / name / "0.png", 3)
    with pytest.raises(DatasetError, match=r"'c'"):
        read(tmp_path)


def test_a_csv_cannot_reach_outside_its_folder(tmp_path: Path) -> None:
    picture(tmp_path / "secret.png", 1)
    for label in ("a", "b"):
        picture(tmp_path / "data" / f"{label}.png", 1)
    (tmp_path / "data" / "list.csv").write_text("path,label\na.png,a\nb.png,b\n../secret.png,a\n")
    data = read(tmp_path / "data" / "list.csv")
    assert data.names.tolist() == ["a.png", "b.png"]
    assert data.left_out[0].reason.kind == Kind.OUTSIDE_CSV_FOLDER


def test_groups_by_expression_stay_whole(tmp_path: Path) -> None:
    for label in ("a", "b"):
        for number in range(40):
            for shot in range(4):
                picture(tmp_path / label / f"t{number:02d}_{shot}.png", number * 4 + shot)
    data = read(tmp_path, group=r"(t\d+)_")
    assert data.group is not None and len(np.unique(data.group)) == 40
    parts = split.split(data)
    for group in np.unique(data.group):
        assert len(np.unique(parts.part[data.group == group])) == 1
    assert set(parts.part.tolist()) == {0, 1, 2}


@pytest.mark.parametrize(("group", "said"), [("(", "no regular expression"), ("zzz", "matches no path")])
def test_a_useless_group_is_refused(tmp_path: Path, group: str, said: str) -> None:
    for label in ("a", "b"):
        picture(tmp_path / label / "0.png", 1)
    with pytest.raises(DatasetError, match=said):
        read(tmp_path, group=group)


def test_the_fingerprint_is_of_the_data_not_of_the_place(tmp_path: Path) -> None:
    for place in ("one", "two"):
        for label in ("a", "b"):
            picture(tmp_path / place / label / "0.png", ord(label))
    assert read(tmp_path / "one").fingerprint == read(tmp_path / "two").fingerprint
    picture(tmp_path / "two" / "b" / "1.png", 9)
    assert read(tmp_path / "one").fingerprint != read(tmp_path / "two").fingerprint


def test_class_names_are_text_whatever_their_folders_are_called(tmp_path: Path) -> None:
    for name in (b"caf\xe9", b"caf\xe8", "日本".encode()):
        try:
            (tmp_path / os.fsdecode(name)).mkdir()
        except OSError:
            pytest.skip("this file system takes only text for names")
        picture(tmp_path / os.fsdecode(name) / "0.png", 7)
    data = read(tmp_path)
    assert sorted(data.classes) == ["caf\\xe8", "caf\\xe9", "日本"]
    assert all(Path(file).is_file() for file in data.files)  # which are found under their own names
    for row, name in enumerate(data.names):
        assert data.classes[int(data.labels[row])] == os.fsencode(Path(name).parent.name).decode(
            errors="backslashreplace"
        )
