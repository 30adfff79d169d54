"""A run with images that have no label: they are decoded, profiled, named in the folder, and handed to the engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from simulated_run import TABLE, World

import autotl.run
from autotl.cli import main
from autotl.modality import image_store
from autotl.records import Kind
from autotl.run_folder import manifest, result_file
from autotl.testing.simulated_engine import Cell

pytestmark = [pytest.mark.usefixtures("guest"), pytest.mark.slow]


@pytest.fixture(scope="module")
def more(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifty images, one of them broken and two that are labelled ones saved again."""
    folder = tmp_path_factory.mktemp("more")
    generator = np.random.default_rng(5)
    for number in range(50):
        Image.fromarray(generator.integers(0, 255, (24, 24, 3), dtype=np.uint8)).save(
            folder / f"{number:02}.png"
        )
    (folder / "broken.png").write_bytes((folder / "00.png").read_bytes()[:400])
    (folder / "same.png").write_bytes((photos / "class0" / "000.png").read_bytes())
    Image.open(photos / "class1" / "000.png").save(folder / "again.bmp")
    return folder


def test_a_run_accounts_for_them_and_strategies_can_learn_from_them(
    photos: Path, more: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored: list[int] = []
    decode = image_store.decode

    def watched(*arguments: Any, **given: Any) -> image_store.Decoded:
        decoded = decode(*arguments, **given)
        stored.append(len(image_store.Pixels.open(arguments[1])))
        return decoded

    monkeypatch.setattr(image_store, "decode", watched)
    world = World({**TABLE, ("autotl:resnet14t_small", 64): Cell(seconds=0.001)})
    folder = world.run(
        photos,
        tmp_path / "run",
        unlabelled=str(more),
        budget=30.0,
        strategies=("linear_probe", "pseudo_labels"),
    )
    state = result_file.read(folder)
    assert state.options["unlabelled"] == str(more) and state.data.unlabelled == 50
    assert [s.name for s in state.strategies if s.learns_unlabelled] == ["pseudo_labels"]
    assert any(row.strategy == "pseudo_labels" and row.score_val for row in state.leaderboard)
    described = state.profile.unlabelled
    assert described is not None
    assert (described.images, described.usable, described.side, described.left_out) == (52, 50, 24, 1)
    (found,) = [f for f in state.profile.findings if f.kind is Kind.UNLABELLED_COPIES]
    assert found.count == 2 and sum(found.values["parts"].values()) == 2
    assert world.engine is not None and world.engine.columns.unlabelled is not None
    rows = world.engine.columns.unlabelled
    assert len(rows) == 50 and rows.min() >= 240 and len(world.engine.columns.labels) == 240
    assert stored == [240 + 53]  # the pixels of those without a label lie behind the others
    table = manifest.read(folder / "manifest.csv")
    assert len(table.names) == 240 and len(table.unlabelled) == 53
    lines = (folder / "manifest.csv").read_text(encoding="utf-8").splitlines()
    assert sum(",unlabelled," in line for line in lines) == 53
    (broken,) = [line for line in lines if "broken.png" in line]
    assert not broken.endswith(",")
    assert any("same.png" in line and "a copy of class0/000.png" in line for line in lines)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "without a label" in page and "2 images without a label are copies" in page
    assert f'unlabelled = "{more}"' in (folder / "config.toml").read_text(encoding="utf-8")


def test_profile_shows_them(photos: Path, more: Path) -> None:
    profiled = autotl.run.profile(photos, unlabelled=more)
    assert profiled.unlabelled is not None and profiled.unlabelled.usable == 50
    shown = CliRunner().invoke(main, ["profile", str(photos), "--unlabelled", str(more)])
    assert shown.exit_code == 0, shown.output
    assert "52 images" in shown.output and "copies of labelled" in " ".join(shown.output.split())
