"""Choose the trainings that fill the time best, given draws of what each may score. Pure, numpy alone."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

__all__ = ["ONE_SLOT", "Plan", "Slots", "best_plan", "gains"]

NOTHING = 1e-5  # of a score


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """The number of trainings made at once, and the seconds that those under way still take, of all slots together."""

    number: int = 1
    taken: float = 0.0


ONE_SLOT = Slots()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Trainings to be made one after another, by index, and their expected gain over the best so far."""

    gain: float
    chosen: tuple[int, ...]  # in the order they were taken


def best_plan(
    values: np.ndarray,
    best: float | np.ndarray,
    costs: np.ndarray,
    finals: np.ndarray,
    seconds: float,
    reserve: float = 0.0,
    slots: Slots = ONE_SLOT,
) -> Plan:
    """Return the plan of largest expected maximum that fits into `seconds`, or one near it.

    `values` (draws, n) are joint draws of what each training may score, `best` what there is already, a number or
    draws (draws,) of it, `costs` (n,) and `finals` (n,) the seconds of a training and of the final fit should it win;
    of all final fits that may be needed, and of `reserve`, the dearest is kept free. An expected maximum is
    submodular: of two ways to fill the time, always what adds most and always what adds most a second, the better one
    is at least 0.32 of the best, and what a training adds never grows: only those that lead are looked at again
    (Leskovec and others, KDD 2007).
    """
    columns, start = np.ascontiguousarray(values.T), np.full(len(values), best)
    alone = gains(values, start)
    ways = [
        _filled(columns, start, (alone, weigh), (costs, finals), (seconds, reserve, slots))
        for weigh in (np.ones_like(costs), costs)
    ]
    gain, chosen = max(ways, key=lambda way: way[0])
    return Plan(gain=gain, chosen=tuple(chosen))


def gains(values: np.ndarray, best: np.ndarray) -> np.ndarray:
    """Return the expected gain (n,) of each training alone over `best` (draws,)."""
    return np.asarray(np.maximum(values.T, best).mean(1) - best.mean())


def _filled(
    columns: np.ndarray,
    top: np.ndarray,
    worth: tuple[np.ndarray, np.ndarray],
    seconds_of: tuple[np.ndarray, np.ndarray],
    time: tuple[float, float, Slots],
) -> tuple[float, list[int]]:
    """Return the expected gain of adding, while there is time, the training that adds most for its weight.

    `worth` are the gains of each alone and the weights, `seconds_of` the costs and final fits.
    """
    chosen: list[int] = []
    (alone, weigh), (costs, finals), (seconds, final, slots) = worth, seconds_of, time
    spent, before = slots.taken, float(top.mean())
    level = before
    # The most that each may add for its weight, and to how many chosen ones it was computed.
    waiting = [(-value, number, 0) for number, value in enumerate((alone / weigh).tolist())]
    heapq.heapify(waiting)
    while waiting:
        _, number, computed = heapq.heappop(waiting)
        if (spent + costs[number]) / slots.number + max(finals[number], final) > seconds:
            continue  # nor will it fit later
        raised = np.maximum(columns[number], top)
        gain = float(raised.mean()) - level
        if computed < len(chosen):
            heapq.heappush(waiting, (-gain / float(weigh[number]), number, len(chosen)))
        elif gain <= NOTHING:
            break
        else:
            chosen.append(number)
            top, level = raised, level + gain
            spent, final = spent + float(costs[number]), max(final, float(finals[number]))
    return level - before, chosen
