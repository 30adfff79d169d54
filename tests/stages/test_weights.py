"""A run with weights of images: training goes by them, scores count all images alike."""

from __future__ import annotations

from pathlib import Path

import pytest
from simulated_run import World

from autotl.run_folder import result_file
from autotl.run_folder.replay import replay

pytestmark = [pytest.mark.usefixtures("guest"), pytest.mark.slow]


def test_a_run_trains_by_them_and_leaves_out_what_takes_none(photos: Path, tmp_path: Path) -> None:
    images = sorted(photos.rglob("*.png"))
    lines = [f"{p.relative_to(photos)},{p.parent.name},{1 + n % 3}" for n, p in enumerate(images)]
    (tmp_path / "labels.csv").write_text("\n".join(["path,label,trust", *lines]) + "\n")
    world = World()
    folder = world.run(
        tmp_path / "labels.csv", tmp_path / "run", weight="trust", root=str(photos), budget=30.0
    )
    assert world.engine is not None and world.engine.columns.weight is not None
    assert sorted(set(world.engine.columns.weight.tolist())) == [1.0, 2.0, 3.0]
    state = result_file.read(folder)
    assert "knn" in {skip.name for skip in state.skipped}
    assert not any("knn" in result.trial.candidate.strategy for result in state.trials)
    assert not replay(folder)
