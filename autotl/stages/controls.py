"""The best held against no pretraining, no network at all, and labels without meaning."""

from __future__ import annotations

import numpy as np

from autotl.cache import atomic
from autotl.candidates import gather
from autotl.data import image_store
from autotl.decision import controls
from autotl.decision.evidence import representative_results, selection
from autotl.options import END_SECONDS
from autotl.records import BackboneSpec, Cost, Strategy, Trial, TrialResult
from autotl.report import wording
from autotl.stages.context import Job


def control(job: Job) -> None:
    """Holds the best against no pretraining, no network and shuffled labels, in what time can be spared."""
    winner = job.judge().decision.winner
    if winner is None:
        return
    best = representative_results(job.results)[winner]
    spare = job.budget.left - END_SECONDS - job.final_seconds(best.trial.candidate, best.epochs_done)
    end = job.budget.left - min(controls.SHARE * job.options.budget, spare)
    if job.budget.left <= end:
        job.notes.append(
            "the controls (no pretraining, pixels alone, shuffled labels) gave way: no time left"
        )
        return
    with job.ledger.charge("controls"):
        shuffled = controls.shuffled(
            job.ranking.ranked, list(job.strategies.values()), len(job.rows(0)), job.options.seed
        )
        known = {done.trial.control: done.trial.candidate for done in job.controls}
        if shuffled is not None and "shuffled" not in known:
            _control(job, shuffled, job.specs[shuffled.candidate.backbone], None, end)
        if "pixels" not in known and job.budget.left - end > controls.FOREST_SECONDS:
            _forest(job)
        candidate = best.trial.candidate
        spec = job.specs[candidate.backbone]
        if job.budget.left - end < controls.LEAST_SECONDS or spec.init == "random":
            job.notes.append(
                "whether pretraining helps was not measured: no time for a training from scratch"
            )
        else:
            # The smallest input: the most steps in the seconds there are.
            size = gather.sizes(spec, job.profile.side)[-1]
            trial, fresh = controls.scratch(best, spec, min(size, candidate.input_size), job.options.seed)
            if trial.candidate != known.get("scratch"):
                _control(job, trial, fresh, controls.SCRATCH, end)
    job.record()


def _control(job: Job, trial: Trial, spec: BackboneSpec, strategy: Strategy | None, end: float) -> None:
    job.journal.say("control", wording.control(trial.control), candidate=trial.candidate.id)
    strategy = strategy or job.strategies[trial.candidate.strategy]
    future = job.engine.submit(trial, spec, strategy, job.budget.allowance(reserve=end))
    _keep_control(job, future.result())


def _forest(job: Job) -> None:
    """The control without a network: its predictions are made here, from the decoded images."""
    begun = job.budget.spent
    trial = Trial(id="c-pixels", candidate=controls.PIXELS, seed=job.options.seed, control="pixels")
    store = image_store.Pixels.open(job.journal.folder / ".pixels")
    judged = selection(job.split.part, job.split.folds)
    train = job.rows(0)
    labels, classes = job.data.labels, len(job.data.classes)
    tables = np.zeros((len(judged), classes), np.float32)
    fold = job.split.fold[judged] if job.split.folds else np.full(len(judged), -1, np.int8)
    for number in np.unique(fold):
        inside = train if number < 0 else train[job.split.fold[train] != number]
        inside = inside[: controls.FOREST_ROWS]
        out = fold == number
        tables[out] = controls.forest(
            controls.by_hand(store, inside),
            labels[inside],
            controls.by_hand(store, judged[out]),
            classes,
            job.options.seed,
        )
    path = job.journal.folder / "trials" / "pixels.npz"
    with atomic(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, rows=judged, proba=tables, fold=fold)
    cost = Cost(other=round(job.budget.spent - begun, 4))
    _keep_control(
        job, TrialResult(trial=trial, status="finished", predictions="trials/pixels.npz", cost=cost)
    )


def _keep_control(job: Job, done: TrialResult) -> None:
    done = job.scored(done)
    others = [other for other in job.controls if other.trial.control != done.trial.control]
    job.controls = [*others, done]
    said = f"{job.goal.metric} {done.score_val:.3f}" if done.score_val is not None else done.status
    job.journal.say("control", said, done.trial.candidate.id, done.score_val)
