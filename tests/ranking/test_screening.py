"""Scores are called with one record, and one that cannot be called is named with what is expected."""

from __future__ import annotations

import numpy as np
import pytest

from autotl.protocols import ScoreCall
from autotl.ranking.screening import Ask, Screening, score_features
from autotl.records import BackboneSpec, Kind, Score

CALL = ScoreCall(
    features=np.ones((6, 2), np.float32), labels=np.arange(6) % 2, folds=np.arange(6) % 3, logits=None
)


def of_version_3(features: np.ndarray, labels: np.ndarray, folds: np.ndarray, logits: np.ndarray) -> float:
    return 0.5


def rows(call: ScoreCall) -> float:
    return float(len(call.labels))


def named(function: str, *, needs_logits: bool = False) -> Score:
    return Score(
        name=function, summary="of a test", compute=f"{__name__}:{function}", needs_logits=needs_logits
    )


def test_a_score_that_takes_its_arguments_in_the_old_way_is_named_and_the_others_are_computed() -> None:
    values, problems = score_features([named("of_version_3"), named("rows")], CALL)
    assert values == {"rows": 6.0}
    (problem,) = problems.values()
    assert problem.kind == Kind.SCORE_FAILED
    assert f"{__name__}:of_version_3" in problem.values["error"]
    assert problem.values["error"].endswith("but is called with (call); expected it alone")


def test_a_score_that_needs_logits_is_left_out_where_there_are_none() -> None:
    assert score_features([named("rows", needs_logits=True)], CALL) == ({}, {})


def screening(macs: dict[str, float], rows: int = 1000) -> Screening:
    """Return a screening of these backbones, the first of which are the most accurate ones."""
    specs = [
        BackboneSpec(name=name, build="x:y", macs=cost, published=0.8 - 0.05 * place)
        for place, (name, cost) in enumerate(macs.items())
    ]
    return Screening(specs, dict.fromkeys(macs, (224,)), rows, 5)


def test_what_fits_is_read_first_and_of_what_does_not_the_cheapest() -> None:
    """Three were read whatever their forecast, the most accurate ones first: on a slow machine the largest."""
    pace = {"huge": 0.2, "large": 0.1, "small": 0.005, "middle": 0.02, "tiny": 0.001}
    one = screening({name: 1e9 * seconds for name, seconds in pace.items()})
    asked, spent = one.start(), 0.0
    read = []
    ask: Ask | None = asked
    while ask is not None:
        read.append((ask.backbone, ask.rows))
        spent += pace[ask.backbone] * ask.rows
        one.update(ask, ask.rows, {"linear": 0.5}, pace[ask.backbone])
        ask = one.ask(4.0, spent - pace["tiny"] * 1000)
    assert read[0] == ("tiny", 1000)
    assert [name for name, rows in read if rows == 64] == ["small", "middle", "large"]


def test_the_first_backbone_shows_what_more_images_are_worth() -> None:
    one = screening({"large": 1e9, "small": 1e8, "tiny": 1e6}, rows=1024)
    ask = one.start()
    one.update(ask, 1024, {"linear": 0.6}, 0.001)
    one.update(Ask(backbone="large", input_size=224, rows=64), 64, {"linear": 0.3}, 0.01)

    def expected() -> float:
        return next(entry.expected for entry in one.ranking().ranked if entry.backbone == "large")

    usual = expected()
    one.learn_gain(0.59, 64, 0.6, 1024)
    assert expected() < usual
    one.learn_gain(0.2, 64, 0.6, 1024)
    one.learn_gain(0.2, 64, 0.6, 1024)
    assert expected() > usual + 0.05
    learned = expected()
    one.learn_gain(0.6, 1024, 0.6, 1024)  # no more images than before
    one.learn_gain(0.0, 64, 1.0, 1024)  # no finite gain
    assert expected() == pytest.approx(learned)


def test_a_backbone_that_is_read_again_shows_what_more_images_are_worth() -> None:
    one = screening({"large": 1e9, "small": 1e8, "tiny": 1e6}, rows=4096)
    for name in ("large", "small"):
        one.update(Ask(backbone=name, input_size=224, rows=64), 64, {"linear": 0.3}, 0.01)

    def expected() -> float:
        return next(entry.expected for entry in one.ranking().ranked if entry.backbone == "small")

    usual = expected()
    one.update(Ask(backbone="large", input_size=224, rows=256), 256, {"linear": 0.7}, 0.01)
    assert expected() > usual + 0.05
