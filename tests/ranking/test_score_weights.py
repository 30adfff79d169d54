"""Weights of scores: as fitted on other data, less where they disagree with this run's linear probes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from autotl.ranking import score_weights
from autotl.ranking.screening import Ask, Screening
from autotl.records import BackboneSpec, Kind, ScoreWeight, fact

LINEAR = [0.50, 0.55, 0.60, 0.65, 0.70, 0.75, 0.80, 0.85]


def field(**columns: list[float]) -> list[dict[str, float]]:
    named = {"linear": LINEAR, **columns}
    return [dict(zip(named, values, strict=True)) for values in zip(*named.values(), strict=True)]


def of(name: str, judged: list[dict[str, float]], rows: int = 100) -> ScoreWeight:
    return next(each for each in score_weights.weights(judged, rows) if each.score == name)


def test_a_score_that_agrees_has_its_usual_weight() -> None:
    found = of("knn", field(knn=LINEAR))
    assert found.weight == found.usual == score_weights.WEIGHTS["knn"]
    assert found.agreement == 1.0 and found.backbones == 8
    assert score_weights.disagreement(found) is None


def test_one_that_disagrees_weighs_less_and_is_reported() -> None:
    found = of("logme", field(logme=LINEAR[::-1]))
    assert found.weight == 0
    assert score_weights.disagreement(found) == fact(Kind.SCORE_DISAGREES, score="logme", tau=-1.0, share=0.0)
    shuffled = [LINEAR[i] for i in (4, 1, 6, 3, 0, 7, 2, 5)]
    assert 0 < of("logme", field(logme=shuffled)).weight < score_weights.WEIGHTS["logme"]


def test_a_constant_score_has_no_weight() -> None:
    found = of("logme", field(logme=[0.3] * 8))
    assert found.weight == 0
    assert score_weights.disagreement(found) == fact(Kind.SCORE_CONSTANT, score="logme")


def guests(count: int, *, perfect: bool) -> ScoreWeight:
    """Return the weight of a plugin's score on so many backbones; one that is not perfect is random."""
    linear = [0.5 + 0.4 * place / count for place in range(count)]
    values = linear if perfect else np.random.default_rng(1).permutation(linear).tolist()
    judged = [{"linear": one, "mine": other} for one, other in zip(linear, values, strict=True)]
    (weight,) = score_weights.weights(judged, 100, {"mine": 0.1})
    return weight


def test_a_plugins_score_that_agrees_weighs_more_than_it_states_and_one_that_does_not_soon_nothing() -> None:
    assert guests(3, perfect=True).weight == 0.1  # too few to compare
    assert guests(6, perfect=True).weight == 0.2 and guests(12, perfect=True).weight == 0.2
    assert guests(12, perfect=False).weight == 0
    assert guests(12, perfect=False).usual == 0.1


def order(judged: dict[str, dict[str, float]]) -> list[str]:
    """Return the order of backbones in a screening on 64 images."""
    specs = [BackboneSpec(name=name, build="m:b", size_step=0, published=0.5, macs=1e8) for name in judged]
    screening = Screening(specs, {s.name: [224] for s in specs}, 64, 2, guests={"mine": 0.5})
    screening.start()
    for name, scores in judged.items():
        screening.update(Ask(backbone=name, input_size=224, rows=64), 64, scores, 0.01)
    return [entry.backbone for entry in screening.ranking().ranked]


def test_a_perfect_score_moves_the_order_and_a_worthless_one_does_not() -> None:
    names = "abcdefgh"
    linear = dict(zip(names, LINEAR, strict=True))
    alone = order({name: {"linear": value} for name, value in linear.items()})
    assert alone == [*reversed(names)]
    better = {**linear, "g": 1.5}  # agrees with the linear probes, and knows that g is far ahead of h
    assert order({n: {"linear": linear[n], "mine": better[n]} for n in names})[:2] == ["g", "h"]
    noise = dict(zip(names, [5.0, 1.0, 7.0, 3.0, 2.0, 6.0, 9.0, 4.0], strict=True))
    noise["g"], noise["h"] = 2.0, 1.0
    assert order({n: {"linear": linear[n], "mine": noise[n]} for n in names}) == alone


def test_linear_probes_that_are_all_equal_change_no_weight() -> None:
    judged = [{**judgement, "linear": 0.5} for judgement in field(logme=LINEAR)]
    assert of("logme", judged).weight == score_weights.WEIGHTS["logme"]


def test_the_prior_fades_as_images_come() -> None:
    judged = field(prior=LINEAR)
    assert of("prior", judged, 10).weight == score_weights.PRIOR_ALONE
    assert of("prior", judged, 1000).weight < of("prior", judged, 100).weight < score_weights.PRIOR_ALONE


def test_shifts_are_in_units_of_the_linear_probe_and_sum_to_nothing() -> None:
    judged = field(logme=[1000 * value for value in LINEAR])
    shifts = score_weights.shifts(judged, score_weights.weights(judged, 100))
    assert sum(shifts) == pytest.approx(0, abs=1e-9)
    assert shifts[-1] == pytest.approx(score_weights.WEIGHTS["logme"] * (0.85 - sum(LINEAR) / 8))


def test_screening_breaks_a_tie_of_probes_by_the_other_scores() -> None:
    specs = [BackboneSpec(name=f"b{i}", build="m:b", macs=1e8, published=0.6) for i in range(6)]
    screening = Screening(specs, {spec.name: (224,) for spec in specs}, 64, 4)
    for number, spec in enumerate(specs):
        ask = Ask(backbone=spec.name, input_size=224, rows=64)
        linear = 0.7 if number in (2, 3) else 0.5 + 0.01 * number
        screening.update(ask, 64, {"linear": linear, "knn": linear + (0.05 if number == 3 else 0.0)}, 0.01)
    ranking = screening.ranking()
    assert [r.backbone for r in ranking.ranked[:2]] == ["b3", "b2"]
    assert {each.score for each in ranking.weights} == {"knn", "prior"}
    assert all(math.isfinite(r.expected) for r in ranking.ranked)
