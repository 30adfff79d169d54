"""Recorded trials, another goal → another decision, in a second and without training.

Nothing is written until it is asked for. A candidate that was only probed has no score on the test part,
and is not looked up there: that part is for models that were fitted to be shipped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from autotl.cache import atomic_write
from autotl.decision import calibrated, conclude, evidence, judge
from autotl.errors import RunError, UnknownNameError
from autotl.records import Goal, Metric, Prefer, TrialResult, result
from autotl.records.result import ModelIs
from autotl.report import model_card, render, wording
from autotl.run_folder import manifest, result_file
from autotl.run_folder import table as run_folder_table
from autotl.run_folder.journal import ship
from autotl.run_folder.lock import hold
from autotl.run_folder.replay import case_of
from autotl.stats import calibration
from autotl.stats.target_kinds import TARGET_KINDS

__all__ = ["Revision", "adopt", "revise"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """The result of a run's folder under another goal."""

    state: result.Recommendation  # as result.json would hold it
    fit: TrialResult | None  # the fit of the winner that could ship: its model is in the folder
    stands: bool  # the folder's model is the winner's already


def revise(
    folder: Path,
    *,
    metric: Metric | None = None,
    prefer: Prefer | None = None,
    max_params: int | None = None,
    max_latency: float | None = None,
    max_memory: int | None = None,
    licence: Sequence[str] = (),
) -> Revision:
    """Decide again by what is recorded in `folder`; what is not given stays as the run had it.

    Raises `RunError` when the folder does not hold what a decision needs, `UnknownNameError` for a metric that its
    labels have not.
    """
    state = result_file.read(folder)
    result_file.require_unchanged(state, folder)
    given = {
        "metric": metric,
        "prefer": prefer,
        "max_params": max_params,
        "max_latency": max_latency,
        "max_memory": max_memory,
        "licence": tuple(licence) or None,
    }
    goal = _changed(state, {name: value for name, value in given.items() if value is not None})
    case = replace(case_of(state, manifest.read(folder / "manifest.csv")), goal=goal)
    trials = tuple(
        evidence.score_trial(trial, folder, case.columns, goal) if result.is_probe(trial) else trial
        for trial in state.trials
    )
    verdict = judge.judge([trial for trial in trials if result.is_probe(trial)], folder, case)
    winner = verdict.decision.winner
    stands = _is_shipped(winner, state)
    fit = _last_fit(winner, trials)
    if fit is not None and not stands and not _has_model(folder, fit):
        fit = None
    state = replace(
        state,
        goal=goal,
        metric=goal.metric,
        decision=verdict.decision,
        winners_set=verdict.decision.winners_set,
        transfer=verdict.decision.transfer,
        leaderboard=verdict.leaderboard,
        trials=trials,
    )
    ships = stands or fit is not None
    state = conclude.conclude(state, fit, folder, case.columns, ships=ships)
    return Revision(state=state, fit=fit, stands=stands)


def _changed(state: result.Recommendation, given: Mapping[str, Any]) -> Goal:
    """Return the goal of a run with the fields that are given. Raises `UnknownNameError` for a metric of other labels."""
    metrics, metric = TARGET_KINDS[state.data.target].metrics, given.get("metric")
    if metric is not None and metric not in metrics:
        raise UnknownNameError(f"metric of {state.data.target} labels", metric, metrics)
    return replace(state.goal, **given)


def _is_shipped(candidate: str | None, state: result.Recommendation) -> bool:
    """Return whether the model of a run's folder is this candidate's."""
    winner = state.winner
    return (
        winner is not None
        and winner.candidate == candidate
        and winner.model_is is not ModelIs.ANOTHER_CANDIDATES
    )


def _last_fit(candidate: str | None, trials: Sequence[TrialResult]) -> TrialResult | None:
    """Return the last training of a candidate that was made to be shipped; None where there is none."""
    fits = [each for each in trials if not result.is_probe(each) and each.trial.candidate.id == candidate]
    return fits[-1] if fits else None


def adopt(folder: Path, revision: Revision) -> None:
    """Make a revision the folder's: its model, result, leaderboard and report.

    Raises `RunError` when there is no winner, no model of it that was fitted to be shipped, or while a run writes
    to the folder.
    """
    with hold(folder):
        _adopt(folder, revision)


def _adopt(folder: Path, revision: Revision) -> None:
    winner = revision.state.winner
    if winner is None:
        why = "; ".join(wording.sentences(revision.state.decision.reasons if revision.state.decision else ()))
        raise RunError(f"nothing to apply: {why}; {folder} stays as it was")
    if not revision.stands:
        if revision.fit is None or revision.fit.model is None:
            raise RunError(
                f"{winner.candidate} was only probed, expected a full fit of it; {folder} stays as it was; make one,"
                f" in a folder of its own: autotl fit {folder} --candidate '{winner.candidate}'"
            )
        ship(folder / revision.fit.model, folder)
    if fields := calibrated.described(revision.state):
        calibration.write(fields, folder / "model")
    state = replace(revision.state, files=result_file.files(folder))
    result_file.write(state, folder)
    table = run_folder_table.write(run_folder_table.rows(state), style="csv")
    atomic_write(folder / "leaderboard.csv", table)
    render.render(state, folder)
    model_card.write(state, folder)


def _has_model(folder: Path, fit: TrialResult) -> bool:
    return fit.model is not None and (folder / fit.model / "model.json").is_file()
