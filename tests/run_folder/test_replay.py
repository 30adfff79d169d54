"""A run comes out again from its inputs, byte for byte; a change anywhere is noticed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from made_images import pictures
from simulated_run import SPECS, World

from autotl import pipeline
from autotl.cli import main
from autotl.errors import RunError
from autotl.hookspecs import hookimpl
from autotl.plugins import manager
from autotl.records import Kind, fact
from autotl.report.wording import sentence
from autotl.run_folder import result_file
from autotl.run_folder.diff import compare
from autotl.run_folder.replay import replay

pytestmark = pytest.mark.usefixtures("no_drawings")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    guest = SimpleNamespace(__name__="guest", register_backbones=hookimpl(lambda profile, settings: SPECS))
    load = manager.load_plugins
    folder = tmp_path_factory.mktemp("replay")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "load_plugins", lambda: load([guest]))
        World().run(pictures(folder / "photos"), folder / "run")
        World().run(pictures(folder / "other", each=50), folder / "second", budget=60.0, seed=1)
        World().run(pictures(folder / "few", each=9, classes=3), folder / "folds")
    return folder


@pytest.fixture
def run(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original / "run", tmp_path / "run"))


def change(run: Path, *, keep_class: bool, which: int = 0) -> str:
    """Changes one prediction of one trial; returns the trial's file."""
    trials = [t for t in result_file.read(run).trials if t.predictions]
    path = run / str(trials[which].predictions)
    with np.load(path) as stored:
        arrays = dict(stored)
    arrays["proba"][3] = arrays["proba"][3] * 0.5 + 0.01 if keep_class else np.roll(arrays["proba"][3], 1)
    np.savez(path, **arrays)
    return str(path)


@pytest.mark.parametrize("name", ["run", "second", "folds"])
def test_it_comes_out_again(original: Path, name: str) -> None:
    assert replay(original / name) == []
    found = CliRunner().invoke(main, ["replay", str(original / name)])
    assert found.exit_code == 0
    assert "byte for byte" in found.output


@pytest.mark.parametrize("keep_class", [False, True])
@pytest.mark.parametrize("which", [0, 2, -1])
def test_one_changed_prediction_is_noticed(run: Path, which: int, keep_class: bool) -> None:
    change(run, keep_class=keep_class, which=which)
    found = replay(run)
    assert found and found[0].where.startswith("trials[")
    said = CliRunner().invoke(main, ["replay", str(run)])
    assert said.exit_code == 1
    assert found[0].where in said.output and "recorded as" in said.output


@pytest.mark.parametrize(
    ("field", "value", "where"),
    [
        (("winner", "score_val"), 0.999, "winner.score_val"),
        (("decision", "chance"), 0.123, "decision.chance"),
        (("calibration", "temperature"), 9.0, "calibration.temperature"),
        (("goal", "prefer"), "size", "decision"),
    ],
)
def test_an_edited_result_is_noticed(run: Path, field: tuple[str, ...], value: object, where: str) -> None:
    state = json.loads((run / "result.json").read_text())
    inner = state
    for name in field[:-1]:
        inner = inner[name]
    inner[field[-1]] = value
    (run / "result.json").write_text(json.dumps(state))
    found = replay(run)
    assert found
    assert found[0].where.startswith(where)


def test_an_edited_label_or_table_is_noticed(run: Path) -> None:
    board = run / "leaderboard.csv"
    board.write_text(board.read_text().replace("finished", "finsihed", 1))
    assert replay(run)[0].where.startswith("leaderboard.csv[")
    rows = (run / "manifest.csv").read_text().splitlines()
    place = next(n for n, row in enumerate(rows) if ",class0,select," in row)
    rows[place] = rows[place].replace(",class0,", ",class1,")
    (run / "manifest.csv").write_text("\n".join(rows) + "\n")
    first, second = replay(run)[:2]
    assert first.where == "manifest.csv" and second.where.endswith("score_val")


def test_a_missing_input_is_an_error_that_names_it(run: Path) -> None:
    shutil.rmtree(run / "trials")
    with pytest.raises(RunError, match=r"predictions\.npz is missing"):
        replay(run)


def test_no_torch_is_needed(original: Path) -> None:
    program = (
        "import sys\n"
        "for name in ('torch', 'timm', 'torchvision'): sys.modules[name] = None\n"
        "from autotl.cli import main\n"
        f"main(['replay', {str(original / 'run')!r}])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# --------------------------------------------------------------------------- two runs


def test_the_same_run_twice_differs_in_nothing(original: Path) -> None:
    state = result_file.read(original / "run")
    found = compare(state, state)
    assert found.same_verdict
    assert not (found.data or found.setup or found.scores or found.only_one or found.verdict)


def test_two_runs_differ_in_data_setup_and_scores(original: Path) -> None:
    one, other = result_file.read(original / "run"), result_file.read(original / "second")
    found = compare(one, other)
    assert {"fingerprint", "images, train"} <= {c.what for c in found.data}
    assert {"budget", "seed"} <= {c.what for c in found.setup}
    assert found.scores
    assert Kind.DATA_DIFFER in [reason.kind for reason in found.why]
    told = CliRunner().invoke(main, ["diff", str(original / "run"), str(original / "second")])
    assert told.exit_code == 0 and "→" in told.output
    as_json = CliRunner().invoke(main, ["diff", "--json", str(original / "run"), str(original / "second")])
    assert json.loads(as_json.output)["scores"]
    assert all(reason["text"] for reason in json.loads(as_json.output)["why"])


def test_why_the_verdict_changed() -> None:
    from dataclasses import replace

    from example_run import example

    one = example()
    first, second = one.leaderboard[0].candidate, one.leaderboard[1].candidate
    assert one.decision is not None
    turned = replace(one, decision=replace(one.decision, winner=second, runner_up=first))
    assert compare(one, turned).why[-1].kind is Kind.TIE
    gone = replace(turned, leaderboard=turned.leaderboard[1:])
    missing = compare(one, gone).why[0]
    assert missing.kind is Kind.WINNER_NOT_SCORED
    assert f"{first}, which wins the first run, was not tried in the second" in sentence(missing)
    none = replace(one, decision=replace(one.decision, winner=None), winner=None)
    assert compare(one, none).why[-1] == fact(Kind.ONE_RECOMMENDS, run=1)
    assert compare(none, one).why[-1] == fact(Kind.ONE_RECOMMENDS, run=2)
    failed = tuple(
        replace(row, score_val=None, status="diverged", facts=(fact(Kind.FAILED, error="no number"),))
        if row.candidate == first
        else row
        for row in turned.leaderboard
    )
    assert "has no score (diverged) in the second: no number" in sentence(
        compare(one, replace(turned, leaderboard=failed)).why[0]
    )
