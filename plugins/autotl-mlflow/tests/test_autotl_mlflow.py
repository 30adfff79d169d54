"""The plugin against the real MLflow, with a store in a folder."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed: pip install mlflow-skinny")
autotl_mlflow = pytest.importorskip("autotl_mlflow", reason="the plugin is not installed")

import autotl  # noqa: E402
from autotl.plugins.manager import load_plugins  # noqa: E402
from autotl.records import Event  # noqa: E402


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri((tmp_path / "mlruns").as_uri())
    monkeypatch.setattr(autotl_mlflow, "tracker", autotl_mlflow.Tracker())
    return tmp_path / "mlruns"


def photos(folder: Path) -> Path:
    generator = np.random.default_rng(0)
    for label, shade in (("dark", 60), ("light", 190)):
        (folder / label).mkdir(parents=True)
        for number in range(30):
            pixels = generator.normal(shade, 30, (32, 32, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number}.png")
    return folder


def only_run() -> Any:
    experiment = mlflow.get_experiment_by_name("autotl")
    found = mlflow.MlflowClient().search_runs([experiment.experiment_id])
    assert len(found) == 1
    return found[0]


def test_it_is_found_by_its_entry_point() -> None:
    names = {name for name, _ in load_plugins().manager.list_name_plugin()}
    assert "mlflow" in names


def test_a_whole_run_is_logged(tmp_path: Path) -> None:
    run = autotl.recommend(
        photos(tmp_path / "photos"),
        "60s",
        out=tmp_path / "run",
        backbones="autotl:resnet*",
        strategies=["linear_probe"],
        offline=True,
    )
    assert run.result.problems == ()
    logged = only_run()
    assert logged.info.status == "FINISHED"
    assert logged.data.params["winner.strategy"] == "linear_probe"
    assert logged.data.metrics["score_val"] == pytest.approx(run.result.winner.score_val)
    client = mlflow.MlflowClient()
    assert client.get_metric_history(logged.info.run_id, "score")
    files = {item.path for item in client.list_artifacts(logged.info.run_id)}
    assert {"report.html", "leaderboard.csv", "result.json", "model"} <= files
    assert "folder" not in json.loads((tmp_path / "run" / "events.jsonl").read_text().splitlines()[0])


def test_an_active_run_is_logged_to_and_left_open(tmp_path: Path) -> None:
    mlflow.set_experiment("autotl")
    with mlflow.start_run() as mine:
        autotl_mlflow.on_event(
            Event(time=1.0, stage="probe", message="", score=0.5, best=0.6, folder=str(tmp_path))
        )
        assert mlflow.active_run().info.run_id == mine.info.run_id
        end = Event(time=2.0, stage="end", message="", values={"status": "failed"}, folder=str(tmp_path))
        autotl_mlflow.on_event(end)
        assert mlflow.active_run() is not None
    time.sleep(0.01)
    assert only_run().data.metrics["best"] == 0.6
