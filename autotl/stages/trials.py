"""Run one trial: submit it, score it, and keep its model if it is the best so far. Shared by the stages."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial

from autotl.decision import evidence
from autotl.decision.limits import best_within_limits
from autotl.errors import AutotlError
from autotl.protocols import Slot
from autotl.records import Goal, Kind, Progress, Ranking, Skipped, Trial, TrialResult, fact
from autotl.report import wording
from autotl.run_folder.journal import ship
from autotl.search import intervals
from autotl.stages.context import RunContext
from autotl.stages.decide import decide
from autotl.stages.setup import Setup
from autotl.stages.tried import Tried

NAMED_REASONS = 5  # in the message of a run without a score


def run(
    context: RunContext,
    setup: Setup,
    ranking: Ranking,
    trial: Trial,
    probes: Sequence[TrialResult],
    reserve: float,
) -> TrialResult:
    """Run one probe and return its result; `probes` are those before it."""
    future = start(context, setup, trial, probes, reserve)
    return finish(context, setup, ranking, future.result(), probes)


def start(
    context: RunContext,
    setup: Setup,
    trial: Trial,
    probes: Sequence[TrialResult],
    reserve: float,
    slot: Slot | None = None,
) -> Future[TrialResult]:
    """Submit a probe to a slot, which may not touch the last `reserve` seconds of the budget.

    While there is no model its worker is not ended before those of the report: what is reserved is for one. A training
    that does not fit then gets all but those, too: the clock ends it, and its own model ships.
    """
    first = not any(probe.model for probe in probes)
    patience = reserve - context.plan.report if first else 0.0
    if first and (trial.forecast or 0.0) + reserve > context.budget.left:
        reserve = context.plan.report
    trial = with_interval(trial, probes)
    candidate = trial.candidate
    context.journal.event(
        "probe",
        fact(Kind.TRIAL_STARTED, epochs=trial.epochs, low=trial.forecast_low, high=trial.forecast_high),
        candidate=candidate.id,
        forecast=trial.forecast or None,
    )
    return (slot or context.engine).submit(
        trial,
        setup.backbones[candidate.backbone],
        setup.strategies[candidate.strategy],
        context.budget.allowance(reserve=reserve, patience=patience),
        partial(report_progress, context, "probe", candidate.id),
    )


def report_progress(context: RunContext, stage: str, candidate: str, progress: Progress) -> None:
    """Write the event of a trial that is training."""
    training = fact(
        Kind.TRAINING,
        epoch=progress.epoch,
        epochs=progress.epochs,
        loss=progress.loss,
        followed_score=progress.score,
    )
    context.journal.event(stage, training, candidate)


def finish(
    context: RunContext,
    setup: Setup,
    ranking: Ranking,
    result: TrialResult,
    probes: Sequence[TrialResult],
    slot: Slot | None = None,
) -> TrialResult:
    """Return the result with its score; put its model in place if it is the best so far, and decide again.

    Memory is measured on the trial's `slot`, which is free.
    """
    result = scored(context, setup, result, probes, slot)
    probes = [*probes, result]
    if best_within_limits(probes, setup.goal) is result and result.model is not None:
        ship(context.journal.folder / result.model, context.journal.folder)
    if result.status == "failed":
        _blame(context, result)
    decide(context, setup, Tried(probes=tuple(probes), ranking=ranking))
    report_end(context, "probe", result, setup.goal)
    return result


def _blame(context: RunContext, result: TrialResult) -> None:
    """Name the guest whose strategy, or else whose backbone, failed."""
    candidate, error = result.trial.candidate, result.error or "it failed without a message"
    if context.plugins.is_guests("register_strategies", candidate.strategy):
        context.plugins.blame("register_strategies", candidate.strategy, error)
    else:
        context.plugins.blame("register_backbones", candidate.backbone, error)


def report_end(context: RunContext, stage: str, result: TrialResult, goal: Goal) -> None:
    """Write the event of a trial that ended."""
    ended = fact(
        Kind.TRIAL_ENDED,
        metric=goal.metric,
        score=result.score_val,
        status=result.status,
        error=result.error or "",
    )
    context.journal.event(stage, ended, result.trial.candidate.id, result.score_val)


def with_interval(trial: Trial, probes: Sequence[TrialResult]) -> Trial:
    """Return the trial with the 80% interval of its forecast, by the errors of this run's forecasts so far."""
    if not trial.forecast:
        return trial
    ratios = [
        result.cost.seconds / result.trial.forecast
        for result in probes
        if trial.epochs and result.trial.forecast and result.status == "finished" and result.cost.seconds
    ]
    error = intervals.ERROR if trial.epochs else intervals.ERROR_HEAD
    low, high = intervals.within(trial.forecast, ratios, error)
    return replace(trial, forecast_low=round(low, 3), forecast_high=round(high, 3))


def scored(
    context: RunContext,
    setup: Setup,
    result: TrialResult,
    probes: Sequence[TrialResult],
    slot: Slot | None = None,
) -> TrialResult:
    """Return the result with its score on the selection rows and, where a limit asks for it, its memory."""
    result = _with_memory(context, setup, result, probes, slot)
    return evidence.score_trial(result, context.journal.folder, setup.columns, setup.goal)


def nothing_finished(
    context: RunContext, skipped: Sequence[Skipped], probes: Sequence[TrialResult]
) -> AutotlError:
    """Return the error of a run without a single score."""
    reasons = dict.fromkeys(
        [f"{skip.name}: {wording.sentence(skip.reason)}" for skip in skipped]
        + [
            f"{r.trial.candidate.id}: {r.error or '; '.join(wording.sentences(r.notes)) or r.status}"
            for r in probes
        ]
    )
    return AutotlError(
        wording.nothing_finished(context.budget.spent, context.options.budget, list(reasons)[:NAMED_REASONS])
    )


def _with_memory(
    context: RunContext,
    setup: Setup,
    result: TrialResult,
    probes: Sequence[TrialResult],
    slot: Slot | None,
) -> TrialResult:
    """Return the result with the bytes that predicting takes; measured once for each backbone and input size."""
    if setup.goal.max_memory is None or result.predictions is None or result.trial.control:
        return result
    candidate = result.trial.candidate
    for probe in probes:
        other = probe.trial.candidate
        same = (other.backbone, other.input_size) == (candidate.backbone, candidate.input_size)
        if same and probe.memory is not None:
            return replace(result, memory=probe.memory)
    spec = setup.backbones[candidate.backbone]
    allowance = context.budget.allowance(reserve=context.plan.report)
    try:
        measured = (slot or context.engine).measurement(candidate, spec, allowance).result()
    except AutotlError as error:
        return replace(result, notes=(*result.notes, fact(Kind.MEMORY_UNKNOWN, error=str(error))))
    return replace(result, memory=measured.bytes)
