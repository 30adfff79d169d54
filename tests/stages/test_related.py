"""A run with labelled images of another source: matched by class, decoded last, compared with ignoring it."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from made_images import pictures
from PIL import Image
from simulated_run import World

from autotl.cli import main
from autotl.errors import AutotlError, DatasetError
from autotl.records import Kind
from autotl.run_folder import manifest, result_file
from autotl.run_folder.replay import replay

pytestmark = pytest.mark.usefixtures("no_drawings", "guest")


@pytest.fixture(scope="module")
def other(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of two of the classes under other spellings, a copy of an image of the data, and a class of their own."""
    folder = tmp_path_factory.mktemp("other")
    generator = np.random.default_rng(7)
    for name, count in (("Class0", 12), ("class1", 8), ("zebra", 5)):
        (folder / name).mkdir()
        for number in range(count):
            pixels = generator.integers(0, 255, (24, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number:02}.png")
    (folder / "class1" / "copy.png").write_bytes((photos / "class1" / "000.png").read_bytes())
    return folder


def test_it_is_matched_by_class_and_compared_with_ignoring_it(
    photos: Path, other: Path, tmp_path: Path
) -> None:
    world = World()
    folder = world.run(photos, tmp_path / "run", related=str(other), backbones=("mine:good",))
    state = result_file.read(folder)
    assert state.data.related == 20 == state.profile.related
    findings = {finding.kind: finding for finding in state.data.findings}
    assert findings[Kind.RELATED_READ].values["classes"] == 2 and findings[Kind.RELATED_READ].count == 21
    assert (
        findings[Kind.RELATED_UNMATCHED].where == ("zebra",) and findings[Kind.RELATED_UNMATCHED].count == 5
    )
    assert findings[Kind.RELATED_COPIES].count == 1
    assert world.engine is not None
    columns = world.engine.columns
    assert columns.related is not None and columns.related_labels is not None
    assert len(columns.labels) == 240 and columns.related.min() >= 240 and len(columns.related) == 20
    assert np.bincount(columns.related_labels).tolist() == [12, 8]
    with open(folder / "manifest.csv", newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if "other" in row["path"]]
    of_source = [row for row in rows if row["part"] == "another source"]
    assert len(of_source) == 21 and {row["label"] for row in of_source} == {"class0", "class1"}
    copy = next(row for row in of_source if row["path"].endswith("class1/copy.png"))
    assert (
        copy["finding"].startswith("a copy of class1/000.png")
        and sum(bool(row["finding"]) for row in of_source) == 1
    )
    left_out = [row["finding"] for row in rows if row["part"] == "left out"]
    assert left_out == ["its class 'zebra' is none of DATA"] * 5 and len(rows) == 26
    assert len(manifest.read(folder / "manifest.csv").names) == 240
    tried = {trial.candidate.strategy for trial in world.engine.trials}
    assert {"linear_probe", "linear_pooled", "linear_weighted"} <= tried
    compared = {note.values["strategy"]: note for note in state.notes if note.kind is Kind.RELATED_COMPARED}
    assert (
        compared["linear_weighted"].values["base"]
        == "linear_probe"
        == compared["linear_pooled"].values["base"]
    )
    assert "zebra" in (folder / "report.html").read_text(encoding="utf-8")
    assert replay(folder) == []


def test_without_another_source_its_strategies_are_not_tried(photos: Path, tmp_path: Path) -> None:
    world = World()
    world.run(photos, tmp_path / "run", budget=30.0)
    assert world.engine is not None
    assert not any("pooled" in trial.candidate.strategy for trial in world.engine.trials)
    with pytest.raises(AutotlError, match="name their folder with --source"):
        World().run(photos, tmp_path / "named", strategies=("linear_pooled",))


def test_a_source_that_shares_no_class_is_refused(photos: Path, tmp_path: Path) -> None:
    elsewhere = pictures(tmp_path / "elsewhere", classes=2, each=3)
    for number in range(2):
        (elsewhere / f"class{number}").rename(elsewhere / f"another{number}")
    with pytest.raises(DatasetError, match="has no class of DATA"):
        World().run(photos, tmp_path / "run", related=str(elsewhere))
    missing = CliRunner().invoke(main, ["run", str(photos), "--source", str(tmp_path / "nowhere")])
    assert missing.exit_code == 2 and "--source" in missing.output
