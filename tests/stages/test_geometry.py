"""Long images: what a run chooses for them, where it is measured and where it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from simulated_run import TABLE, World

import autotl
from autotl.budget import Allowance
from autotl.records import BackboneSpec, Embedding, Geometry, Kind
from autotl.report.cautions import warnings
from autotl.report.wording import sentence
from autotl.run_folder import result_file
from autotl.testing.simulated_engine import Cell, TableEngine

pytestmark = [pytest.mark.usefixtures("no_drawings", "guest"), pytest.mark.slow]

REFERENCE = ("autotl:resnet14t_small", 64)


class Seeing(TableEngine):
    """An engine whose reference backbone recognises classes in squashed images alone."""

    asked: list[Geometry]

    def embed(
        self, backbone: BackboneSpec, input_size: int, rows: np.ndarray, allowance: Allowance
    ) -> Embedding:
        embedding = super().embed(backbone, input_size, rows, allowance)
        self.asked.append(backbone.preprocess.geometry)
        if (backbone.name, input_size) == REFERENCE and backbone.preprocess.geometry == "squash":
            with np.load(embedding.path) as stored:
                have = stored["rows"]
            np.savez(embedding.path, rows=have, g0=np.eye(4, 32, dtype=np.float32)[self.labels[have]])
        return embedding


class SeeingWorld(World):
    def connect(self, *, folder: Path, **_: Any) -> TableEngine:
        engine = Seeing(folder, {**self.table, REFERENCE: Cell(seconds=0.001)}, self.clock)
        engine.asked = []
        self.engine = engine
        return engine


def images(folder: Path, size: tuple[int, int]) -> Path:
    generator = np.random.default_rng(0)
    for label in range(4):
        (folder / f"class{label}").mkdir(parents=True)
        for number in range(30):
            pixels = generator.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"class{label}" / f"{number:02}.png")
    return folder


@pytest.fixture(scope="module")
def tall(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return images(tmp_path_factory.mktemp("data") / "tall", (16, 48))


def run(source: Path, out: Path, **options: Any) -> tuple[result_file.Recommendation, list[Geometry]]:
    world = SeeingWorld(TABLE)
    folder = world.run(source, out, **options)
    return result_file.read(folder), world.engine.asked  # type: ignore[attr-defined]


def test_long_images_are_taken_as_a_linear_probe_recognises_them(tall: Path, tmp_path: Path) -> None:
    state, asked = run(tall, tmp_path / "run")
    (found,) = [finding for finding in state.profile.findings if finding.kind is Kind.GEOMETRY]
    assert found.values["geometry"] == "squash"
    assert found.values["recognised"]["squash"] > 0.9 > found.values["recognised"]["crop"]
    assert "they are squashed: a linear probe" in sentence(found) and "--geometry" in sentence(found)
    assert state.profile.elongated == 1.0
    assert {spec.preprocess.geometry for spec in state.backbones} == {"squash"}
    first = asked.index("pad") + 1
    assert set(asked[first:]) <= {"squash", "crop"}  # the similarity is measured on central crops
    assert "they are squashed" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    continued, asked = run(tall, tmp_path / "other", geometry="pad")
    assert {spec.preprocess.geometry for spec in continued.backbones} == {"pad"}
    assert "squash" not in asked


def test_a_fit_of_the_recipe_takes_images_as_the_run_did(
    tall: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    run(tall, tmp_path / "run")
    given: list[Any] = []

    def recommend(options: Any, **_: Any) -> Path:
        given.append(options)
        return tmp_path / "run"

    monkeypatch.setattr("autotl.pipeline.recommend", recommend)
    autotl.load(tmp_path / "run").fit(out=tmp_path / "again")
    assert given[0].geometry == "squash"


def test_long_images_that_could_not_be_measured_are_said_to_be_cropped(
    tall: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autotl.ranking.geometry.FEWEST", 10_000)
    state, _ = run(tall, tmp_path / "run")
    assert not [finding for finding in state.profile.findings if finding.kind is Kind.GEOMETRY]
    (caution,) = [text for text in warnings(state) if "--geometry squash" in text]
    assert caution.startswith("100% of the images are at least 1.5 times as long as wide")


def test_images_that_are_nearly_square_keep_what_each_backbone_declares(tmp_path: Path) -> None:
    state, asked = run(images(tmp_path / "data", (40, 32)), tmp_path / "run")
    assert state.profile.elongated == 0.0
    assert not [finding for finding in state.profile.findings if finding.kind is Kind.GEOMETRY]
    assert set(asked) == {"crop"}
