"""Forecast what a whole run takes, before its search: the planner plays it against assumed scores. Pure: no clock."""

from __future__ import annotations

import copy
import heapq
import math

from autotl.records import Cost, Forecast, Ranked, Trial, TrialResult
from autotl.search.intervals import Z80
from autotl.search.planner import DefaultPlanner, UnderWay

# Share of the linear probe's error that long training removes: little, so that the search ends early;
# as much as it usually does; so much that it continues for as long as it may.
GAINS = (-0.05, 0.2, 0.5)
HALF_WAY = 6.0  # epochs after which some two thirds of a gain are there, as assumed here
FROZEN_SECONDS = 1.0  # a head in closed form on features at hand
LONGEST = 60  # trials in one rehearsal; a search that goes on is taken to use its time
USUAL = 0.9  # seconds taken / rehearsed, in the median: many searches end early
ERROR = 0.25  # deviation of log(seconds taken / rehearsed)
GROWTH = 1.1  # of memory, from the end of the timed batches to the end of the run
ERROR_BYTES = 0.2  # deviation of log(bytes held / forecast)


def rehearse(planner: DefaultPlanner, seconds: float, gain: float) -> float:
    """Return the seconds of search and final fit if fine-tuning removes a share `gain` of the linear probe's error."""
    planner, spent, ended = copy.deepcopy(planner), 0.0, 0
    running: list[tuple[float, int, Trial]] = []  # until when
    while ended < LONGEST:
        planner.under_way = [UnderWay(trial=trial, seconds=end - spent) for end, _, trial in running]
        asked = planner.ask(seconds - spent) if len(running) < planner.slots else None
        if asked is not None:
            cost = asked.forecast or FROZEN_SECONDS
            heapq.heappush(running, (spent + cost, ended + len(running), asked))
            continue
        if not running:
            break
        spent, _, trial = heapq.heappop(running)
        ended += 1
        entry = _entry(planner, trial.candidate.backbone, trial.candidate.input_size)
        grown = gain * (1 - math.exp(-trial.epochs / HALF_WAY)) if trial.candidate.unfreeze else 0.0
        planner.tell(
            TrialResult(
                trial=trial,
                status="finished",
                score_val=entry.expected + (1 - entry.expected) * grown,
                epochs_done=trial.epochs,
                model=trial.id,
                cost=Cost(other=trial.forecast or FROZEN_SECONDS),
            )
        )
    else:
        return seconds  # so many trials are no end: on many slots they are one round
    scored = [result for result in planner.results if result.score_val is not None]
    if not scored:
        return spent
    best = max(scored, key=lambda result: result.score_val or 0.0)
    epochs = best.epochs_done
    if epochs and not planner.facts.folds:
        epochs = planner.costs.last_epochs(best.trial.candidate, seconds - spent, epochs)
    return spent + planner.costs.fit(best.trial.candidate, epochs)


def foresee(
    planner: DefaultPlanner, *, spent: float, left: float, ends: float, controls: float, peak: int
) -> Forecast:
    """Return the forecast of a run that has spent some seconds and has `left` more.

    `ends` are the seconds that report and last writes take, `controls` those of the controls; `peak` the
    bytes that the engine has held at most so far, 0 where that is not known.
    """
    most = max(0.0, left - ends - controls)
    used = ends + controls
    low, usual, high = sorted(USUAL * (rehearse(planner, most, gain) + used) for gain in GAINS)
    factor, wide = math.exp(Z80 * ERROR), math.exp(Z80 * ERROR_BYTES)
    held = GROWTH * peak
    return Forecast(
        seconds=round(spent + min(usual, left), 3),
        seconds_low=round(spent + min(low, left) / factor, 3),
        seconds_high=round(spent + min(high * factor, left + ends), 3),
        bytes=round(held),
        bytes_low=peak,
        bytes_high=round(held * wide),
    )


def _entry(planner: DefaultPlanner, backbone: str, size: int) -> Ranked:
    return next(e for e in planner.ranked if (e.backbone, e.input_size) == (backbone, size))
