"""The packages under plugins/: their contracts, alone and in a run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from installed import PLUGINS, environment, install
from made_images import stripes
from PIL import Image

from autotl import testing
from autotl.run_folder import result_file

NAMES = sorted(path.parent.name for path in PLUGINS.glob("*/pyproject.toml"))


@pytest.mark.parametrize("check", [c for name in NAMES for c in testing.checks(str(PLUGINS / name))], ids=str)
def test_contract(check: testing.Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # where a source puts the images of its sample
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


@pytest.mark.parametrize("name", ["autotl-npz", "autotl-random-search", "autotl-tinycnn"])
def test_a_package_passes_its_own_tests_alone(name: str) -> None:
    """With nothing on the path but itself and autotl."""
    folder = PLUGINS / name
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


@pytest.mark.slow
def test_a_run_uses_them(path: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    photos, out = stripes(tmp_path / "photos"), tmp_path / "run"
    files = sorted(photos.glob("*/*.png"))
    images = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
    np.savez(tmp_path / "stripes.npz", images=images, labels=[file.parent.name for file in files])
    words = ["run", tmp_path / "stripes.npz", "--out", out, "--budget", "40s", "--offline"]
    words += ["--backbones", "tinycnn:*", "--strategies", "class_means,linear_probe", "--quiet"]
    done = autotl(path, *words)
    assert done.returncode == 0, done.stderr
    state = result_file.read(out)
    assert {"class_means", "linear_probe"} <= {row.strategy for row in state.leaderboard}
    assert [problem for problem in state.problems if "mlflow" not in problem] == []
    assert "random1" in {
        trial.trial.id for trial in state.trials
    }  # the other recipe is the ranking's own trial
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
