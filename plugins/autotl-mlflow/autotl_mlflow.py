"""Logs the runs of autotl to MLflow: a score a candidate as it comes in, then the verdict and the artifacts."""

from __future__ import annotations

import os
from pathlib import Path

import mlflow

from autotl import load
from autotl.plugin import Event, hookimpl

ARTIFACTS = ("report.html", "report.md", "leaderboard.csv", "result.json", "model")


class Tracker:
    """The MLflow run that belongs to the autotl run in progress."""

    def __init__(self) -> None:
        self.folder: str | None = None
        self.own = False  # whether the run was begun here, and is to be ended here
        self.scores = 0

    def begin(self, folder: str) -> None:
        """Take the active MLflow run, or begin one named like the run folder."""
        self.folder, self.scores = folder, 0
        self.own = mlflow.active_run() is None
        if self.own:
            if "MLFLOW_EXPERIMENT_NAME" not in os.environ and "MLFLOW_EXPERIMENT_ID" not in os.environ:
                mlflow.set_experiment("autotl")
            mlflow.start_run(run_name=Path(folder).name)

    def score(self, event: Event) -> None:
        """Log one point per candidate: its score, and the best so far."""
        self.scores += 1
        mlflow.log_metric("score", float(event.score or 0.0), step=self.scores)
        if event.best is not None:
            mlflow.log_metric("best", event.best, step=self.scores)
        mlflow.log_metric("seconds", event.time, step=self.scores)

    def end(self, status: str) -> None:
        """Log the verdict, its figures and the files of the run folder, and close the MLflow run in any case."""
        try:
            self.outcome(Path(self.folder or ""))
        finally:
            if self.own:
                mlflow.end_run({"finished": "FINISHED", "interrupted": "KILLED"}.get(status, "FAILED"))
            self.folder = None

    def outcome(self, folder: Path) -> None:
        """Log what a run folder holds; a run that failed early has none."""
        if not (folder / "result.json").is_file():
            return
        run = load(folder)
        state = run.result
        asked = {name: str(value)[:500] for name, value in state.options.items()}
        mlflow.log_params(asked | {"metric": state.metric, "fingerprint": state.data.fingerprint})
        mlflow.set_tags({"autotl.status": state.status, "mlflow.note.content": run.recommendation})
        if (winner := state.winner) is not None:
            recipe = ("candidate", "backbone", "strategy", "unfreeze", "input_size")
            mlflow.log_params({f"winner.{name}": getattr(winner, name) for name in recipe})
            figures = {n: getattr(winner, n) for n in ("score_val", "ci_low", "ci_high", "score_test")}
            mlflow.log_metrics({name: value for name, value in figures.items() if value is not None})
        for name in ARTIFACTS:
            if (folder / name).is_dir():
                mlflow.log_artifacts(str(folder / name), name)
            elif (folder / name).is_file():
                mlflow.log_artifact(str(folder / name))


tracker = Tracker()


@hookimpl
def on_event(event: Event) -> None:
    """Record an event of a run, in order; autotl reports an exception of this hook and continues."""
    if event.folder != tracker.folder:
        tracker.begin(event.folder)
    if event.score is not None:  # a trial ended
        tracker.score(event)
    if event.stage == "end":
        tracker.end(str(event.values["status"]))
