"""Weights of the other scores and of the prior beside a backbone's linear probe.

Weights were fitted on other data than those that figures are reported on (`benchmarks/ranking.py`). In a run a
score weighs less the worse it agrees with the linear probes of this run, and nothing where it has one value for
every backbone. The score of a plugin was not measured: it begins with the weight that it states, and moves up
as well as down.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from autotl.records import Fact, Kind, ScoreWeight, fact

__all__ = ["PRIOR", "Judgement", "disagreement", "shifts", "usual_weight", "weights"]

# Share of a backbone's lead by a score, in units of the spread of the linear probes, that is kept.
WEIGHTS = {"knn": 0.48, "logme": 0.2, "nleep": 0.19, "hscore": 0.0, "source_head": 0.0}
PRIOR = "prior"
PRIOR_IMAGES = 12.0  # the prior's weight is this over the images that scores were computed on,
PRIOR_ALONE = 0.53  # and at most this: its weight where there is nothing else
USUAL = 0.5  # Kendall's tau of a good score with the linear probe, as on the data that weights were fitted on
DOUBT = 5.0  # backbones that a run's own agreement is weighed against
# A plugin's score: nobody but its author vouches for it, so a run's own agreement counts sooner. Agreement below
# CHANCE gives no weight, and the best gives at most TOP times the usual one.
GUEST_DOUBT, CHANCE, TOP, MOST = 2.0, 0.2, 2.0, 0.5
FEWEST = 4  # backbones without which agreement is not computed
SHOWN_SHARE = 0.75  # of its usual weight, below which a score's disagreement is reported

Judgement = Mapping[str, float]  # of one backbone: its scores, and its prior under "prior"


def usual_weight(name: str, guest: float | None) -> float:
    """Return the weight that a score begins a run with; `guest` is what a plugin's score states, else None."""
    return WEIGHTS.get(name, guest or 0.0)


def weights(
    judged: Sequence[Judgement], rows: float, guests: Mapping[str, float] = MappingProxyType({})
) -> tuple[ScoreWeight, ...]:
    """Return the weight of each score and of the prior in this run, by its agreement with the linear probes.

    `judged` are the backbones with a linear probe, on `rows` images each (their median). `guests` are the usual
    weights of scores that plugins register.
    """
    names = dict.fromkeys(name for judgement in judged for name in judgement if name != "linear")
    return tuple(_weight(name, judged, rows, guests.get(name)) for name in sorted(names))


def _weight(name: str, judged: Sequence[Judgement], rows: float, guest: float | None) -> ScoreWeight:
    from scipy.stats import kendalltau

    usual = min(PRIOR_ALONE, PRIOR_IMAGES / max(rows, 1)) if name == PRIOR else usual_weight(name, guest)
    pairs = [(judgement[name], judgement["linear"]) for judgement in judged if name in judgement]
    if len(pairs) < FEWEST:
        return ScoreWeight(score=name, usual=usual, weight=usual, backbones=len(pairs))
    if len({value for value, _ in pairs}) == 1:
        return ScoreWeight(score=name, usual=usual, weight=0.0, backbones=len(pairs))
    tau = float(kendalltau(*zip(*pairs, strict=True)).statistic)
    if math.isnan(tau):  # all linear probes are equal
        return ScoreWeight(score=name, usual=usual, weight=usual, backbones=len(pairs))
    own = name in {PRIOR, *WEIGHTS}
    weight = usual * share_of(tau, len(pairs), guest=not own)
    return ScoreWeight(
        score=name,
        usual=usual,
        weight=round(weight if own else min(MOST, weight), 6),
        agreement=round(tau, 6),
        backbones=len(pairs),
    )


def share_of(tau: float, backbones: int, *, guest: bool) -> float:
    """Return the share of its usual weight that a score has by its agreement on so many backbones."""
    doubt = GUEST_DOUBT if guest else DOUBT
    agreed = (backbones * tau + doubt * USUAL) / (backbones + doubt)
    if guest:
        return min(TOP, max(0.0, (agreed - CHANCE) / (USUAL - CHANCE)))
    return min(1.0, max(0.0, agreed / USUAL))


def disagreement(weight: ScoreWeight) -> Fact | None:
    """Return why a score weighs clearly less than it usually does, or None if it does not."""
    if weight.agreement is None:
        constant = weight.backbones >= FEWEST and weight.weight < weight.usual
        return fact(Kind.SCORE_CONSTANT, score=weight.score) if constant else None
    if not weight.usual or weight.weight >= SHOWN_SHARE * weight.usual:
        return None
    share = round(weight.weight / weight.usual, 6)
    return fact(Kind.SCORE_DISAGREES, score=weight.score, tau=weight.agreement, share=share)


def shifts(judged: Sequence[Judgement], weights: Sequence[ScoreWeight]) -> list[float]:
    """Return the expected lead of each backbone over their mean, by everything but its linear probe."""
    spread = _deviation([judgement["linear"] for judgement in judged])
    total = [0.0] * len(judged)
    for weight in weights:
        have = [
            (place, judgement[weight.score])
            for place, judgement in enumerate(judged)
            if weight.score in judgement
        ]
        mean = sum(value for _, value in have) / len(have) if have else 0.0
        deviation = _deviation([value for _, value in have])
        # The prior is an accuracy and keeps its unit; scores are brought to that of the linear probe.
        unit = 1.0 if weight.score == PRIOR else spread / deviation if deviation > 1e-9 else 0.0
        for place, value in have:
            total[place] += weight.weight * unit * (value - mean)
    return total


def _deviation(values: Sequence[float]) -> float:
    if not values:
        return 0.0
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))
