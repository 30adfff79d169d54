"""Deciding again from a finished folder."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from simulated_run import TABLE, World

from autotl import load
from autotl.cli import main
from autotl.errors import RunError
from autotl.records.facts import Kind, fact
from autotl.report.wording.recommendation import recommendation
from autotl.run_folder import result_file
from autotl.run_folder.redecide import adopt, revise
from autotl.testing.simulated_engine import Cell

pytestmark = pytest.mark.usefixtures("no_drawings", "guest")


@pytest.fixture
def finished(photos: Path, tmp_path: Path) -> Path:
    """A run whose winner takes the larger input; the smaller one is faster."""
    weak = Cell(seconds=0.001, linear=0.7, tuned={"all": 0.76, 2: 0.74, 1: 0.72})
    return World({**TABLE, ("mine:good", 64): weak}).run(photos, tmp_path / "run")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def invoke(*words: Any) -> Any:
    return CliRunner().invoke(main, [str(word) for word in words])


def test_without_another_goal_the_same_comes_out_byte_for_byte(finished: Path) -> None:
    before = contents(finished)
    found = revise(finished)
    assert found.stands
    assert result_file.encoded(found.state) == before["result.json"]
    assert contents(finished) == before


def test_a_faster_model_after_the_fact(finished: Path) -> None:
    before = contents(finished)
    start = time.monotonic()
    found = invoke("decide", finished, "--max-latency", "2ms", "--prefer", "speed", "--metric", "macro_f1")
    assert time.monotonic() - start < 5
    assert found.exit_code == 0, found.output
    assert contents(finished) == before
    lines = [line for line in found.output.splitlines() if str(finished) not in line]  # a path is not wrapped
    assert max(map(len, lines)) <= 80
    words = " ".join(found.output.split())
    assert "score: macro f1" in words
    assert "The test part has been used once." in words
    assert "only probed" in words
    assert "autotl fit" in words
    state = json.loads(invoke("decide", finished, "--max-latency", "2ms", "--json").output)
    assert state["winner"]["input_size"] == 64
    assert state["winner"]["score_test"] is None
    assert state["goal"]["max_latency"] == 0.002


def test_a_licence_rules_out_what_was_tried_of_a_backbone(finished: Path) -> None:
    state = result_file.read(finished)
    assert state.winner is not None
    best = state.winner.backbone
    marked = tuple(
        replace(spec, licence="AGPL-3.0-only" if spec.name == best else "MIT") for spec in state.backbones
    )
    result_file.write(replace(state, backbones=marked), finished)
    found = revise(finished, licence=("permissive",))
    others = {row.backbone for row in state.leaderboard if row.score_val is not None and not row.control} - {
        best
    }
    assert found.state.winner is not None and found.state.winner.backbone in others
    barred = [
        row for row in found.state.leaderboard if row.backbone == best and row.score_val and not row.control
    ]
    assert barred and all(row.facts[0].kind is Kind.LICENCE_NOT_ALLOWED for row in barred)
    assert any(reason.kind is Kind.LIMITS_COST for reason in found.state.decision.reasons)  # type: ignore[union-attr]
    nobody = invoke("decide", finished, "--licence", "Apache-2.0")
    assert nobody.exit_code == 0 and "none of the" in " ".join(nobody.output.split())
    assert load(finished).decide(licence="permissive").winner == found.state.winner


def test_memory_is_obeyed_by_what_was_measured_and_by_the_weights_alone_elsewhere(finished: Path) -> None:
    state = result_file.read(finished)
    assert state.winner is not None
    best = state.winner.candidate
    weighed = tuple(
        replace(done, memory=10**9 if done.trial.candidate.id == best else None) for done in state.trials
    )
    result_file.write(replace(state, trials=weighed), finished)
    found = revise(finished, max_memory=5 * 10**8)
    assert found.state.winner is not None and found.state.winner.candidate != best
    row = next(row for row in found.state.leaderboard if row.candidate == best)
    assert row.facts == (fact(Kind.TOO_MUCH_MEMORY, bytes=10**9, allowed=5 * 10**8),)
    assert invoke("decide", finished, "--max-memory", "500MB").exit_code == 0
    assert revise(finished, max_memory=1).state.winner is None, "no weights are that small"


def test_a_candidate_that_was_only_probed_is_not_applied(finished: Path) -> None:
    before = contents(finished)
    found = invoke("decide", finished, "--max-latency", "2ms", "--apply")
    assert found.exit_code == 1
    assert "expected a full fit" in found.stderr
    assert contents(finished) == before
    with pytest.raises(RunError, match="nothing to apply"):
        load(finished).decide(max_latency=1e-9, apply=True)
    assert contents(finished) == before


def test_a_full_fit_is_applied(finished: Path) -> None:
    state = result_file.read(finished)
    other = revise(finished, max_latency=0.002)
    assert other.state.winner is not None
    name = other.state.winner.candidate
    final = next(done for done in state.trials if done.trial.id == "final")
    probe = next(done for done in state.trials if done.trial.candidate.id == name)
    (finished / "trials" / "fit" / "model").mkdir(parents=True)
    (finished / "trials" / "fit" / "model" / "model.json").write_text(name)
    fitted = replace(
        final,
        trial=replace(final.trial, id="fit001", candidate=probe.trial.candidate),
        model="trials/fit/model",
    )
    result_file.write(replace(state, trials=(*state.trials, fitted)), finished)
    found = revise(finished, max_latency=0.002)
    assert found.state.winner is not None and found.state.winner.score_test is not None
    adopt(finished, found)
    after = result_file.read(finished)
    assert after.winner is not None and after.winner.candidate == name
    assert after.goal.max_latency == 0.002
    assert "seen by 2 models" in recommendation(after)
    assert (finished / "model" / "model.json").read_text() == name
    assert "Use mine:good at 64 px" in (finished / "report.md").read_text()
    assert (finished / "leaderboard.csv").read_text().splitlines()[1].startswith(name)
    said = invoke("decide", finished).output
    assert "has been used 2 times" in " ".join(said.split()) and "already the winner's" in " ".join(
        said.split()
    )


def test_a_folder_without_its_manifest_cannot_be_decided(finished: Path) -> None:
    (finished / "manifest.csv").unlink()
    found = invoke("decide", finished)
    assert found.exit_code == 1
    assert "expected the manifest of a run" in found.stderr
