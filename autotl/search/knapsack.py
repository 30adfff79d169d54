"""Choose the trainings that fill the time best, given draws of what each may score. Pure, numpy alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["ONE_SLOT", "Plan", "Slots", "best_plan"]

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
    first: int | None  # the one of the largest expected maximum alone; None for an empty plan


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
    draws (draws,) of it, `costs` (n,) and `finals` (n,) the
    seconds of a training and of the final fit should it win; of all final fits that may be needed, and of
    `reserve`, the dearest is kept free. An expected maximum is submodular: of two ways to fill the time, always
    what adds most and always what adds most a second, the better one is at least 0.32 of the best
    (Leskovec and others, KDD 2007).
    """
    ways = [
        _filled(values, best, costs, finals, (seconds, reserve, slots), weigh)
        for weigh in (np.ones_like(costs), costs)
    ]
    gain, chosen = max(ways, key=lambda way: way[0])
    alone = np.maximum(values, np.reshape(best, (-1, 1))).mean(0)
    first = max(chosen, key=lambda number: (alone[number], -number), default=None)
    return Plan(gain=gain, chosen=tuple(chosen), first=first)


def _filled(
    values: np.ndarray,
    best: float | np.ndarray,
    costs: np.ndarray,
    finals: np.ndarray,
    time: tuple[float, float, Slots],
    weigh: np.ndarray,
) -> tuple[float, list[int]]:
    """Return the expected gain of adding, while there is time, the training that adds most for its weight."""
    chosen: list[int] = []
    seconds, final, slots = time
    top, spent, before = np.full(len(values), best), slots.taken, float(np.mean(best))
    while True:
        fits = (spent + costs) / slots.number + np.maximum(finals, final) <= seconds
        adds = np.where(fits, np.maximum(values, top[:, None]).mean(0) - top.mean(), 0.0)
        number = int(np.argmax(adds / weigh))
        if adds[number] <= NOTHING:
            return float(top.mean()) - before, chosen
        chosen.append(number)
        top, spent = np.maximum(top, values[:, number]), spent + float(costs[number])
        final = max(final, float(finals[number]))
