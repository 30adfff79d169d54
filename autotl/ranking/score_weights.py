"""What the other scores and the prior say of a backbone beside its linear probe, and how far that is believed.

Weights were learnt on other data than those that figures are reported on (`benchmarks/ranking.py`). In a run a
score counts for less the worse it agrees with the linear probes of this run, and for nothing where it says the
same of every backbone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from autotl.records import Believed
from autotl.stats.correlation import kendall

__all__ = ["PRIOR", "Judgement", "believe", "kendall", "shifts"]

# Share of a backbone's lead by a score, in units of how far the linear probes lie apart, that is taken for true.
# Scores of guests, which nobody has measured, are shown and weigh nothing.
WEIGHTS = {"knn": 0.48, "logme": 0.2, "nleep": 0.19, "hscore": 0.0, "source_head": 0.0}
PRIOR = "prior"
PRIOR_IMAGES = 12.0  # the prior's weight is this over the images that scores were computed on,
PRIOR_ALONE = 0.53  # and at most this: its weight where nothing else is known
USUAL = 0.5  # Kendall's tau of a good score with the linear probe, as it was where weights were learnt
DOUBT = 5.0  # backbones that a run's own agreement is weighed against
FEWEST = 4  # backbones, below which there is no agreement to speak of

Judgement = Mapping[str, float]  # of one backbone: its scores, and its prior under "prior"


def believe(judged: Sequence[Judgement], rows: float) -> tuple[Believed, ...]:
    """How much each score and the prior weigh in this run, by how they agree with its linear probes.

    `judged` are the backbones with a linear probe, on `rows` images each (their median).
    """
    names = dict.fromkeys(name for one in judged for name in one if name != "linear")
    return tuple(_believed(name, judged, rows) for name in sorted(names))


def _believed(name: str, judged: Sequence[Judgement], rows: float) -> Believed:
    usual = min(PRIOR_ALONE, PRIOR_IMAGES / max(rows, 1)) if name == PRIOR else WEIGHTS.get(name, 0.0)
    pairs = [(one[name], one["linear"]) for one in judged if name in one]
    tau = kendall(pairs) if len(pairs) >= FEWEST else None
    if len(pairs) >= FEWEST and len({value for value, _ in pairs}) == 1:
        return Believed(
            score=name, usual=usual, weight=0.0, backbones=len(pairs), says=_says(name, None, 0.0)
        )
    if tau is None:
        return Believed(score=name, usual=usual, weight=usual, backbones=len(pairs))
    agreed = (len(pairs) * tau + DOUBT * USUAL) / (len(pairs) + DOUBT)
    share = min(1.0, max(0.0, agreed / USUAL))
    return Believed(
        score=name,
        usual=usual,
        weight=round(usual * share, 6),
        agreement=round(tau, 6),
        backbones=len(pairs),
        says=_says(name, tau, share) if usual else "",
    )


def _says(name: str, tau: float | None, share: float) -> str:
    what = "the prior" if name == PRIOR else f"score {name!r}"
    if tau is None:
        return f"{what} is the same for every backbone and does not count"
    if share < 0.75:
        weighs = "does not count" if share == 0 else f"counts for {share:.0%} of what it usually does"
        return f"{what} disagrees with this run's linear probes (Kendall's tau {tau:+.2f}) and {weighs}"
    return ""


def shifts(judged: Sequence[Judgement], believed: Sequence[Believed]) -> list[float]:
    """How far each backbone is promised to lie above their mean, by everything but its linear probe."""
    spread = _deviation([one["linear"] for one in judged])
    total = [0.0] * len(judged)
    for each in believed:
        have = [(place, one[each.score]) for place, one in enumerate(judged) if each.score in one]
        mean = sum(value for _, value in have) / len(have) if have else 0.0
        deviation = _deviation([value for _, value in have])
        # The prior is an accuracy and keeps its unit; scores are brought to that of the linear probe.
        unit = 1.0 if each.score == PRIOR else spread / deviation if deviation > 1e-9 else 0.0
        for place, value in have:
            total[place] += each.weight * unit * (value - mean)
    return total


def _deviation(values: Sequence[float]) -> float:
    if not values:
        return 0.0
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))
