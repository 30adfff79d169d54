from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autotl.data.shortcuts import shortcut
from autotl.records import Finding, Kind
from autotl.report.wording import sentence
from autotl.report.wording.examined import sign
from autotl.run import profile

IMAGES = 300


def _metadata(**columns: np.ndarray) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    width = generator.integers(200, 400, IMAGES).astype(float)
    plain = {
        "width": width,
        "height": generator.integers(200, 400, IMAGES).astype(float),
        "format": np.full(IMAGES, "JPEG"),
        "mode": generator.choice(["RGB", "L"], IMAGES),
        "quality": generator.choice([75.0, 90.0, 95.0], IMAGES),
        "bytes": generator.integers(9_000, 40_000, IMAGES).astype(float),
        "time": 1.7e9 + generator.random(IMAGES) * 600,
        "border": np.full(IMAGES, ""),
        "camera": np.full(IMAGES, ""),
    }
    return plain | columns


LABELS = np.arange(IMAGES) % 3
OF_ONE = LABELS == 1


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("mode", np.where(OF_ONE, "RGB", "L")),
        ("format", np.where(OF_ONE, "PNG", "JPEG")),
        ("quality", np.where(OF_ONE, 50.0, 95.0)),
        ("width", np.where(OF_ONE, 512.0, 256.0)),
        ("border", np.where(OF_ONE, "#e0e0e0", "")),
        ("camera", np.where(OF_ONE, "Acme X1", "Acme Y2")),
        ("time", 1.7e9 + 86_400.0 * 30 * OF_ONE + np.arange(IMAGES)),
    ],
)
def test_a_planted_shortcut_is_found_with_the_field_and_the_class_that_it_gives_away(
    field: str, values: np.ndarray
) -> None:
    found = shortcut(_metadata(**{field: values}), LABELS)
    assert found is not None
    assert found.p <= 0.01 and found.score > 0.6 and found.chance < 0.4
    assert found.fields[0][0] == field
    assert (found.signs[0].field, found.signs[0].share, found.signs[0].others) == (
        field,
        1.0,
        0.0,
    ) or field == "time"
    one, other = found.signs[0].rows
    assert (LABELS[one] == found.signs[0].label) and LABELS[other] != LABELS[one]


def test_one_class_of_many_that_is_given_away_is_named() -> None:
    generator = np.random.default_rng(0)
    labels = np.arange(IMAGES) % 10
    png = (labels == 7) & (generator.random(IMAGES) < 0.9)
    found = shortcut(_metadata(format=np.where(png, "PNG", "JPEG")), labels)
    assert found is not None and found.of_class is not None
    assert found.of_class.label == 7 and found.of_class.share > 0.6 and found.of_class.others < 0.1
    assert found.p <= 0.01 and found.fields[0][0] == "format"
    of_any = generator.permutation(png)
    assert shortcut(_metadata(format=np.where(of_any, "PNG", "JPEG")), labels) is None


def test_the_class_that_is_given_away_is_said() -> None:
    values = {
        "score": 0.2,
        "chance": 0.1,
        "p": 0.01,
        "fields": {"format": 0.9},
        "signs": [],
        "of_class": {"label": "g", "share": 0.9, "others": 0.002},
    }
    text = sentence(Finding(kind=Kind.SHORTCUT, values=values, count=300))
    assert "metadata alone tell g from the other classes" in text and "format recognises 90% of it" in text


def test_metadata_that_are_the_same_in_all_classes_are_none() -> None:
    assert shortcut(_metadata(), LABELS) is None


def test_file_size_alone_proves_nothing_because_it_follows_from_the_picture() -> None:
    assert shortcut(_metadata(bytes=np.where(OF_ONE, 9_000.0, 40_000.0)), LABELS) is None


def test_files_that_were_copied_class_by_class_within_a_day_are_no_shortcut() -> None:
    assert (
        shortcut(_metadata(time=1.7e9 + np.argsort(np.argsort(LABELS, kind="stable")) * 1.0), LABELS) is None
    )


def test_a_size_that_belongs_to_persons_is_judged_on_other_persons() -> None:
    """Each person has one size and one class; sizes of other persons say nothing of it."""
    person = np.arange(IMAGES) // 10
    labels = person % 3
    sizes = np.random.default_rng(1).permutation(IMAGES // 10)[person] * 7.0 + 100
    assert shortcut(_metadata(width=sizes), labels, person) is None


def test_a_sign_is_said_with_its_unit() -> None:
    values = {
        "field": "width",
        "value": "",
        "low": 256.0,
        "high": 256.0,
        "label": "cat",
        "share": 0.75,
        "others": 0.004,
    }
    assert sign(values) == "width 256 px in 75% of cat, 0.4% of the others"
    assert sign(values | {"others": 0.364}) == "width 256 px in 75% of cat, 36% of the others"
    assert sign(values | {"field": "mode", "value": "RGB"}).startswith("colour mode RGB in 75%")
    assert sign(values | {"field": "bytes", "low": 2e3, "high": 9e3}).startswith("file size 2 to 9 kB")


def test_a_profile_names_the_shortcut_with_a_picture_of_each_side(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for number in range(80):
        folder = tmp_path / ("scan" if number % 2 else "photo")
        folder.mkdir(exist_ok=True)
        image = Image.fromarray(generator.integers(0, 255, (24, 24, 3), dtype=np.uint8))
        if number % 2:
            image.convert("L").save(folder / f"{number}.png")
        else:
            image.save(folder / f"{number}.jpg")
    (found,) = [f for f in profile(tmp_path).findings if f.kind is Kind.SHORTCUT]
    assert found.values["score"] == 1.0 and found.action == "kept"
    assert {Path(name).parent.name for name in found.pairs[0]} == {"scan", "photo"}
    assert "format PNG in 100% of scan, 0% of the others" in sentence(found)
