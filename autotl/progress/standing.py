"""Fold the events of a run into its state: the current step, the best so far, and the time."""

from __future__ import annotations

from dataclasses import dataclass, replace

from autotl.records import Event, Kind

__all__ = ["Standing", "after", "elapsed", "share", "to_go"]

EARLY = 0.1  # share of a step below which its speed so far does not tell when it ends
_STARTS = {Kind.TRIAL_STARTED, Kind.CONTROL_STARTED, Kind.FINAL_FIT}
SCORE_DIGITS = 4  # scores that agree so far are one score


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The step that goes on, and what was reached before it."""

    event: Event  # the last one
    what: str  # the sentence with which the step began
    began: float  # seconds of the run
    forecast: float | None = None  # seconds that the step was expected to take
    best_candidate: str | None = None  # that the best score is known to be of


def after(before: Standing | None, event: Event) -> Standing:
    """Return where a run stands after an event: training belongs to the step that began, all else begins one."""
    best = None if before is None else before.best_candidate
    if event.kind is Kind.TRIAL_ENDED and is_best(event):
        best = event.candidate
    elif before is not None and event.best != before.event.best:
        best = None
    going_on = (
        before is not None
        and event.kind is Kind.TRAINING
        and (before.event.stage, before.event.candidate) == (event.stage, event.candidate)
        and before.event.kind in {*_STARTS, Kind.TRAINING}
    )
    if before is not None and going_on:
        return replace(before, event=event, best_candidate=best)
    return Standing(
        event=event,
        what="" if event.kind is Kind.TRAINING else event.message,
        began=event.time,
        forecast=event.forecast,
        best_candidate=best,
    )


def is_best(event: Event) -> bool:
    """Return whether the event's own score is the best so far; a control's never is, however high."""
    if event.best is None or event.score is None or event.stage == "control":
        return False
    return round(event.best, SCORE_DIGITS) == round(event.score, SCORE_DIGITS)


def elapsed(standing: Standing, since: float) -> float:
    """Return the seconds that the step takes already, `since` seconds after the last event."""
    return standing.event.time - standing.began + since


def share(standing: Standing, since: float) -> float | None:
    """Return the share of the step that is done: of its epochs, else of its forecast time; None if unknown."""
    event = standing.event
    if event.kind is Kind.TRAINING and event.values["epochs"]:
        return float(min(1.0, event.values["epoch"] / event.values["epochs"]))
    if standing.forecast:
        return min(1.0, elapsed(standing, since) / standing.forecast)
    return None


def to_go(standing: Standing, since: float) -> float | None:
    """Return the seconds until the step is expected to end, by its forecast, else by its speed; negative: overdue."""
    seconds = elapsed(standing, since)
    if standing.forecast is not None:
        return standing.forecast - seconds
    part = share(standing, since)
    return None if part is None or part < EARLY else seconds / part - seconds
