"""Progress of a trial: when the worker reports it, and how long the client then waits after a deadline.

Torch-free: both sides import it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from autotl.records import Progress, Trial

REPORT_SECONDS = 0.5  # between two reports, at least
STEPS = 4  # an unfinished step, two timed batches, and writing the files are no longer than so many steps
SILENT = 2.0  # seconds after a deadline for a worker that had fallen silent before it
USUAL = 5.0  # for one that reported shortly before it, or whose request has no reports
MOST = 60.0

Send = Callable[[Progress, float], None]


def grace(step_seconds: float | None, silence: float) -> float:
    """Return the seconds after its deadline for which a worker may still work before it is killed.

    `step_seconds` is the longest step of its last report, None when it sent none; `silence` the seconds from
    that report to the deadline, 0 for one that came after the deadline. A worker that reported within the time
    of a few steps gets the time of a few steps more, one that had fallen silent gets less.
    """
    if step_seconds is None:
        return USUAL
    few_steps = STEPS * step_seconds
    if silence <= REPORT_SECONDS + few_steps:
        return min(max(USUAL, few_steps), MOST)
    return min(max(SILENT, few_steps / 2), MOST / 2)


class Reporter:
    """Sends the progress of one trial, at most once in `REPORT_SECONDS`; the training calls it after each step.

    An out-of-fold trial trains `runs` times; the epochs reported are the mean over them.
    """

    def __init__(self, send: Send, trial: Trial, runs: int) -> None:
        self._send = send
        self._trial = trial
        self._runs = runs
        self._finished_runs = 0
        self._start = self._last_step = time.monotonic()
        self._last_report: float | None = None
        self._longest_step = self._reported_step = 0.0
        self._losses: list[float] = []
        self._progress = Progress(trial=trial.id, epoch=0.0, epochs=trial.epochs, seconds=0.0)

    def begin_run(self) -> None:
        """Start the clock of the first step: what came before it was preparation."""
        self._last_step = time.monotonic()

    def step(self, epoch: float, loss: float | None, score: float | None) -> None:
        """Take note of a step that ended after `epoch` passes, with its loss, if any, and the last score measured."""
        now = time.monotonic()
        self._longest_step = max(self._longest_step, now - self._last_step)
        self._last_step = now
        if loss is not None:
            self._losses.append(loss)
        if self._last_report is None or now - self._last_report >= REPORT_SECONDS:
            self._report(now, epoch, score)

    def alive(self) -> None:
        """Repeat the last report during work that follows the steps, such as predictions."""
        now = time.monotonic()
        if self._last_report is not None and now - self._last_report >= REPORT_SECONDS:
            self._report(now, None, self._progress.score)

    def end_run(self) -> None:
        """Count one of the trainings as finished."""
        self._finished_runs += 1

    def _report(self, now: float, epoch: float | None, score: float | None) -> None:
        loss = sum(self._losses) / len(self._losses) if self._losses else self._progress.loss
        mean_epoch = self._progress.epoch
        if epoch is not None:
            mean_epoch = self._trial.resumed_epochs
            mean_epoch += (self._finished_runs * self._trial.epochs + epoch) / self._runs
        self._progress = Progress(
            trial=self._trial.id,
            epoch=round(mean_epoch, 3),
            epochs=self._trial.epochs,
            loss=None if loss is None else round(loss, 6),
            score=score,
            seconds=round(now - self._start, 3),
        )
        self._reported_step = self._longest_step or self._reported_step  # `alive` knows of no newer one
        self._send(self._progress, self._reported_step)
        self._last_report, self._longest_step, self._losses = now, 0.0, []
