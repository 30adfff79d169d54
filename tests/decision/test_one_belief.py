"""On one recorded folder every view gives the same number for the same recipe."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from made_images import pictures
from simulated_run import SPECS, World

from autotl import pipeline
from autotl.decision import evidence, judge
from autotl.hookspecs import hookimpl
from autotl.plugins import manager
from autotl.ranking import depth_profile
from autotl.records import Candidate
from autotl.records.encoding import rounded
from autotl.records.result import is_probe
from autotl.run_folder import manifest, result_file
from autotl.run_folder.replay import case_of
from autotl.search.belief import Belief
from autotl.search.planner import DefaultPlanner, Facts
from autotl.search.recipe import recipes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    guest = SimpleNamespace(__name__="guest", register_backbones=hookimpl(lambda profile, settings: SPECS))
    load = manager.load_plugins
    where = tmp_path_factory.mktemp("belief")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "load_plugins", lambda: load([guest]))
        World().run(pictures(where / "photos"), where / "run", budget=180.0)
    return where / "run"


def views(folder: Path) -> tuple[Belief, DefaultPlanner, list[Candidate], dict[str, Candidate]]:
    """The belief of the decision, a planner that was told the same trials, all recipes, and those tried."""
    state = result_file.read(folder)
    case = case_of(state, manifest.read(folder / "manifest.csv"))
    assert case.ranking is not None
    probes = [trial for trial in state.trials if is_probe(trial) and not trial.trial.control]
    judged = evidence.judged_rows(case.columns)
    facts = Facts(
        rows=int((case.columns.part == 0).sum()),
        rows_final=250,
        rows_select=len(judged.labels),
        rows_test=0,
        selection=evidence.selection_images(judged, case.goal),
        folds=case.columns.folds,
        recoverable={p.backbone: depth_profile.recoverable(p) for p in case.depth_profiles},
    )
    planner = DefaultPlanner(ranked=case.ranking.ranked, strategies=case.strategies, facts=facts)
    for trial in reversed(probes):
        planner.tell(trial, evidence.right_answers(trial, folder, case.columns, case.goal.metric))
    tried = {
        trial.trial.candidate.id: trial.trial.candidate for trial in probes if trial.score_val is not None
    }
    return (
        evidence.belief_of(probes, folder, case),
        planner,
        recipes(case.ranking.ranked, case.strategies),
        tried,
    )


def test_planner_decision_and_winner_agree_on_every_recipe(folder: Path) -> None:
    belief, planner, candidates, tried = views(folder)
    assert any(c.unfreeze for c in tried.values())
    points = [belief.point(candidate) for candidate in [*candidates, *tried.values()]]
    assert points == [planner.belief.point(candidate) for candidate, _ in points]
    assert belief.means(points).tolist() == planner.belief.means(points).tolist()
    assert (belief.draws(points, 100) == planner.belief.draws(points, 100)).all()
    state = result_file.read(folder)
    assert state.decision is not None and state.winner is not None and state.decision.winner is not None
    own = planner.belief.estimate(*planner.belief.point(tried[state.decision.winner]))
    assert state.decision.expected is not None
    assert rounded(own.value) == state.decision.expected.value == state.winner.expected
    assert rounded(own.low) == state.winner.expected_low and rounded(own.high) == state.winner.expected_high
    others = [c for c in dict.fromkeys(candidates) if c.id not in tried]
    again = planner.belief.outlook(list(tried.values()), others, judge.DRAWS)
    assert state.decision.chance == pytest.approx(again.chances[state.decision.winner], abs=0.02)
    assert planner.best_value() == pytest.approx(max(belief.means([belief.point(c) for c in tried.values()])))


def test_no_drawn_score_exceeds_one(folder: Path) -> None:
    belief, _, candidates, _ = views(folder)
    points = [(candidate, 30.0 if candidate.unfreeze else 0.0) for candidate in candidates]
    drawn = belief.draws(points, 2000)
    assert drawn.min() >= 0.0 and drawn.max() <= 1.0


def test_score_and_its_interval_belong_together(folder: Path) -> None:
    winner = result_file.read(folder).winner
    assert winner is not None and winner.ci_low <= winner.score_val <= winner.ci_high
    assert (
        winner.expected is not None and winner.expected_low is not None and winner.expected_high is not None
    )
    assert winner.expected_low <= winner.expected <= winner.expected_high <= 1.0


@pytest.mark.slow
def test_recipes_of_an_excluded_strategy_are_not_open(folder: Path, tmp_path: Path) -> None:
    guest = SimpleNamespace(__name__="guest", register_backbones=hookimpl(lambda profile, settings: SPECS))
    load = manager.load_plugins
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "load_plugins", lambda: load([guest]))
        made = World().run(
            pictures(tmp_path / "photos"), tmp_path / "run", budget=30.0, strategies=("knn", "fine_tune")
        )
    decision = result_file.read(made).decision
    assert decision is not None
    assert not [one for one in decision.open if "/linear_probe" in one.candidate or "/lp_ft" in one.candidate]
