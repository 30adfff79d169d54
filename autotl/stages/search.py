"""Search: short trainings, as the planner asks for them, while the final fit still fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from autotl.decision import controls
from autotl.decision.evidence import judged_rows, right_answers, selection, selection_images
from autotl.errors import AutotlError
from autotl.options import END_SECONDS
from autotl.protocols import Planner
from autotl.ranking import depth_profile
from autotl.records import Candidate, Ranked, Skipped, Trial, TrialResult
from autotl.report import forecast as report_forecast
from autotl.report import wording
from autotl.search import forecast
from autotl.search import planner as search_planner
from autotl.stages.context import Job

TIMED = 3  # backbones whose training is timed before the search
TIMING_SHARE = 0.04  # of the budget, at most, for that
CLEARLY_SLOWER = (
    1.2  # than the latency allowed: the pace of embedding is near that of predicting, not the same
)


def repeat(job: Job, recipe: Trial) -> None:
    """Trains one recipe to be judged, in no more than half of the time: the final fit is the longer one."""
    job.searched = False
    with job.ledger.charge("search"):
        job.attempt(recipe, END_SECONDS + 0.55 * max(0.0, job.budget.left - END_SECONDS))
    if job.best() is None:
        raise AutotlError(job.why_nothing())


def probe(job: Job) -> None:
    """Probes what the planner asks for, as long as the final fit still fits."""
    facts = search_planner.Facts(
        rows=len(job.rows(0)),
        rows_final=len(job.rows(0)) + len(job.rows(1)),
        rows_select=len(selection(job.split.part, job.split.folds)),
        rows_test=len(job.rows(2)),
        folds=job.split.folds,
        refit=job.options.refit,
        comparable=job.goal.metric == "accuracy",
        selection=selection_images(judged_rows(job.columns), job.goal),
        seed=job.options.seed,
        timed=_time(job),
        recoverable=_recoverable(job),
    )
    default = search_planner.DefaultPlanner(
        ranked=_quick_enough(job, _with_earlier(job, job.ranking.ranked)),
        strategies=list(job.strategies.values()),
        facts=facts,
        counter=len(job.results) if job.earlier else 0,
    )
    planner: Planner = job.plugins.make_planner(
        job.profile, job.ranking, job.budget.left, strategies=job.strategies, otherwise=default
    )
    for done in job.results:
        _tell(job, planner, done)
    job.fit_seconds, job.final_seconds = default.costs.fit, default.costs.final
    kept = END_SECONDS + controls.SHARE * job.options.budget
    _foresee(job, default)
    with job.ledger.charge("search"):
        while (trial := planner.ask(max(0.0, job.budget.left - kept))) is not None:
            if planner is default and _time_recipe(job, default, trial):
                default.take_back(trial)  # and asks again, knowing the price
                continue
            _tell(job, planner, job.attempt(trial, kept + _final_reserve(job, trial)))
    if default.stopped:
        job.notes.append(wording.sentence(default.stopped))
    job.skipped += _untried(job)
    if not any(done.score_val is not None for done in job.results):
        raise AutotlError(job.why_nothing())


def _tell(job: Job, planner: Planner, result: TrialResult) -> None:
    """Hand a result to the planner; autotl's own also learns which images it answered rightly."""
    if isinstance(planner, search_planner.DefaultPlanner):
        planner.tell(result, right_answers(result, job.journal.folder, job.columns))
    else:
        planner.tell(result)


def _foresee(job: Job, planner: search_planner.DefaultPlanner) -> None:
    """Says what the whole run is expected to take."""
    job.foreseen = found = forecast.foresee(
        planner,
        spent=job.journal.before + job.budget.spent,
        left=job.budget.left,
        ends=END_SECONDS,
        controls=controls.SHARE * job.options.budget,
        peak=job.peak(),
    )
    job.journal.say("forecast", report_forecast.ahead(found))


def _time_recipe(job: Job, planner: search_planner.DefaultPlanner, trial: Trial) -> bool:
    """Times three batches of a recipe whose training never was; whether that was done."""
    candidate = trial.candidate
    if not trial.epochs or planner.costs.is_measured(candidate) or candidate in job.untimed:
        return False
    try:
        allowance = job.budget.allowance(reserve=END_SECONDS)
        strategy = job.strategies[candidate.strategy]
        found = job.engine.measure(candidate, job.specs[candidate.backbone], strategy, allowance)
    except AutotlError:  # the training will say why
        job.untimed.add(candidate)
        return False
    job.measured.append(found)
    planner.costs.measured(candidate, found.seconds_per_image + found.prepare)
    return True


def _untried(job: Job) -> list[Skipped]:
    """Backbones that were ranked and never trained, with their place and what it rests on."""
    places: dict[str, tuple[int, Ranked]] = {}
    for arm in job.ranking.ranked:
        places.setdefault(arm.backbone, (len(places) + 1, arm))
    known = {done.trial.candidate.backbone for done in job.results}
    known |= {skip.name.partition("@")[0] for skip in job.skipped}
    return [
        Skipped(name=name, reason=f"place {place} of {len(places)} before training, {arm.reason}")
        for name, (place, arm) in places.items()
        if name not in known
    ]


def _time(job: Job) -> dict[tuple[str, int], float]:
    """Seconds a training image of the first few backbones, three batches each: what training costs here."""
    tuned = [strategy for strategy in job.strategies.values() if strategy.phases]
    timed: dict[tuple[str, int], float] = {}
    latencies: dict[tuple[str, int], float] = {}
    if not tuned:
        return timed
    end = job.budget.left - TIMING_SHARE * job.options.budget
    with job.ledger.charge("timing"):
        for arm in job.ranking.ranked[:TIMED]:
            if job.budget.left < end:
                continue
            candidate = Candidate(
                backbone=arm.backbone,
                input_size=arm.input_size,
                strategy=tuned[0].name,
                unfreeze="all",
            )
            allowance = job.budget.allowance(reserve=END_SECONDS)
            try:
                found = job.engine.measure(candidate, job.specs[arm.backbone], tuned[0], allowance)
            except AutotlError as error:
                job.notes.append(f"{candidate.backbone} was not timed: {error}")
                continue
            job.measured.append(found)
            timed[(arm.backbone, arm.input_size)] = found.seconds_per_image + found.prepare
            latencies[(arm.backbone, arm.input_size)] = found.latency
    # Where all features came from the cache, nothing had been timed before.
    ranked = tuple(
        arm
        if arm.seconds_per_image is not None
        else replace(arm, seconds_per_image=latencies.get((arm.backbone, arm.input_size)))
        for arm in job.ranking.ranked
    )
    job.ranking = replace(job.ranking, ranked=ranked)
    return timed


def _recoverable(job: Job) -> dict[str, tuple[int, float]]:
    """By backbone, what its last layer groups lose of what earlier ones knew."""
    assert job.journal.state is not None
    return {known.backbone: depth_profile.recoverable(known) for known in job.journal.state.depth_profiles}


def _with_earlier(job: Job, ranked: Sequence[Ranked]) -> Sequence[Ranked]:
    """And what was tried before and is not ranked now, so that its trials can be looked up."""
    known = {(arm.backbone, arm.input_size) for arm in ranked}
    missing: dict[tuple[str, int], Ranked] = {}
    for done in job.results:
        key = (done.trial.candidate.backbone, done.trial.candidate.input_size)
        if key not in known:
            score = done.score_val or 0.0
            missing[key] = Ranked(
                backbone=key[0], input_size=key[1], expected=score, seconds_per_image=done.latency
            )
    return (*ranked, *missing.values())


def _quick_enough(job: Job, ranked: Sequence[Ranked]) -> Sequence[Ranked]:
    """What is clearly slower than --max-latency is not tried; the fastest is, to say what there is."""
    limit = job.goal.max_latency
    if limit is None:
        return ranked
    slow = [a for a in ranked if (a.seconds_per_image or 0.0) > CLEARLY_SLOWER * limit]
    if len(slow) == len(ranked):
        slow.remove(min(slow, key=lambda a: a.seconds_per_image or 0.0))
    for arm in slow:
        pace = (arm.seconds_per_image or 0.0) * 1e3
        reason = f"{pace:.1f} ms an image, more than the {limit * 1e3:.1f} ms allowed"
        job.skipped.append(Skipped(name=f"{arm.backbone}@{arm.input_size}", reason=reason))
    # Without a pace and rows an arm is not asked for; trials made on it can still be looked up.
    return [replace(a, rows=0, seconds_per_image=None) if a in slow else a for a in ranked]


def _final_reserve(job: Job, trial: Trial) -> float:
    """Seconds the final fit needs, of the best so far or of the recipe that is about to be probed."""
    best = job.best()
    plans = [(trial.candidate, trial.epochs)]
    plans += [
        (done.trial.candidate, done.epochs_done)
        for done in job.results
        if best is not None and (done.score_val or 0.0) >= (best.score_val or 0.0) - search_planner.CLOSE
    ]
    return max(job.final_seconds(candidate, epochs) for candidate, epochs in plans)
