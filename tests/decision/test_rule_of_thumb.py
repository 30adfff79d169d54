"""The rule of thumb beside what was measured."""

from __future__ import annotations

import numpy as np
import pytest

from autotl.decision import judge, rule_of_thumb
from autotl.decision.evidence import Evidence, Judged
from autotl.records import Candidate, Decision, Depth, Goal, Similarity, Trial, TrialResult
from autotl.records.facts import Kind
from autotl.report import wording
from autotl.stats import metrics

LABELS = np.arange(200) % 2
JUDGED = Judged(labels=LABELS, classes=2)


def near(word: str, value: float = 0.8) -> Similarity:
    return Similarity(domain="imagenet-1k", value=value, low=0, high=1, level=word)  # type: ignore[arg-type]


def evidence(wrong: int, unfreeze: Depth) -> Evidence:
    candidate = Candidate(backbone="a", input_size=64, strategy="s", unfreeze=unfreeze)
    predicted = np.where(np.arange(200) < wrong, 1 - LABELS, LABELS)
    result = TrialResult(
        trial=Trial(id="t", candidate=candidate), status="finished", score_val=1 - wrong / 200
    )
    return Evidence(result=result, predicted=predicted, fit_time=1.0)


def said(field: list[Evidence], images: int, *similarity: Similarity) -> str:
    expected = {e.name: metrics.interval("accuracy", LABELS, e.predicted, 2) for e in field}
    decision = judge.decide(field, JUDGED, Goal(), expected)
    shown = rule_of_thumb.compare(decision, field, JUDGED, Goal(), images, similarity)
    return "" if shown is None else wording.sentence(shown)


@pytest.mark.parametrize(
    ("images", "word", "recipe"),
    [
        (200, "near", "frozen backbone"),
        (200, "far", "last layers"),
        (5000, "near", "full fine-tuning"),
        (5000, "far", "full fine-tuning"),
    ],
)
def test_the_rule_is_size_times_similarity(images: int, word: str, recipe: str) -> None:
    size = "small" if images < 1000 else "large"
    near_or_far = {"near": "high", "far": "low"}[word]
    sentence = said([evidence(5, 0)], images, near(word))
    assert f"{size} data set" in sentence and f"{near_or_far} similarity" in sentence
    assert f"→ {recipe}" in sentence or f"fine-tuning of the {recipe}" in sentence


def test_it_says_whether_the_probes_agreed_and_by_how_much_not() -> None:
    field = [evidence(60, 0), evidence(10, "all")]
    sentence = said(field, 200, near("near"))
    assert "measured best: full fine-tuning" in sentence and "difference +25.0 points" in sentence
    assert "the measurement agrees: against a@64/s, difference +25.0" in said(field, 5000, near("far"))
    close = said([evidence(11, 0), evidence(10, "all")], 5000, near("far"))
    assert "the measurement does not contradict it" in close and close.endswith("not significant")
    assert said([evidence(10, "all")], 5000, near("far")).endswith(
        "it was chosen, and nothing else was tried"
    )
    assert "no such candidate was tried" in said(field, 200, near("far"))


def test_its_interval_is_that_of_the_reasons_for_the_same_pair() -> None:
    field = [evidence(10, "all"), evidence(60, 0), evidence(61, 2)]
    expected = {e.name: metrics.interval("accuracy", LABELS, e.predicted, 2) for e in field}
    decision = judge.decide(field, JUDGED, Goal(), expected)
    shown = rule_of_thumb.compare(decision, field, JUDGED, Goal(), 200, (near("near"),))
    (reason,) = [each for each in decision.reasons if each.kind is Kind.FROZEN_OR_TUNED]
    assert shown is not None and shown.values["other"] == reason.values["other"]
    assert shown.values["gap"] == reason.values["gap"] and shown.values["gap"]["comparisons"] == 2


def test_the_nearest_of_several_sources_counts() -> None:
    assert "high similarity to imagenet-1k" in said(
        [evidence(5, 0)], 200, near("far", 0.1), near("near", 0.9)
    )


def test_without_similarity_or_winner_it_is_silent() -> None:
    assert said([evidence(5, 0)], 200) == ""
    assert rule_of_thumb.compare(Decision(winner=None), [], JUDGED, Goal(), 200, [near("near")]) is None
