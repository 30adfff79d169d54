"""A recipe trained again: the same data, other data, another candidate; nothing is searched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from made_images import pictures
from simulated_run import SPECS, World

import autotl
from autotl import pipeline
from autotl.cli import main
from autotl.engine import slots
from autotl.errors import RunError, UnknownNameError
from autotl.hookspecs import hookimpl
from autotl.plugins import manager
from autotl.records import Kind
from autotl.run_folder import result_file
from autotl.run_folder.replay import replay

pytestmark = pytest.mark.usefixtures("no_drawings")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> autotl.Run:
    guest = SimpleNamespace(__name__="guest", register_backbones=hookimpl(lambda profile, settings: SPECS))
    load = manager.load_plugins
    world = World()
    monkeypatch.setattr(pipeline, "load_plugins", lambda: load([guest]))
    monkeypatch.setattr(slots, "connect", lambda call: world.connect(folder=Path(call.folder)))
    return autotl.load(world.run(pictures(tmp_path / "photos"), tmp_path / "run"))


def test_the_winner_is_trained_again_on_the_same_split(run: autotl.Run, tmp_path: Path) -> None:
    again = run.fit(out=tmp_path / "again", budget="10m")
    was, now = run.result, again.result
    assert now.status == "finished"
    assert [r.candidate for r in now.leaderboard] == [was.decision.winner if was.decision else None]
    assert now.data == was.data
    assert [t.trial.id for t in now.trials] == ["t000", "final"]
    assert Kind.ENDED_EARLY not in [note.kind for note in now.notes]
    assert (tmp_path / "again" / "model" / "model.json").exists()
    assert replay(again.path) == []


def test_another_candidate_on_new_data(run: autotl.Run, tmp_path: Path) -> None:
    name = "mine:small@64/linear_probe"
    source = pictures(tmp_path / "new", each=40, classes=3)
    found = CliRunner().invoke(
        main, ["fit", str(run.path), str(source), "--candidate", name, "--out", str(tmp_path / "b"), "-q"]
    )
    assert found.exit_code == 0, found.output
    state = result_file.read(tmp_path / "b")
    assert state.winner is not None and state.winner.candidate == name
    assert state.data.source == str(source) and len(state.data.classes) == 3


def test_what_kept_the_old_images_together_need_not_hold_for_new_ones(
    run: autotl.Run, tmp_path: Path
) -> None:
    state = run.result
    result_file.write(replace(state, options=state.options | {"group": r"scan(\d+)"}), run.path)
    source = str(pictures(tmp_path / "new", each=40, classes=3))
    asked = ["fit", str(run.path), source, "--out", str(tmp_path / "b"), "-q"]
    found = CliRunner().invoke(main, asked)
    assert found.exit_code == 1 and "--group" in found.output
    found = CliRunner().invoke(main, [*asked, "--group", ""])
    assert found.exit_code == 0, found.output
    again = result_file.read(tmp_path / "b")
    assert not again.data.grouped and "group" not in again.options
    grouped = run.fit(source, group=r"/(\d+)\.png", out=tmp_path / "c", budget="10m")
    assert grouped.result.data.grouped


def test_an_unknown_candidate_suggests_one(run: autotl.Run) -> None:
    with pytest.raises(UnknownNameError, match="mine:small@64/linear_probe"):
        run.fit(candidate="mine:small@64/linear_prob")


def test_a_run_without_a_winner_says_so(run: autotl.Run) -> None:
    state: Any = run.result
    result_file.write(replace(state, decision=replace(state.decision, winner=None)), run.path)
    with pytest.raises(RunError, match="--candidate"):
        run.fit()
