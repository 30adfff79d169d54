"""The packages under plugins/: what they promise, alone and in a run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from installed import PLUGINS, environment, install
from made_images import stripes

from autotl import testing
from autotl.run_folder import result_file

NAMES = sorted(path.parent.name for path in PLUGINS.glob("*/pyproject.toml"))


@pytest.mark.parametrize("check", [c for name in NAMES for c in testing.checks(str(PLUGINS / name))], ids=str)
def test_contract(check: testing.Check) -> None:
    if "mlflow" in str(check):
        pytest.importorskip("mlflow")
    check()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return install(tmp_path_factory.mktemp("site"), *NAMES)


def autotl(path: list[str], *words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "autotl", *map(str, words)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment(path), timeout=200
    )


def test_they_are_seen_where_they_are_installed(path: list[str]) -> None:
    listed = {row["name"]: row for row in json.loads(autotl(path, "plugins", "--json").stdout)["plugins"]}
    assert listed["tinycnn"]["from"] == "autotl-tinycnn 0.1.0"
    assert listed["means"]["hooks"] == ["register_scores", "register_strategies"]
    assert "tinycnn:shapes" in autotl(path, "backbones").stdout
    assert "class_means" in autotl(path, "strategies").stdout
    assert "h_score" in autotl(path, "scores").stdout


def test_the_backbone_package_is_tried_alone() -> None:
    """Its own tests, with nothing on the path but itself and autotl."""
    folder = PLUGINS / "autotl-tinycnn"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), "tests"],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=environment([str(folder)]),
        timeout=200,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert "feature_width" not in done.stderr


@pytest.mark.slow
def test_a_run_uses_them(path: list[str], tmp_path: Path) -> None:
    photos, out = stripes(tmp_path / "photos"), tmp_path / "run"
    words = ["run", photos, "--budget", "40s", "--offline", "--out", out, "--backbones", "tinycnn:*"]
    done = autotl(path, *words, "--strategies", "class_means,linear_probe", "--quiet")
    assert done.returncode == 0, done.stderr
    state = result_file.read(out)
    assert {"class_means", "linear_probe"} <= {row.strategy for row in state.leaderboard}
    assert any("h_score" in dict(arm.scores) for arm in state.ranking.ranked)
    assert state.winner is not None and (state.winner.score_test or 0) > 0.8
    labelled = autotl(path, "predict", out, photos / "across")
    assert (
        labelled.returncode == 0
        and np.mean(["across" in line for line in labelled.stdout.splitlines()]) > 0.7
    )
    assert (
        "no installed plugin" in autotl([], "predict", out, photos / "across").stderr
    )  # files choose no code
