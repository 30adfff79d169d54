"""manifest.csv: written whole, read back as it was, harmless whatever files are called."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from autotl.errors import RunError
from autotl.records import Dataset, Kind, LeftOut, Split, Target, fact
from autotl.run_folder import manifest

NAMES = [
    "cats/1.png",
    "cats/with, comma.png",
    'cats/with "quotes".png',
    "cats/two\nlines.png",
    "=HYPERLINK(0)/1.png",
    "dogs/ümlaut 猫.png",
    "dogs/\udce9.png",  # a name that is not UTF-8, as Python holds it
]


def example(
    classes: tuple[str, ...] = ("cats", "dogs"), group: np.ndarray | None = None
) -> tuple[Dataset, Split]:
    labels = np.array([0, 0, 0, 0, 1, 1, 1])
    data = Dataset(
        source="s",
        modality="image",
        files=np.array(NAMES, object),
        names=np.array(NAMES, object),
        targets=(Target(name="label", kind="multiclass", classes=classes, values=labels),),
        given=np.full(7, -1, np.int8),
        group=group,
        left_out=(LeftOut(name="cats/.DS_Store", reason=fact(Kind.HIDDEN)),),
    )
    part = np.array([0, 1, 2, 0, 1, -1, -1], np.int8)
    split = Split(
        part=part,
        fold=np.array([0, -1, -1, 1, -1, -1, -1], np.int8),
        order=np.arange(7),
        folds=2,
        select_from="out-of-fold",
        test_from="held out",
        grouped=group is not None,
        seed=0,
        facts=(),
    )
    return data, split


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    data, split = example(group=np.array([5, 5, 6, 6, 7, 7, 8]))
    manifest.write(tmp_path / "manifest.csv", data, split, {5: "not an image"})
    found = manifest.read(tmp_path / "manifest.csv")
    assert found.names.tolist() == NAMES
    assert found.part.tolist() == split.part.tolist()
    assert found.fold.tolist() == split.fold.tolist()
    assert found.group is not None and found.group.tolist() == [5, 5, 6, 6, 7, 7, 8]
    assert found.labels(data.classes).tolist() == data.labels.tolist()


def test_every_file_is_listed_with_its_reason(tmp_path: Path) -> None:
    data, split = example()
    manifest.write(tmp_path / "manifest.csv", data, split, {5: "not an image"})
    with open(tmp_path / "manifest.csv", newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = list(csv.DictReader(file))
    said = {row["path"]: (row["part"], row["finding"]) for row in rows}
    assert len(rows) == 8
    assert said["cats/.DS_Store"] == ("left out", "hidden")
    assert said[NAMES[5]] == ("left out", "not an image")
    assert said[NAMES[6]] == ("left out", "no time for it")
    assert said["cats/1.png"] == ("train", "")
    assert manifest.read(tmp_path / "manifest.csv").group is None


@pytest.mark.parametrize(
    "name", ["=1+1", "+1+1", "-1-1", "@SUM(A1)", "\t=1", "\rx", "a\rb", "'=1", "''x", "'"]
)
def test_no_cell_is_a_formula_and_names_stay_what_they_are(tmp_path: Path, name: str) -> None:
    data, split = example(classes=(name, "dogs"))
    data.names[0] = f"{name}/1.png"
    manifest.write(tmp_path / "manifest.csv", data, split)
    with open(tmp_path / "manifest.csv", newline="", encoding="utf-8", errors="surrogateescape") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    found = manifest.read(tmp_path / "manifest.csv")
    assert found.names[0] == f"{name}/1.png" and found.label[0] == name


def test_without_groups_there_are_none(tmp_path: Path) -> None:
    data, split = example()
    manifest.write(tmp_path / "manifest.csv", data, split)
    assert manifest.read(tmp_path / "manifest.csv").group is None


def test_a_folder_that_has_none(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"manifest\.csv cannot be read"):
        manifest.read(tmp_path / "manifest.csv")


def test_a_file_that_is_something_else(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("a,b\n1,2\n")
    with pytest.raises(RunError, match="not a manifest"):
        manifest.read(tmp_path / "manifest.csv")


def test_it_takes_its_place_whole_or_not_at_all(tmp_path: Path) -> None:
    data, split = example()
    path = tmp_path / "manifest.csv"
    path.write_text("old")
    broken = Split(
        part=split.part[:3], fold=split.fold, order=split.order, folds=2, select_from="given", test_from=None,
        grouped=False, seed=0, facts=(),
    )  # fmt: skip
    with pytest.raises(IndexError):
        manifest.write(path, data, broken)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_class_that_is_a_number_stays_one(tmp_path: Path) -> None:
    data, split = example(classes=("-1", "+1"))
    manifest.write(tmp_path / "manifest.csv", data, split)
    with open(tmp_path / "manifest.csv", newline="", encoding="utf-8", errors="surrogateescape") as file:
        assert {row["label"] for row in csv.DictReader(file) if row["label"]} == {"-1", "+1"}
