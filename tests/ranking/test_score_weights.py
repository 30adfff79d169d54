"""Weights of scores: as fitted on other data, less where they disagree with this run's linear probes."""

from __future__ import annotations

import math

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


def test_a_score_of_a_plugin_is_shown_and_weighs_nothing() -> None:
    found = of("mine", field(mine=LINEAR[::-1]))
    assert found.weight == 0 and found.agreement == -1.0
    assert score_weights.disagreement(found) is None


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
