"""The effect of pretraining: the winner compared with the controls."""

from __future__ import annotations

from typing import Any

from autotl.records.result import Recommendation
from autotl.report import recorded, trainings
from autotl.report.format import interval, percent
from autotl.report.material import Material
from autotl.report.trainings import Training
from autotl.report.wording import terminal
from autotl.report.wording import transfer as wording
from autotl.report.wording.page import as_sentence


def section(result: Recommendation, _material: Material) -> dict[str, Any]:
    """Return the effect with its interval, the controls, and start, slope and asymptote of both curves."""
    pair = trainings.transfer_pair(result)
    verdict, *more = map(as_sentence, recorded.pretraining_reasons(result) or [""])
    return {
        "verdict": verdict,
        "sentences": more,
        "controls": [
            {
                "candidate": row.candidate,
                "name": terminal.control(row.control),
                "score": percent(row.score_val),
                "interval": "" if row.ci_low is None else interval(row.ci_low, row.ci_high),
            }
            for row in result.leaderboard
            if row.control and row.score_val is not None
        ],
        "signs": [(wording.SIGNS[name], text) for name, text in (signs(*pair) if pair else {}).items()],
        "pair": [training.candidate for training in pair or ()],
    }


def signs(pretrained: Training, scratch: Training) -> dict[str, str]:
    """Return start, slope and asymptote of both trainings over seconds (Torrey and Shavlik, 2009).

    Where one has a single point, what both reached.

    >>> pretrained = Training(candidate="a", points=((1, 0.5), (2, 0.7)))
    >>> scratch = Training(candidate="b", points=((1, 0.3), (2, 0.4)))
    >>> signs(pretrained, scratch)["slope"]
    '+20.0 points per second at first; from scratch +10.0 points'
    """
    one, two = pretrained.points, scratch.points
    if len(one) < 2 or len(two) < 2:
        return {"reached": wording.reached(one[-1][1], one[-1][0], two[-1][1], two[-1][0])}
    begin = max(one[0][0], two[0][0])
    rates = [(line[1][1] - line[0][1]) / (line[1][0] - line[0][0]) for line in (one, two)]
    flat = trainings.is_flat(one) and trainings.is_flat(two)
    return {
        "start": wording.start(trainings.value_at(one, begin), trainings.value_at(two, begin), begin),
        "slope": wording.slope(*rates),
        "asymptote": wording.asymptote(one[-1][1], two[-1][1], flat=flat),
    }
