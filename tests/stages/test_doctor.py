"""What a run does with what it finds in the data: groups, copies and contradictions, on real files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from simulated_run import TABLE, World

import autotl
from autotl import pipeline
from autotl.budget import Allowance
from autotl.records import BackboneSpec, Embedding, Kind
from autotl.report.cautions import warnings
from autotl.run_folder import manifest, result_file
from autotl.run_folder.replay import replay
from autotl.testing.simulated_engine import Cell, TableEngine

pytestmark = [pytest.mark.usefixtures("no_drawings", "guest"), pytest.mark.slow]

REFERENCE = ("autotl:resnet14t_small", 64)
PERSONS, EACH = 8, 6


class Seeing(TableEngine):
    """An engine whose reference backbone sees which person an image shows."""

    names: tuple[str, ...] = ()

    def embed(
        self, backbone: BackboneSpec, input_size: int, rows: np.ndarray, allowance: Allowance
    ) -> Embedding:
        embedding = super().embed(backbone, input_size, rows, allowance)
        if (backbone.name, input_size) != REFERENCE:
            return embedding
        with np.load(embedding.path) as stored:
            have = stored["rows"]
        generator = np.random.default_rng(0)
        persons, classes = generator.normal(size=(PERSONS, 4, 32)), generator.normal(size=(4, 32))
        person = np.array([int(self.names[row].split("/p")[1][0]) for row in have])
        of_class = self.labels[have]
        seen = (
            0.4 * classes[of_class] + 0.8 * persons[person, of_class] + generator.normal(size=(len(have), 32))
        )
        np.savez(embedding.path, rows=have, g0=seen.astype(np.float32))
        return embedding


class SeeingWorld(World):
    def connect(self, *, folder: Path, **_: Any) -> TableEngine:
        engine = Seeing(folder, {**self.table, REFERENCE: Cell(seconds=0.001)}, self.clock)
        engine.names = self.names
        self.engine = engine
        return engine

    names: tuple[str, ...] = ()


@pytest.fixture(scope="module")
def persons(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four classes of eight persons; nothing in the pixels tells them apart."""
    folder = tmp_path_factory.mktemp("data") / "persons"
    generator = np.random.default_rng(0)
    for label in range(4):
        (folder / f"class{label}").mkdir(parents=True)
        for person in range(PERSONS):
            for shot in range(EACH):
                pixels = generator.integers(0, 255, (24, 24, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"class{label}" / f"p{person}_{shot:02}.png")
    return folder


def _run(source: Path, out: Path, **options: Any) -> Path:
    world = SeeingWorld(TABLE)
    world.names = tuple(sorted(path.relative_to(source).as_posix() for path in source.rglob("*.png")))
    return world.run(source, out, **options)


def _sides(folder: Path) -> set[tuple[str, int, int]]:
    table = manifest.read(folder / "manifest.csv")
    return {
        (name.split("_")[0], int(part), int(fold))
        for name, part, fold in zip(table.names, table.part, table.fold, strict=True)
        if part >= 0
    }


def test_groups_in_the_names_stay_whole_and_the_run_says_so(persons: Path, tmp_path: Path) -> None:
    folder = _run(persons, tmp_path / "run")
    state = result_file.read(folder)
    (found,) = [finding for finding in state.profile.findings if finding.kind is Kind.GROUPS]
    assert found.action == "held_together" and found.values["held"]
    assert state.data.grouped and Kind.GROUPS_WHOLE in [how.kind for how in state.data.split]
    assert len(_sides(folder)) == 4 * PERSONS
    assert any("no-auto-group" in text for text in warnings(state))
    assert not replay(folder)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "--no-auto-group" in page and 'class="compared"' in page
    (checked,) = [finding for finding in state.profile.findings if finding.kind is Kind.SPLIT_CHECKED]
    assert checked.values["acted"] == ["names"] and checked.values["backbones"] >= 1
    assert "a random split would have shown" in page


def test_the_option_undoes_it_and_the_run_warns(persons: Path, tmp_path: Path) -> None:
    folder = _run(persons, tmp_path / "run", no_auto_group=True)
    state = result_file.read(folder)
    (found,) = [finding for finding in state.profile.findings if finding.kind is Kind.GROUPS]
    assert found.action == "kept" and not state.data.grouped
    assert len(_sides(folder)) > 4 * PERSONS
    assert any("They are split" in text for text in warnings(state))


def test_a_run_that_is_continued_keeps_groups_and_findings(
    persons: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _run(persons, tmp_path / "run", budget=60.0)
    before, sides = result_file.read(folder), _sides(folder)
    recommend = pipeline.recommend
    monkeypatch.setattr(
        pipeline,
        "recommend",
        lambda options, **given: recommend(options, **given | {"started": 0.0, "tools": World().tools}),
    )
    state = autotl.load(folder).extend("1m").result
    assert _sides(folder) == sides
    assert state.data.grouped
    assert [f.kind for f in state.profile.findings if f.kind is Kind.GROUPS] == [
        f.kind for f in before.profile.findings if f.kind is Kind.GROUPS
    ]


def test_equal_images_under_two_labels_take_no_part(photos: Path, tmp_path: Path) -> None:
    source = tmp_path / "photos"
    for path in sorted(photos.rglob("*.png")):
        copy = source / path.relative_to(photos)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    (source / "class1" / "wrong.png").write_bytes((source / "class0" / "000.png").read_bytes())
    folder = World().run(source, tmp_path / "run")
    table = manifest.read(folder / "manifest.csv")
    out = {str(name) for name, part in zip(table.names, table.part, strict=True) if part < 0}
    assert out == {"class0/000.png", "class1/wrong.png"}
    lines = (folder / "manifest.csv").read_text(encoding="utf-8").splitlines()
    assert sum("another label" in line for line in lines) == 2
    assert any("different labels" in text for text in warnings(result_file.read(folder)))


def test_labels_that_are_probably_wrong_are_listed_with_picture_label_and_the_likelier_one(
    tmp_path: Path,
) -> None:
    """The simulated engine shows the true class of an image by its name's number."""
    source = tmp_path / "photos"
    generator = np.random.default_rng(0)
    for number in range(160):
        label = number % 4 if number not in (40, 41) else (number + 1) % 4
        (source / f"class{label}").mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 255, (24, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(source / f"class{label}" / f"{number:03}.png")
    world = Truthful(TABLE)
    world.names = tuple(sorted(path.relative_to(source).as_posix() for path in source.rglob("*.png")))
    folder = world.run(source, tmp_path / "run", test_size=0.0)
    state = result_file.read(folder)
    (found,) = [finding for finding in state.profile.findings if finding.kind is Kind.WRONG_LABELS]
    listed = {(s["name"], s["label"], s["likelier"]) for s in found.values["suspects"]}
    assert {("class1/040.png", "class1", "class0"), ("class2/041.png", "class2", "class1")} <= listed
    assert found.action == "kept" and found.count <= 4
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "labelled class1, more likely class0" in page
    assert "class1/040.png: class1, more likely class0" in (folder / "report.md").read_text(encoding="utf-8")


class TruthfulEngine(TableEngine):
    """An engine whose features show the class that the number in a name stands for."""

    names: tuple[str, ...] = ()

    def embed(
        self, backbone: BackboneSpec, input_size: int, rows: np.ndarray, allowance: Allowance
    ) -> Embedding:
        embedding = super().embed(backbone, input_size, rows, allowance)
        with np.load(embedding.path) as stored:
            have = stored["rows"]
        true = np.array([int(Path(self.names[row]).stem) % 4 for row in have])
        noise = 0.1 * np.random.default_rng(0).normal(size=(len(have), 8))
        np.savez(embedding.path, rows=have, g0=(np.eye(4, 8)[true] + noise).astype(np.float32))
        return embedding


class Truthful(World):
    names: tuple[str, ...] = ()

    def connect(self, *, folder: Path, **_: Any) -> TableEngine:
        engine = TruthfulEngine(folder, self.table, self.clock)
        engine.names = self.names
        self.engine = engine
        return engine
