"""`autotl embed`: features with paths, labels and parts, in a file that is there whole or not at all."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from made_images import pictures

import autotl
from autotl import embedding
from autotl.cli import main
from autotl.engine import client
from autotl.errors import AutotlError, BudgetError, DatasetError, UnknownNameError

BACKBONE = "autotl:resnet14t_small"


class Fake:
    """An engine with two layer groups; the features of a row are its number, and its brightness."""

    able = 1_000  # rows that it embeds before the time is over
    asked: dict[str, Any]

    def __init__(self, **settings: Any) -> None:
        self.folder = Path(settings["folder"])
        Fake.asked = settings

    def open(self, pixels: Path, columns: Any, *, metric: str, digests: list[str]) -> None:
        self.digests, self.columns = digests, columns

    def embed(self, spec: Any, size: int, rows: np.ndarray, allowance: Any) -> Any:
        rows = rows[: self.able]
        first = rows[:, None].astype(np.float32)
        last = np.concatenate([first + 0.5, np.full((len(rows), 2), size)], 1).astype(np.float32)
        np.savez(self.folder / "features.npz", rows=rows, g0=first, g1=last)
        return SimpleNamespace(path="features.npz", groups=2, rows=len(rows))

    def close(self) -> None:
        pass


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(client, "connect", Fake)
    for part in ("train", "test"):
        pictures(tmp_path / "photos" / part, each=3, classes=2)
    return tmp_path / "photos"


def test_features_come_with_paths_labels_and_parts(photos: Path) -> None:
    made = autotl.embed(photos, backbone="resnet14t_small")
    assert made.features.shape == (12, 3) and made.features.dtype == np.float32
    assert made.features[:, 0].tolist() == [row + 0.5 for row in range(12)]
    assert (made.backbone, made.input_size, made.widths) == (BACKBONE, int(made.features[0, 1]), (3,))
    for path, label, part in zip(made.paths, made.labels, made.parts, strict=True):
        assert path.split("/")[:2] == [part, made.classes[label]]
    assert set(made.parts) == {"train", "test"}
    assert not made.errors


def test_all_layer_groups_stand_side_by_side(photos: Path) -> None:
    made = autotl.embed(photos, backbone=BACKBONE, layers="all", input_size=64)
    assert made.widths == (1, 3) and made.features.shape == (12, 4)
    assert made.features[3].tolist() == [3.0, 3.5, 64.0, 64.0]


def test_an_npz_holds_no_pickle(photos: Path, tmp_path: Path) -> None:
    made = autotl.embed(photos, backbone=BACKBONE)
    file = made.save(tmp_path / "new folder" / "features.npz")
    with np.load(file, allow_pickle=False) as stored:
        assert {name: stored[name].shape for name in stored.files} == {
            "features": (12, 3), "widths": (1,), "labels": (12,), "paths": (12,), "parts": (12,), "classes": (2,),
            "backbone": (), "input_size": (),
        }  # fmt: skip
        np.testing.assert_array_equal(stored["features"], made.features)
        assert stored["classes"][stored["labels"]].tolist() == [made.classes[label] for label in made.labels]


def test_an_image_that_cannot_be_read_is_left_out_and_named(photos: Path, tmp_path: Path) -> None:
    broken = next((photos / "train").glob("*/*.png"))
    broken.write_bytes(broken.read_bytes()[:60])
    done = CliRunner().invoke(
        main, ["embed", str(photos), "--backbone", BACKBONE, "--to", str(tmp_path / "f.npz")]
    )
    assert done.exit_code == 0, done.output
    assert "1 image is left out: " in done.output and broken.name in done.output
    assert f"11 images × 3 features of {BACKBONE}" in done.output
    with np.load(tmp_path / "f.npz") as stored:
        assert not any(
            name.endswith(f"{broken.parent.name}/{broken.name}") and name.startswith("train")
            for name in stored["paths"]
        )


@pytest.mark.parametrize(
    ("more", "error", "word"),
    [
        ({"backbone": "resnet14t_smal"}, UnknownNameError, "resnet14t_small"),
        ({"backbone": "autotl:*"}, AutotlError, "expected one"),
        ({"budget": "0.000001"}, BudgetError, "give more --budget"),
    ],
)
def test_what_cannot_be_done_is_named(
    photos: Path, more: dict[str, Any], error: type[Exception], word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Fake, "able", 5)
    with pytest.raises(error, match=word.replace("*", r"\*")):
        autotl.embed(photos, **({"backbone": BACKBONE} | more))


def test_a_budget_that_is_over_leaves_no_file_and_says_how_to_go_on(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Fake, "able", 5)
    file = tmp_path / "f.npz"
    done = CliRunner().invoke(
        main, ["embed", str(photos), "--backbone", BACKBONE, "--to", str(file), "--budget", "10s"]
    )
    assert done.exit_code == 1
    assert "5 of 12 images embedded; they are in the cache, so that the next call goes on" in done.output
    assert not file.exists()


def test_no_image_that_can_be_read_is_an_error(photos: Path) -> None:
    for image in photos.glob("*/*/*.png"):
        image.write_bytes(image.read_bytes()[:60])
    with pytest.raises(DatasetError, match="none of the 12 images"):
        autotl.embed(photos, backbone=BACKBONE)


def test_another_suffix_and_a_missing_package_end_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "embed", lambda *_, **__: pytest.fail("worked"))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for name, word in (("f.csv", "expected .npz or .parquet"), ("f.parquet", "autotl[parquet]")):
        done = CliRunner().invoke(
            main, ["embed", str(tmp_path), "--backbone", "x", "--to", str(tmp_path / name)]
        )
        assert done.exit_code == 1 and word in done.output


def test_parquet_gets_one_row_an_image(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pyarrow is optional, so a stand-in that writes JSON shows what it is given."""
    arrow, parquet = ModuleType("pyarrow"), ModuleType("pyarrow.parquet")
    for name in ("string", "float32"):
        setattr(arrow, name, lambda name=name: name)
    arrow.list_ = lambda kind, width: f"{kind} × {width}"  # type: ignore[attr-defined]
    arrow.schema = lambda fields, metadata: {"fields": fields, **metadata}  # type: ignore[attr-defined]
    arrow.array = lambda values, kind=None: np.asarray(values)  # type: ignore[attr-defined]
    arrow.FixedSizeListArray = SimpleNamespace(from_arrays=lambda flat, width: flat.reshape(-1, width))  # type: ignore[attr-defined]
    arrow.Table = SimpleNamespace(from_arrays=lambda columns, schema: columns)  # type: ignore[attr-defined]

    class Writer:
        def __init__(self, path: Path, schema: Any) -> None:
            self.path, self.schema, self.rows = path, schema, []

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            self.path.write_text(json.dumps({"schema": self.schema, "rows": self.rows}))

        def write_table(self, columns: list[np.ndarray]) -> None:
            self.rows += [[column[row].tolist() for column in columns] for row in range(len(columns[0]))]

    parquet.ParquetWriter = Writer  # type: ignore[attr-defined]
    arrow.parquet = parquet  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pyarrow", arrow)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", parquet)
    made = autotl.embed(photos, backbone=BACKBONE)
    written = json.loads(made.save(tmp_path / "f.parquet").read_text())
    assert written["schema"]["fields"][-1] == ["features", "float32 × 3"]
    assert written["schema"]["backbone"] == BACKBONE
    assert len(written["rows"]) == 12
    path, label, part, features = written["rows"][4]
    assert path.split("/")[:2] == [part, label] and features == made.features[4].tolist()


def test_numbers_stay_numbers(photos: Path, tmp_path: Path) -> None:
    images = sorted((photos / "train").glob("*/*.png"))
    lines = [f"{image.relative_to(photos)},{number + 0.25}" for number, image in enumerate(images)]
    table = photos / "ages.csv"
    table.write_text("\n".join(["path,label", *lines]))
    made = autotl.embed(table, backbone=BACKBONE, target="regression")
    assert made.labels.tolist() == [number + 0.25 for number in range(6)]
    with np.load(made.save(tmp_path / "ages.npz")) as stored:
        assert stored["labels"].tolist() == made.labels.tolist()
