"""Tables in folders, sets of Hugging Face, and sets for detection."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from source_files import folders, guesses, labels, picture, read, reasons, table, twelve

from autotl.errors import DatasetError
from autotl.records import Kind

AB = [(f"img/{number}.png", "ab"[number % 2]) for number in range(12)]


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
def test_a_metadata_file_labels_its_folder(tmp_path: Path, name: str) -> None:
    twelve(tmp_path)
    if name.endswith("csv"):
        table(tmp_path, ("file_name", "label"), AB, name)
    else:
        (tmp_path / name).write_text("\n".join(json.dumps({"file_name": p, "label": a}) for p, a in AB))
    picture(tmp_path / "img" / "more.png")
    data = read(tmp_path)
    assert data.classes == ("a", "b") and f"labels in {name}" in guesses(data)
    assert reasons(data) == {"img/more.png": Kind.NOT_LISTED}


def test_a_metadata_file_for_each_part(tmp_path: Path) -> None:
    for part in ("train", "test"):
        twelve(tmp_path / part, "")
        table(tmp_path / part, ("file_name", "label"), [(p[4:], a) for p, a in AB], "metadata.csv")
    data = read(tmp_path)
    assert sorted(data.given.tolist()) == [0] * 12 + [2] * 12 and set(data.names) >= {
        "train/0.png",
        "test/11.png",
    }


def test_a_metadata_file_without_labels_leaves_them_to_the_folders(tmp_path: Path) -> None:
    folders(tmp_path, "a", "b")
    table(tmp_path, ("file_name", "camera"), [("a/0.png", "x"), ("b/0.png", "x")], "metadata.csv")
    assert read(tmp_path, layout="class").classes == ("a", "b")


def test_the_one_table_in_a_folder_is_read(tmp_path: Path) -> None:
    table(twelve(tmp_path / "set"), ("id", "label"), [(f"{n}", "ab"[n % 2]) for n in range(12)])
    (tmp_path / "set" / "README.md").write_text("x")
    data = read(tmp_path)
    assert data.classes == ("a", "b") and "labels.csv" in guesses(data)
    assert reasons(data) == {"set/README.md": Kind.NOT_AN_IMAGE}


def test_a_table_for_each_part_and_several_others(tmp_path: Path) -> None:
    twelve(tmp_path)
    table(tmp_path, ("path", "label"), AB[:8], "train.csv")
    table(tmp_path, ("path", "label"), AB[8:], "test.csv")
    assert sorted(read(tmp_path).given.tolist()) == [0] * 8 + [2] * 4
    table(tmp_path, ("path", "label"), AB, "all.csv")
    with pytest.raises(DatasetError, match=r"3 tables.*give one of them as DATA"):
        read(tmp_path)


def test_a_table_that_contradicts_the_folders_is_a_question(tmp_path: Path) -> None:
    folders(tmp_path, "part_1", "part_2", each=6)
    rows = [(f"part_{p}/{n}.png", ["mel", "nv"][n % 2]) for p in (1, 2) for n in range(6)]
    source = table(tmp_path, ("path", "label"), rows)
    with pytest.raises(DatasetError, match=r"two ways: labels.csv labels part_1/.*--layout class"):
        read(tmp_path)
    assert read(tmp_path, layout="class").classes == ("part_1", "part_2")
    assert read(source).classes == ("mel", "nv")
    table(tmp_path, ("path", "label"), [(name, name.split("/")[0]) for name, _ in rows])
    assert reasons(read(tmp_path)) == {"labels.csv": Kind.TABLE_BESIDE}


# --------------------------------------------------------------------------- images inside


def features(names: list[str]) -> dict[bytes, bytes]:
    info = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": names}}
    return {b"huggingface": json.dumps({"info": {"features": info}}).encode()}


def rows_of(tmp_path: Path, count: int) -> dict[str, list[object]]:
    twelve(tmp_path / "img")
    content = [(tmp_path / "img" / "img" / f"{n}.png").read_bytes() for n in range(count)]
    images = [{"bytes": one, "path": f"{n}.png"} for n, one in enumerate(content)]
    return {"image": images, "label": [n % 2 for n in range(count)]}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOTL_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("place", ["train-00000-of-00001.parquet", "data/train-00000-of-00001.parquet"])
def test_parquet_with_images_inside(tmp_path: Path, place: str) -> None:
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = rows_of(tmp_path, 12)
    columns["label"][3] = -1  # unlabelled
    for name in (place, place.replace("train", "test")):
        (tmp_path / "hub" / name).parent.mkdir(parents=True, exist_ok=True)
        made = pa.table(columns).replace_schema_metadata(features(["cat", "dog"]))
        parquet.write_table(made, tmp_path / "hub" / name)
    data = read(tmp_path / "hub")
    assert data.classes == ("cat", "dog") and sorted(data.given.tolist()) == [0] * 11 + [2] * 11
    assert set(reasons(data).values()) == {Kind.NO_LABEL}
    assert "images in column 'image'" in guesses(data)
    assert len(read(tmp_path / "hub" / place).names) == 11


def test_datasets_saved_to_disk(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    made = pa.table(rows_of(tmp_path, 12)).replace_schema_metadata(features(["cat", "dog"]))
    (tmp_path / "saved" / "dataset_dict.json").parent.mkdir()
    (tmp_path / "saved" / "dataset_dict.json").write_text('{"splits": ["train", "validation"]}')
    for split in ("train", "validation"):
        folder = tmp_path / "saved" / split
        folder.mkdir()
        (folder / "dataset_info.json").write_text("{}")
        (folder / "state.json").write_text('{"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}')
        with (
            pa.OSFile(str(folder / "data-00000-of-00001.arrow"), "wb") as sink,
            pa.ipc.new_stream(sink, made.schema) as writer,
        ):
            writer.write_table(made)
    data = read(tmp_path / "saved")
    assert data.classes == ("cat", "dog") and sorted(data.given.tolist()) == [0] * 12 + [1] * 12
    (tmp_path / "saved" / "train" / "data-00000-of-00001.arrow").write_bytes(b"broken")
    with pytest.raises(DatasetError, match=r"cannot be read"):
        read(tmp_path / "saved")


# --------------------------------------------------------------------------- detection


def coco(root: Path) -> None:
    (root / "annotations").mkdir(parents=True)
    content = {"images": [{"file_name": "0.png"}], "annotations": [{"bbox": [1, 2, 3, 4]}], "categories": []}
    (root / "annotations" / "instances_train.json").write_text(json.dumps(content))
    twelve(root, "images")


def coco_of_roboflow(root: Path) -> None:
    for part in ("train", "valid"):
        twelve(root, part)
        (root / part / "_annotations.coco.json").write_text("{}")


def yolo(root: Path) -> None:
    for part in ("train", "val"):
        twelve(root / "images", part)
        (root / "labels" / part).mkdir(parents=True)
        (root / "labels" / part / "0.txt").write_text("0 0.5 0.5 0.25 0.25\n3 0.1 0.1 0.2 0.2\n")
    (root / "data.yaml").write_text("train: images/train\nnc: 2\nnames: [a, b]\n")


def voc(root: Path) -> None:
    twelve(root / "VOC2007", "JPEGImages")
    (root / "VOC2007" / "Annotations").mkdir()
    text = "<annotation><object><name>dog</name></object></annotation>"
    (root / "VOC2007" / "Annotations" / "0.xml").write_text(text)


@pytest.mark.parametrize(
    ("make", "name"), [(coco, "COCO"), (coco_of_roboflow, "COCO"), (yolo, "YOLO"), (voc, "Pascal VOC")]
)
def test_annotations_of_objects_are_refused_by_name(tmp_path: Path, make: object, name: str) -> None:
    make(tmp_path / "set")  # type: ignore[operator]
    with pytest.raises(DatasetError, match=rf"{name} annotations of objects.*--crops cuts the objects out"):
        read(tmp_path / "set")


def test_annotations_beside_class_folders_are_left_out(tmp_path: Path) -> None:
    folders(tmp_path, "cat", "dog")
    (tmp_path / "cat" / "0.xml").write_text("<annotation><object></object></annotation>")
    assert labels(read(tmp_path)).keys() == {"cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png"}
