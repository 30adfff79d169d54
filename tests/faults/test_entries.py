"""One odd entry of a data set is left out with its own reason; the others are used."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from made_images import pictures

from autotl import predict
from autotl.builtin import sources
from autotl.builtin.sources import images_below, load_dataset
from autotl.engine import client
from autotl.records import Answers, Dataset, Fact, Kind
from autotl.report import wording

DEPTH = 1500  # folders in one another: Python's stack ends at a thousand calls


def dangling(folder: Path) -> str:
    (folder / "class0" / "gone.png").symlink_to("nowhere.png")
    return "class0/gone.png"


def link_to_itself(folder: Path) -> str:
    (folder / "class0" / "self.png").symlink_to("self.png")
    return "class0/self.png"


def folder_link_to_itself(folder: Path) -> str:
    (folder / "loop").symlink_to("loop")
    return "loop"


def link_to_the_top(folder: Path) -> str:
    (folder / "class0" / "up").symlink_to("..")
    return "class0/up/"


def dangling_at_the_top(folder: Path) -> str:
    (folder / "class9").symlink_to("nowhere")
    return "class9"


def loop_of_two(folder: Path) -> str:
    (folder / "class0" / "x").symlink_to("../class1")
    (folder / "class1" / "y").symlink_to("../class0")
    return "class0/x/y/"


def run_in_the_data(folder: Path) -> str:
    run = folder / "runs" / "photos-20300101-000000"
    pictures(run / "thumbnails", each=2, classes=1)
    for name in ("events.jsonl", "result.json"):
        (run / name).write_text("{}")
    return "runs/photos-20300101-000000/"


def run_that_had_hardly_begun(folder: Path) -> str:
    pictures(folder / "out" / "thumbnails", each=2, classes=1)
    for name in ("events.jsonl", "config.toml"):
        (folder / "out" / name).write_text("")
    return "out/"


REASONS: dict[Callable[[Path], str], Kind] = {
    dangling: Kind.BROKEN_LINK,
    link_to_itself: Kind.BROKEN_LINK,
    folder_link_to_itself: Kind.BROKEN_LINK,
    run_in_the_data: Kind.RUN_FOLDER,
    run_that_had_hardly_begun: Kind.RUN_FOLDER,
    link_to_the_top: Kind.LINK_OUTSIDE,
    dangling_at_the_top: Kind.BROKEN_LINK,
    loop_of_two: Kind.LINK_OUTSIDE,
}


def load(source: Path) -> Dataset:
    data = load_dataset(str(source), {})
    assert data is not None
    return data


def reasons(data: Dataset) -> dict[str, Fact]:
    return {out.name: out.reason for out in data.left_out}


@pytest.mark.parametrize("make", REASONS, ids=lambda make: make.__name__)
def test_a_link_that_leads_nowhere_is_left_out(make: Callable[[Path], str], tmp_path: Path) -> None:
    folder = pictures(tmp_path / "photos", each=6)
    name = make(folder)
    data = load(folder)
    assert len(data.names) >= 24
    reason = reasons(data)[name]
    assert reason.kind is REASONS[make]
    assert wording.sentence(reason)
    assert len(set(data.names)) == len(data.names)


def test_links_to_one_another_end(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "photos", each=6)
    loop_of_two(folder)
    assert len(load(folder).names) == 24 + 12  # each folder once more below the other, and no further


@contextlib.contextmanager
def nested(folder: Path, name: str, depth: int) -> Iterator[None]:
    """Make folders in one another; the path of the last may be longer than the system takes at once."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=here)
        inner = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    yield
    top, rest = folder / name, folder / "rest"  # pytest cannot remove what is deeper than its stack
    while (top / name).is_dir():
        (top / name).rename(rest)
        top.rmdir()
        rest.rename(top)
    top.rmdir()


def test_deep_folders_are_walked(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "photos", each=6)
    with nested(folder / "class0", "d", DEPTH):
        assert len(load(folder).names) == 24
        assert len(list(images_below(folder))) == 24


def test_a_path_too_long_for_the_system_is_left_out(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "photos", each=6)
    with nested(folder / "class0", "d" * 200, 25):
        data = load(folder)
    assert len(data.names) == 24
    left = next(out for out in data.left_out if out.name.startswith("class0/ddd"))
    assert left.reason.kind is Kind.UNREADABLE_FOLDER
    assert "File name too long" in wording.sentence(left.reason)


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Images beside a folder that this user may not list, whoever that is."""
    folder = pictures(tmp_path / "photos", each=6)
    (folder / "class0" / "more").mkdir()
    original = os.scandir

    def scandir(path: str | os.PathLike[str] | int) -> object:
        if not isinstance(path, int) and Path(path).name == "more":
            raise PermissionError(13, "Permission denied", str(path))
        return original(path)

    monkeypatch.setattr(sources.os, "scandir", scandir)
    return folder


def test_a_folder_that_cannot_be_listed_is_left_out_by_name(locked: Path) -> None:
    data = load(locked)
    assert len(data.names) == 24
    assert reasons(data)["class0/more/"].kind is Kind.UNREADABLE_FOLDER


def test_predict_names_a_folder_that_cannot_be_listed(locked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Engine:
        def predict(self, _model: str, files: list[str], *_rest: object) -> Answers:
            return Answers(
                probabilities=np.full((len(files), 2), 0.5, np.float32), errors=[None] * len(files)
            )

        def close(self) -> None:
            pass

    monkeypatch.setattr(client, "connect", lambda **_given: Engine())
    monkeypatch.setattr(predict, "description", lambda model: predict.Description(classes=["a", "b"]))
    rows = list(predict.predictions(Path("model"), [str(locked)]))
    assert len(rows) == 25
    (refused,) = [row for row in rows if row.error]
    assert refused.path == str(locked / "class0" / "more")
    assert refused.error == "cannot be listed: Permission denied" and refused.label is None


CELLS = {
    "NUL": ("class0/0\x00.png,a", "NUL"),
    "a long path": (f"{'x/' * 3000}a.png,a", "4,096"),
    "a very long path": (f"{'x' * 200_000}.png,a", "131,072"),
    "a long label": (f"class0/000.png,{'l' * 5000}", "4,096"),
    "a very long label": (f"class0/000.png,{'l' * 200_000}", "131,072"),
    "a NUL in a label": ("class0/000.png,a\x00b", "NUL"),
    "a bare carriage return": ("class0/000.png,a\rb,c", ""),
}


@pytest.mark.parametrize("cell", CELLS)
def test_a_row_that_cannot_be_used_is_left_out(cell: str, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "photos", each=6)
    good = [f"class{label}/{number:03}.png,class{label}" for label in range(2) for number in range(1, 6)]
    row, said = CELLS[cell]
    table = folder / "labels.csv"
    table.write_text("\n".join(["path,label", *good[:5], row, *good[5:]]) + "\n", newline="")
    data = load(table)
    assert set(data.names) >= {line.split(",")[0] for line in good}
    if said:
        (left,) = [out for out in data.left_out if out.reason.kind is not Kind.NOT_LISTED]
        assert left.reason.kind is Kind.BAD_ROW and said in wording.sentence(left.reason)
        assert len(left.name) < 300
