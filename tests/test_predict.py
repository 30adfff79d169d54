"""Predictions as rows: what may be asked about, in which forms answers are written, how memory stays flat."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from autotl import predict as autotl_predict
from autotl.engine import client
from autotl.errors import DatasetError, RunError
from autotl.modality.image import as_image
from autotl.modality.image_file import reason
from autotl.modality.image_store import load_image
from autotl.plugin import Dataset, SourceCall, Target, hookimpl
from autotl.plugins import manager
from autotl.plugins.manager import load_plugins
from autotl.predict import Prediction
from autotl.records import Answers

GOOD = Prediction("a,b.png", (("cat", 0.75), ("dog", 0.2)), "far from the training images")
BAD = Prediction("gone.png", (), None, "there is no such file")


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model folder whose engine answers by the first pixel: its red share is the first class's probability."""

    class Fake:
        def __init__(self, **_: Any) -> None:
            pass

        def predict(self, _model: str, files: list[str], _allowance: object, features: bool) -> Answers:
            red = []
            for file in files:
                pixels = None if file.startswith("many") else load_image(file, 64)[0]
                red.append(0.5 if pixels is None else pixels[0, 0, 0] / 255)
            share = np.array(red, np.float32)
            return Answers(
                probabilities=np.stack([share, 1 - share], 1),
                errors=[None] * len(files),
                distance=2 * share,
                features=share[:, None] if features else None,
            )

        def close(self) -> None:
            pass

    monkeypatch.setattr(client, "connect", Fake)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.json").write_text('{"classes": ["red", "other"]}')
    return folder


def written(style: Any, out: Path | None = None, top: int = 2) -> str:
    stream = io.StringIO()
    with autotl_predict.writer(style, out or stream, top) as write:
        write(GOOD)
        write(BAD)
    return stream.getvalue()


def test_csv_has_a_column_for_each_of_the_best_classes() -> None:
    rows = list(csv.DictReader(io.StringIO(written("csv"))))
    assert rows[0] == {
        "path": "a,b.png",
        "label": "cat",
        "probability": "0.750000",
        "label_2": "dog",
        "probability_2": "0.200000",
        "warning": "far from the training images",
        "error": "",
    }
    assert rows[1]["label"] == rows[1]["probability_2"] == ""
    assert rows[1]["error"] == "there is no such file"


def test_json_lines_are_records() -> None:
    good, bad = [json.loads(line) for line in written("jsonl").splitlines()]
    assert good["top"] == [{"label": "cat", "probability": 0.75}, {"label": "dog", "probability": 0.2}]
    assert bad == {
        "path": "gone.png",
        "label": None,
        "probability": None,
        "top": [],
        "warning": None,
        "error": "there is no such file",
    }


def test_parquet_is_what_pyarrow_reads(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    written("parquet", tmp_path / "answers.parquet")
    good, bad = parquet.read_table(tmp_path / "answers.parquet").to_pylist()
    assert good["label"] == "cat" and good["top"][1] == {"label": "dog", "probability": 0.2}
    assert bad["label"] is None and bad["error"] == "there is no such file"
    with pytest.raises(RunError, match="--out"):
        written("parquet")


def test_parquet_without_pyarrow_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(RunError, match="pip install pyarrow"):
        written("parquet", tmp_path / "answers.parquet")


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    def interrupted() -> None:
        with autotl_predict.writer("csv", tmp_path / "a.csv", 1) as write:
            write(GOOD)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_paths_folders_and_lists_are_gone_through_in_order(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("b.png", "a.jpg", "notes.txt"):
        (tmp_path / "in" / name).touch()
    (tmp_path / "list.csv").write_text("id,Image_Path\n1,in/a.jpg\n2,\n3,/else/c.png\n")
    sources = ["one.png", str(tmp_path / "in"), str(tmp_path / "list.csv")]
    found = [(item.name, item.file) for item in autotl_predict.items_of(sources, tmp_path / "work")]
    inside = [str(tmp_path / "in" / name) for name in ("a.jpg", "b.png")]
    assert found == [
        ("one.png", "one.png"),
        *((file, file) for file in inside),
        ("in/a.jpg", inside[0]),
        ("/else/c.png", "/else/c.png"),
    ]


def test_a_source_of_a_plugin_gives_its_images_with_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def reads(call: SourceCall) -> Dataset | None:
        asked.append(call.source)
        if call.source == "broken.db":
            raise ValueError("no table")
        if not call.source.endswith(".db"):
            return None
        target = Target(name="label", kind="multiclass", classes=("a", "b"), values=np.array([0, 1]))
        return Dataset(
            source=call.source, modality="image", files=np.array(["/cache/1", "/cache/2"], object),
            names=np.array(["one", "two"], object), targets=(target,), given=np.array([2, 2], np.int8),
        )  # fmt: skip

    guest = SimpleNamespace(__name__="guest", load_dataset=hookimpl(reads))
    monkeypatch.setattr(manager, "load_plugins", lambda: load_plugins([guest], installed=False))
    sources = ["one.png", "some.db", "odd", "broken.db"]
    found = [(item.name, item.file, item.error) for item in autotl_predict.items_of(sources, tmp_path)]
    assert found[:-1] == [
        ("one.png", "one.png", None),
        ("one", "/cache/1", None),
        ("two", "/cache/2", None),
        ("odd", "odd", None),
    ]
    assert found[-1][:2] == ("broken.db", "broken.db") and "ValueError: no table" in str(found[-1][2])
    assert asked == ["some.db", "odd", "broken.db"]  # a name of an image is one


def test_a_list_without_paths_says_what_it_has(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("name,kind\nx,y\n")
    with pytest.raises(DatasetError, match="it has: name, kind"):
        list(autotl_predict.items_of([str(tmp_path / "list.csv")], tmp_path))


def test_images_in_memory_are_answered_as_files_are(model: Path, tmp_path: Path) -> None:
    red = np.zeros((8, 6, 3), np.uint8)
    red[..., 0] = 255
    Image.fromarray(red).save(tmp_path / "red.png")
    grey = np.full((8, 6), 0.2)
    stack = [tmp_path / "red.png", Image.fromarray(red), red, red / 255, grey, Image.new("RGBA", (5, 5))]
    found = list(autotl_predict.predictions(model, stack))
    assert [p.label for p in found] == ["red"] * 4 + ["other", "red"]  # what is transparent lies on white
    assert [p.path for p in found[1:3]] == ["image 1", "image 2"]
    assert found[4].probability == pytest.approx(0.8)
    assert [p.warning for p in found[3:5]] == ["far from the training images", None]
    assert autotl_predict.embed(model, [red, grey]).tolist() == [[1.0], [pytest.approx(0.2)]]


@pytest.mark.parametrize(
    ("given", "count"),
    [
        ("a.png", 1),
        (Path("a.png"), 1),
        (np.zeros((8, 8, 3)), 1),
        (np.zeros((8, 8)), 1),
        (np.zeros((4, 8, 8, 3)), 4),
        (np.zeros((4, 8, 8)), 4),
        (Image.new("L", (3, 3)), 1),
        (["a.png", "b.png"], 2),
    ],
)
def test_one_or_several(given: Any, count: int) -> None:
    assert len(list(autotl_predict.several(given))) == count


@pytest.mark.parametrize(
    "given", [np.zeros(5), np.zeros((2, 3, 4, 5)), np.array([["a"]]), np.full((4, 4), 7.0), None]
)
def test_what_is_no_image_says_so(given: Any) -> None:
    with pytest.raises(DatasetError, match="is not an image"):
        as_image(given)


@pytest.mark.slow
def test_memory_stays_flat_and_rows_come_as_it_goes(model: Path) -> None:
    asked = 0

    def many() -> Iterator[str]:
        nonlocal asked
        for asked in range(100_000):
            yield f"many{asked}.png"

    stream = autotl_predict.predictions(model, many())
    first = next(stream)
    assert first.label == "red" and asked < 1000
    for _ in range(5000):
        next(stream)
    tracemalloc.start()
    for _ in range(20_000):
        next(stream)
    assert tracemalloc.get_traced_memory()[1] < 2**20  # 20,000 answers kept would be several
    tracemalloc.stop()


def test_why_an_image_cannot_be_read_is_short(tmp_path: Path) -> None:
    Image.effect_noise((64, 64), 50).save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:900])
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "empty.png").touch()
    said = {}
    for name in ("cut.png", "text.jpg", "empty.png", "gone.png", "."):
        try:
            load_image(tmp_path / name, 64)
        except Exception as error:
            said[name] = reason(error)
    assert said == {
        "cut.png": "a damaged image: the file breaks off",
        "text.jpg": "not an image of a known format",
        "empty.png": "not an image of a known format",
        "gone.png": "there is no such file",
        ".": "a folder, not an image",
    }
