"""Decide: the trials so far become a decision and a leaderboard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from autotl.decision import judge
from autotl.decision.judge import Verdict
from autotl.decision.limits import best_within_limits
from autotl.records import Kind, TrialResult, fact
from autotl.records.result import interval_of
from autotl.stages.context import RunContext
from autotl.stages.setup import Setup
from autotl.stages.tried import Tried


def decide(
    context: RunContext, setup: Setup, tried: Tried, controls: Sequence[TrialResult] | None = None
) -> Verdict:
    """Return the decision and the leaderboard, and write them down. Called after every trial.

    `controls` are those of the run that is continued, until there are others.
    """
    journal, probes = context.journal, tried.probes
    controls = setup.controls if controls is None else controls
    case = replace(setup.case(tried.ranking, tried.skipped), notes=journal.notes)
    verdict = judge.judge([*probes, *controls], journal.folder, case)
    best = best_within_limits(probes, setup.goal)
    rows = {row.candidate: row for row in verdict.leaderboard}
    row = None if best is None else rows.get(best.trial.candidate.id)
    journal.standing(None if row is None else row.score_val, None if row is None else interval_of(row))
    journal.held(max((result.cost.bytes for result in (*probes, *controls)), default=0))
    journal.record(
        ranking=tried.ranking,
        decision=verdict.decision,
        winners_set=verdict.decision.winners_set,
        leaderboard=verdict.leaderboard,
        transfer=verdict.decision.transfer,
        trials=(*probes, *controls, *setup.fits),
        skipped=case.skipped,
    )
    for problem in journal.new_problems():
        journal.event("plugins", fact(Kind.PLUGIN_LEFT_OUT, problem=problem))
    return verdict
