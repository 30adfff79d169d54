"""``--crops``: objects in boxes of COCO, YOLO and Pascal VOC are items; all of the set is accounted for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from source_files import folders, guesses, labels, read, reasons

from autotl.errors import DatasetError

RED, BLUE = (220, 30, 30), (30, 30, 220)
# Class and corners of two objects in each image of 80 × 60 pixels.
OBJECTS = (("cat", RED, (10, 10, 30, 40)), ("dog", BLUE, (40, 20, 70, 50)))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOTL_CACHE", str(tmp_path / "cache"))


def scene(path: Path, shade: int = 0, **saved: Any) -> None:
    pixels = np.full((60, 80, 3), 120 + shade, np.uint8)
    for _, colour, (left, top, right, bottom) in OBJECTS:
        pixels[top:bottom, left:right] = colour
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **saved)


def coco(root: Path) -> None:
    for part, first in (("train", 0), ("val", 4)):
        images, annotations = [], []
        for number in range(first, first + 4):
            scene(root / f"{part}2017" / f"{number}.png", number)
            images.append({"id": number, "file_name": f"{number}.png", "width": 80, "height": 60})
            for code, (_, _, (left, top, right, bottom)) in enumerate(OBJECTS):
                box = [left, top, right - left, bottom - top]
                annotations.append({"image_id": number, "category_id": code + 7, "bbox": box, "iscrowd": 0})
        categories = [{"id": code + 7, "name": name} for code, (name, _, _) in enumerate(OBJECTS)]
        content = {"images": images, "annotations": annotations, "categories": categories}
        (root / "annotations").mkdir(exist_ok=True)
        (root / "annotations" / f"instances_{part}2017.json").write_text(json.dumps(content))


def yolo(root: Path) -> None:
    for part, first in (("train", 0), ("val", 4)):
        (root / "labels" / part).mkdir(parents=True)
        for number in range(first, first + 4):
            scene(root / "images" / part / f"{number}.png", number)
            lines = [
                f"{code} {(left + right) / 160} {(top + bottom) / 120} {(right - left) / 80} {(bottom - top) / 60}"
                for code, (_, _, (left, top, right, bottom)) in enumerate(OBJECTS)
            ]
            (root / "labels" / part / f"{number}.txt").write_text("\n".join(lines) + "\n")
    (root / "data.yaml").write_text(
        "train: images/train\nval: images/val\nnc: 2\nnames:\n  0: cat\n  1: dog\n"
    )


def voc(root: Path) -> None:
    (root / "Annotations").mkdir(parents=True)
    (root / "ImageSets" / "Main").mkdir(parents=True)
    for number in range(8):
        scene(root / "JPEGImages" / f"{number}.png", number)
        objects = "".join(
            f"<object><name>{name}</name><bndbox><xmin>{left + 1}</xmin><ymin>{top + 1}</ymin><xmax>{right}</xmax>"
            f"<ymax>{bottom}</ymax></bndbox></object>"
            for name, _, (left, top, right, bottom) in OBJECTS
        )
        size = "<size><width>80</width><height>60</height></size>"
        text = f"<annotation><filename>{number}.png</filename>{size}{objects}</annotation>"
        (root / "Annotations" / f"{number}.xml").write_text(text)
    for part, numbers in (("train", range(4)), ("val", range(4, 8))):
        (root / "ImageSets" / "Main" / f"{part}.txt").write_text("\n".join(map(str, numbers)) + "\n")


@pytest.mark.parametrize("make", [coco, yolo, voc])
def test_objects_are_items_with_their_class_and_part_and_those_of_an_image_are_a_group(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    make(tmp_path / "set")
    data = read(tmp_path / "set", crops="True")
    assert data.classes == ("cat", "dog") and len(data.files) == 16 and not data.left_out
    assert sorted(data.given.tolist()) == [0] * 8 + [1] * 8
    assert data.group is not None and np.bincount(data.group).tolist() == [2] * 8
    for file, label in zip(data.files, data.labels, strict=True):
        with Image.open(file) as cut:
            pixels = np.asarray(cut)
        _, colour, (left, top, right, bottom) = OBJECTS[label]
        width, height = round(1.2 * (right - left)), round(1.2 * (bottom - top))
        assert pixels.shape == (height, width, 3)
        assert pixels[height // 2, width // 2].tolist() == list(colour)
        assert pixels[0, 0].tolist() != list(colour)  # the margin
    assert "16 objects in 8 images" in guesses(data) and "10% of the box" in guesses(data)


def test_a_second_reading_takes_what_was_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from autotl.builtin.sources import cuts

    coco(tmp_path / "set")
    first = read(tmp_path / "set", crops="True")
    monkeypatch.setattr(cuts, "cut_out", None)
    again = read(tmp_path / "set", crops="True")
    assert labels(again) == labels(first) and again.fingerprint == first.fingerprint


def test_every_image_and_box_that_is_not_used_has_a_reason(tmp_path: Path) -> None:
    root = tmp_path / "set"
    coco(root)
    scene(root / "train2017" / "empty.png", 30)
    (root / "train2017" / "broken.png").write_bytes((root / "train2017" / "0.png").read_bytes()[:60])
    (root / "notes.txt").write_text("hello")
    file = root / "annotations" / "instances_train2017.json"
    content = json.loads(file.read_text())
    content["images"] += [
        {"id": 90, "file_name": "broken.png", "width": 80, "height": 60},
        {"id": 91, "file_name": "../../../etc/passwd", "width": 80, "height": 60},
        {"id": 92, "file_name": "gone.png", "width": 80, "height": 60},
        {"id": 93, "file_name": "empty.png", "width": 30, "height": 60},
    ]
    strange: list[Any] = [
        {"image_id": 0, "category_id": 7, "bbox": [1, 2, 3]},
        {"image_id": 0, "category_id": 7, "bbox": ["a", 2, 3, 4]},
        {"image_id": 0, "category_id": 7, "bbox": [1, 2, 10**400, 4]},
        {"image_id": 0, "category_id": 7, "bbox": [500, 2, 30, 40]},
        {"image_id": 0, "category_id": 7, "bbox": [10, 10, 2, 40]},
        {"image_id": 0, "category_id": 7, "bbox": [10, 10, -2, 40]},
        {"image_id": 0, "category_id": 7, "bbox": [10, 10, 20, 40], "iscrowd": 1},
        {"image_id": 0, "category_id": 99, "bbox": [10, 10, 20, 40]},
        {"image_id": [0], "category_id": {}, "bbox": [10, 10, 20, 40]},
        {"image_id": 90, "category_id": 7, "bbox": [10, 10, 20, 40]},
        {"image_id": 93, "category_id": 7, "bbox": [10, 10, 20, 40]},
    ]
    first = len(content["annotations"])
    content["annotations"] += strange
    file.write_text(json.dumps(content))
    data = read(root, crops="True")
    assert len(data.files) == 16
    annotated = "annotations/instances_train2017.json"
    assert reasons(data) == {
        **{f"{annotated}#{first + n}": "box_invalid" for n in range(3)},
        "train2017/0.png#2": "box_outside",
        "train2017/0.png#3": "box_small",
        "train2017/0.png#4": "box_invalid",
        f"{annotated}#{first + 6}": "box_of_crowd",
        f"{annotated}#{first + 7}": "no_label",
        f"{annotated}#{first + 8}": "box_of_no_image",
        "train2017/broken.png": "not_a_readable_image",
        "train2017/empty.png#0": "box_of_other_size",
        "../../../etc/passwd": "no_such_file",
        "gone.png": "no_such_file",
        "notes.txt": "not_an_image",
    }


def test_boxes_in_pixels_of_the_stored_image_follow_its_rotation(tmp_path: Path) -> None:
    root = tmp_path / "set"
    coco(root)
    for orientation, image in zip((5, 6, 7, 8), sorted((root / "train2017").iterdir()), strict=True):
        exif = Image.Exif()
        exif[0x0112] = orientation
        scene(image, exif=exif)
    data = read(root, crops="True")
    assert len(data.files) == 16
    for file, label in zip(data.files, data.labels, strict=True):
        with Image.open(file) as cut:
            width, height = cut.size
            assert cut.getpixel((width // 2, height // 2)) == OBJECTS[label][1]


def test_outlines_of_yolo_become_their_boxes_and_numbers_are_names_where_there_are_none(
    tmp_path: Path,
) -> None:
    yolo(tmp_path)
    (tmp_path / "data.yaml").unlink()
    line = "0 0.125 0.1667 0.375 0.1667 0.375 0.6667 0.125 0.6667\n1 0.5 0.333 0.875 0.333 0.875 0.833 0.5 0.833\n"
    (tmp_path / "labels" / "train" / "0.txt").write_text(line)
    data = read(tmp_path, crops="True")
    assert data.classes == ("0", "1") and len(data.files) == 16


def test_an_expression_declares_larger_groups_than_images(tmp_path: Path) -> None:
    coco(tmp_path / "set")
    data = read(tmp_path / "set", crops="True", group=r"(train|val)2017")
    assert data.group is not None and np.bincount(data.group).tolist() == [8, 8]


def test_a_document_type_in_annotations_is_not_followed(tmp_path: Path) -> None:
    voc(tmp_path)
    text = (tmp_path / "Annotations" / "0.xml").read_text()
    bomb = '<!DOCTYPE a [<!ENTITY b "cat"><!ENTITY c "&b;&b;">]>'
    (tmp_path / "Annotations" / "0.xml").write_text(bomb + text.replace("cat", "&c;"))
    data = read(tmp_path, crops="True")
    assert len(data.files) == 14
    assert reasons(data) == {"Annotations/0.xml": "unreadable_annotations", "JPEGImages/0.png": "no_boxes"}


def test_an_image_that_boxes_cover_too_often_is_left_out(tmp_path: Path) -> None:
    yolo(tmp_path)
    (tmp_path / "labels" / "train" / "0.txt").write_text("0 0.5 0.5 1 1\n" * 30)
    (tmp_path / "labels" / "train" / "1.txt").write_text("0 1e308 0.5 1e308 1\n")
    left_out = {"images/train/0.png": "boxes_overlap", "images/train/1.png#0": "box_invalid"}
    assert reasons(read(tmp_path, crops="True")) == left_out


def test_what_has_no_annotations_is_refused(tmp_path: Path) -> None:
    folders(tmp_path / "photos", "cat", "dog")
    with pytest.raises(
        DatasetError, match=r"holds no COCO, YOLO or Pascal VOC annotations; .*leave the option out"
    ):
        read(tmp_path / "photos", crops="True")
    (tmp_path / "labels.csv").write_text("path,label\n")
    with pytest.raises(DatasetError, match="is no folder"):
        read(tmp_path / "labels.csv", crops="True")
