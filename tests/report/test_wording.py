from __future__ import annotations

from autotl.records.data import Finding
from autotl.records.facts import Kind
from autotl.report import wording


def test_every_kind_of_fact_has_a_sentence() -> None:
    assert set(wording.SENTENCES) == set(Kind)


def test_a_checked_split_says_what_a_random_one_shows_and_loses() -> None:
    values = {"acted": ["names", "contradictions"], "metric": "accuracy", "backbones": 3, "chosen": "timm:a"}
    values |= {"scores": {"random": 0.957, "own": 0.65}, "instead": None}
    text = wording.sentence(Finding(kind=Kind.SPLIT_CHECKED, values=values, count=400))
    assert "timm:a score 65.0%" in text and "95.7%" in text and "the same backbone first, of the 3" in text
    other = {"backbone": "timm:b", "lost": 0.021, "low": 0.004, "high": 0.04}
    text = wording.sentence(Finding(kind=Kind.SPLIT_CHECKED, values=values | {"instead": other}, count=400))
    assert "timm:b first, which loses 2.1 points" in text and "not significant" not in text


def test_a_domain_that_is_left_out_stands_beside_its_score_with_it() -> None:
    one = {"example": "art/a.png", "images": 300, "score": 0.4, "low": 0.34, "high": 0.46, "mixed": 0.7}
    values = {
        "metric": "accuracy",
        "backbone": "timm:a",
        "domains": [one, one | {"score": 0.6, "mixed": 0.8}],
    }
    text = wording.sentence(Finding(kind=Kind.DOMAIN_LEFT_OUT, values=values, count=600))
    assert "timm:a score 50.0% on average" in text and "75.0% where other images of each group train" in text
    assert "40.0% (95% CI 34.0% to 46.0%) on the 300 images of the group of art/a.png" in text
