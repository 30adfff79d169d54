"""Compute how many more images would separate the winner from the next: a power analysis. Pure."""

from __future__ import annotations

import math
from statistics import NormalDist

from autotl.decision.evidence import Evidence, Judged
from autotl.records import Interval
from autotl.records.facts import Fact, Kind, fact
from autotl.stats import metrics

__all__ = ["would_separate"]

POWER = NormalDist().inv_cdf(0.8)  # of the test that more images would make possible
HOPELESS = 10  # times the images there are, that are too many to label
FOLDS = 5  # of the cross-validation that would judge two candidates on every labelled image


def would_separate(
    winner: Evidence, runner_up: Evidence | None, margin: Interval | None, judged: Judged
) -> list[Fact]:
    """Return how many more images, or minutes, would separate the first from the second.

    As many images as find a difference as large as the observed one significant with a power of 80%.
    """
    if runner_up is None or margin is None:
        return []
    name = runner_up.name
    if margin.low > 0:
        return [fact(Kind.RUNNER_UP_WORSE, candidate=name)]
    rows = len(judged.labels)
    difference = abs(margin.value)
    if difference <= 0.001:
        return [fact(Kind.RUNNER_UP_EQUAL, candidate=name, images=rows)]
    point = metrics.point(judged.z, metrics.clusters(judged.group, rows))
    error = (margin.high - margin.low) / 2 / point
    # Twice the images at least: with fewer, a difference that is not significant could not have been.
    needed = rows * max(2.0, ((judged.z + POWER) * error / difference) ** 2)
    if needed > max(HOPELESS * rows, judged.labelled or 0):
        return [fact(Kind.MORE_IMAGES_HOPELESS, candidate=name)]
    share = rows / (judged.labelled or rows)
    total = _two_digits((needed - rows) / share) if share < 1 else None
    facts = [
        fact(Kind.MORE_SELECTION_IMAGES, candidate=name, images=_two_digits(needed - rows), in_all=total)
    ]
    if share < 1 and needed <= (judged.labelled or rows):
        seconds = FOLDS * (winner.result.cost.seconds + runner_up.result.cost.seconds)
        facts.append(
            fact(
                Kind.CROSS_VALIDATION_WOULD_TELL,
                seconds=round(seconds, 3),
                folds=FOLDS,
                images=judged.labelled,
            )
        )
    return facts


def _two_digits(number: float) -> int:
    step = int(10 ** max(0, math.floor(math.log10(max(number, 1))) - 1))
    return max(1, round(number / step) * step)
