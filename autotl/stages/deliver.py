"""Decide, train, report: the model that ships, tested once, and the folder put in order."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np

from autotl.cache import atomic, atomic_write
from autotl.decision import conclude, evidence
from autotl.decision.evidence import representative_results
from autotl.errors import AutotlError
from autotl.options import END_SECONDS
from autotl.ranking import history
from autotl.records import Trial, TrialResult, result
from autotl.report import explained, inputs, model_card, render
from autotl.run_folder import table as run_folder_table
from autotl.run_folder.journal import ship
from autotl.stages.context import Job, span
from autotl.stats import calibration, ood

FAMILIAR_SHARE = 0.02  # for learning what is far from the training images
EXPLAIN_SHARE = 0.05  # at most, for what a few answers rest on
ENOUGH = 0.6  # of the planned epochs: a final fit that made fewer is no better than the probe's own model


def finish(job: Job, status: str) -> None:
    """Decides, fits the winner on everything it may see, tests it once, and writes the report."""
    if job.journal.state is None:
        if job.earlier is None:
            shutil.rmtree(job.journal.folder, ignore_errors=True)  # nothing is known yet: leave nothing
        return
    decision = job.judge().decision
    fit: TrialResult | None = None
    if decision.winner is not None and status == "finished":
        with job.ledger.charge("final fit"):
            fit = _final_fit(job, decision.winner)
            _familiarise(job, fit)
    elif decision.winner is not None:
        fit = _fitted(job, decision.winner)
        if fit is None:
            _ship_probe(job, decision.winner)
    state = job.record()
    state = _conclude(job, state, fit)
    if status == "finished":
        _explain(job, state)
    total = round(job.budget.spent, 3)
    left = job.budget.left
    if status == "finished" and job.searched and left > 0.1 * job.options.budget:
        job.notes.append(f"ended {left:.0f} s before its budget: nothing left was worth the time")
    seconds = {**state.seconds, "total": round(job.journal.before + total, 3)}
    peak = max(state.peak, fit.cost.bytes if fit is not None else 0)
    job.journal.write(status=status, seconds=seconds, peak=peak, notes=tuple(dict.fromkeys(job.notes)))
    with job.ledger.charge("report"):
        material = inputs.gather(job.journal.state, job.journal.folder)
    shutil.rmtree(job.journal.folder / ".pixels", ignore_errors=True)
    _tidy(job)
    final = job.journal.write(seconds=job.seconds(), worked=job.worked())
    table = run_folder_table.write(
        run_folder_table.rows(final), columns=list(run_folder_table.COLUMNS), style="csv"
    )
    atomic_write(job.journal.folder / "leaderboard.csv", table)
    render.render(final, job.journal.folder, material)
    model_card.write(final, job.journal.folder)
    if status == "finished" and job.options.memory and job.ranking.ranked:
        _remember(job, job.options.memory)
    job.journal.say("report", render.summary(final))


def _remember(job: Job, memory: str) -> None:
    try:
        history.append(memory, history.record(job.data.fingerprint, job.profile, job.ranking))
    except OSError as error:  # the run itself is whole
        job.journal.say("report", f"the memory {memory} could not be written: {error.strerror}")


def _ship_probe(job: Job, winner: str) -> None:
    """The winner's own checkpoint: the one of the highest score, which lies there so far, may be another's."""
    model = representative_results(job.results)[winner].model
    if model is not None and (job.journal.folder / model).is_dir():
        ship(job.journal.folder / model, job.journal.folder)


def _final_fit(job: Job, winner: str) -> TrialResult | None:
    """The winner's recipe on train and select, tested once; where that does not finish, its best probe tested."""
    standing = representative_results(job.results)[winner]
    known = _fitted(job, winner)
    again = (
        known is not None and "select" in known.trial.fit_on and known.trial.epochs == standing.epochs_done
    )
    if again and job.same_data:
        return known
    test = ("test",) if len(job.rows(2)) else ()
    trial = Trial(
        id=f"final{len(job.fits) + 1}" if job.fits else "final",
        candidate=standing.trial.candidate,
        epochs=standing.epochs_done,
        fit_on=("train", "select"),
        evaluate_on=test,  # type: ignore[arg-type]
        seed=job.options.seed,
        keep_model=True,
        forecast=job.fit_seconds(standing.trial.candidate, standing.epochs_done),
    )
    trial = job.foretold(trial)
    said = f"on train and select{span(trial)}"
    job.journal.say("final fit", said, candidate=winner, forecast=trial.forecast)
    reserve = END_SECONDS / 2 + FAMILIAR_SHARE * job.options.budget
    done = job.submit(trial, job.budget.allowance(reserve=reserve))
    trained = done.status in ("finished", "stopped") and done.epochs_done >= ENOUGH * trial.epochs
    if trained and done.model is not None:
        if done.epochs_done < trial.epochs:
            job.notes.append(
                f"the final fit made {done.epochs_done:.1f} of {trial.epochs:g} epochs in its time"
            )
        ship(job.journal.folder / done.model, job.journal.folder)
        if job.options.refit and test:
            _refit(job, replace(trial, id="refit", fit_on=("train", "select", "test"), evaluate_on=()))
        return done
    failed = f"the final fit {done.status} ({done.error or done.note or 'out of time'})"
    if standing.model is None:
        job.notes.append(failed)
        return known
    job.notes.append(f"{failed}; the model of probe {standing.trial.id} ships instead")
    ship(job.journal.folder / standing.model, job.journal.folder)
    return _tested(job, standing)


def _fitted(job: Job, winner: str) -> TrialResult | None:
    """The last fit of a candidate in the run that is continued; its model is put in place."""
    fits = [done for done in job.fits if done.trial.candidate.id == winner and done.model is not None]
    if not fits:
        return None
    ship(job.journal.folder / str(fits[-1].model), job.journal.folder)
    return fits[-1]


def _tested(job: Job, probe: TrialResult) -> TrialResult | None:
    """A probe with predictions of its own model on the test part, if there is time for them."""
    rows = job.rows(2)
    if not len(rows):
        return None
    allowance = job.budget.allowance(reserve=END_SECONDS / 2)
    if allowance.expired:  # a worker that was ended for being late would cost its start, to be late again
        job.notes.append("no test score: no time was left")
        return None
    try:
        answers = job.engine.predict("model", [str(path) for path in job.data.files[rows]], allowance)
    except AutotlError as error:
        job.notes.append(f"no test score: {error}")
        return None
    if any(answers.errors) or np.isnan(answers.probabilities).any():
        return None
    path = job.journal.folder / "trials" / "tested.npz"
    with atomic(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, rows=rows, proba=answers.probabilities, fold=np.full(len(rows), -1, np.int8))
    trial = replace(probe.trial, id="tested", evaluate_on=("test",))
    return replace(probe, trial=trial, predictions="trials/tested.npz")


def _refit(job: Job, trial: Trial) -> None:
    again = job.submit(trial, job.budget.allowance(reserve=END_SECONDS / 2))
    if again.status == "finished" and again.model is not None:
        ship(job.journal.folder / again.model, job.journal.folder)
        job.notes.append("the model that ships was fitted on the test images too; its figures are its twin's")
    else:
        job.notes.append(f"the fit on the test images too {again.status}; the model without them ships")


def _conclude(job: Job, state: result.Recommendation, fit: TrialResult | None) -> result.Recommendation:
    fit = None if fit is None else evidence.sealed(fit, job.journal.folder)
    if fit is not None and fit not in state.trials:
        state = replace(state, trials=(*state.trials, fit))
    folder = job.journal.folder
    found = conclude.conclude(state, fit, folder, job.columns)
    if found.calibration is not None and found.winner and found.winner.model_is != conclude.UNFITTED:
        calibration.write(found.calibration, folder / "model")
    return job.journal.write(
        winner=found.winner,
        leaderboard=found.leaderboard,
        calibration=found.calibration,
        trials=found.trials,
    )


def _familiarise(job: Job, fit: TrialResult | None) -> None:
    """Teaches the model that ships which images are far from its own, in what time the fit left."""
    again = fit is not None and "select" in fit.trial.fit_on
    fitted = np.concatenate([job.rows(0), job.rows(1)]) if again else job.rows(0)
    others = job.rows(2) if again else np.concatenate([job.rows(1), job.rows(2)])
    seconds = max(FAMILIAR_SHARE * job.options.budget, job.budget.left - END_SECONDS / 2)
    allowance = job.budget.allowance(seconds)
    if allowance.expired:
        job.notes.append("the model cannot warn of images far from its own: no time was left to learn them")
        return
    held_out = others[:0] if job.options.refit else others
    try:
        known = job.engine.familiarise("model", fitted, held_out, allowance)
    except AutotlError as error:
        job.notes.append(f"the model cannot warn of images far from its own: {error}")
        return
    if known and again and fit is not None and fit.model is not None:  # it may ship again from its own folder
        shutil.copy(job.journal.folder / "model" / ood.FILE, job.journal.folder / fit.model)


def _explain(job: Job, state: result.Recommendation) -> None:
    """Looks for what a few answers of the model rest on; the first thing to give way when time is short."""
    asked = explained.question(state, job.journal.folder)
    allowance = job.budget.allowance(EXPLAIN_SHARE * job.options.budget, reserve=END_SECONDS)
    if asked is None or allowance.expired:
        return
    with job.ledger.charge("explain"):
        try:
            found = job.engine.explain("model", asked.rows, asked.answers, allowance)
        except AutotlError as error:
            job.notes.append(f"what the answers rest on was not looked for: {error}")
            return
    explained.keep(asked, found, job.journal.folder)


def _tidy(job: Job) -> None:
    """Trial models go once the folder has its own; curves and predictions stay."""
    for trained in job.results:
        if trained.model is not None:
            shutil.rmtree(job.journal.folder / trained.model, ignore_errors=True)
