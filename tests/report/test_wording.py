from __future__ import annotations

from autotl.records.data import Finding
from autotl.records.facts import Kind, fact
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


def test_groups_that_lie_in_several_given_parts_are_not_said_to_be_whole_there() -> None:
    values = {
        "by": "names",
        "expression": r"(s\d+)_",
        "examples": ["s1", "s2"],
        "images": 90,
        "measured": {"nearest": 0.8, "chance": 0.1, "random": 0.9, "whole": 0.7},
        "shared": 0,
        "held": True,
        "safe": True,
    }
    text = wording.sentence(Finding(kind=Kind.GROUPS, values=values, count=9))
    assert "so the scores hold for images of new groups" in text and "given parts" not in text
    values |= {"shared": 4, "parts": {"test": [12, 48]}, "backbone": "mine:seen", "judged": 90}
    text = wording.sentence(Finding(kind=Kind.GROUPS, values=values, count=9))
    assert (
        "4 groups are in more than one of the given parts; 12 of the 48 test images (25.0%) show groups that are trained"
        " on or chosen by. Scores there do not hold for images of new groups: a linear classifier on features of"
        " mine:seen (90 images) scores 90.0% with a random split and 70.0% with whole groups;" in text
    )
    assert "so the scores hold" not in text
    measured = values["measured"] | {"whole": 0.905}
    text = wording.sentence(Finding(kind=Kind.GROUPS, values=values | {"measured": measured}, count=9))
    assert "Scores there may not hold" in text and "they cost no measurable accuracy" in text


def test_that_nothing_is_left_out_is_said_of_images_alone() -> None:
    assert wording.action(Finding(kind=Kind.DARK, count=1)) == "nothing left out"
    for kind in (Kind.IMBALANCE, Kind.GEOMETRY, Kind.SPLIT_CHECKED, Kind.WRONG_LABELS, Kind.LEFT_OUT):
        assert wording.action(Finding(kind=kind, count=1)) == ""
    assert wording.action(Finding(kind=Kind.GROUPS, count=1, action="held_together")) == "kept in one part"


def test_what_is_loaded_is_named_by_the_kind_of_its_labels() -> None:
    loaded = {
        target: wording.sentence(fact(Kind.LOADED, images=160, classes=3, target=target))
        for target in ("multiclass", "multilabel", "regression")
    }
    assert loaded == {
        "multiclass": "160 images in 3 classes",
        "multilabel": "160 images with any of 3 labels",
        "regression": "160 images with a number each",
    }


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
