"""Sentences of what makes the scores of a run mislead, and what to do about it; `cautions` gathers the facts."""

from __future__ import annotations

from collections.abc import Callable

from autotl.records.facts import Kind
from autotl.report.format import numbered, percent, percent_range
from autotl.report.wording.targets import metric_name

__all__ = ["WARNINGS"]


def _test_score_differs(
    select: float, test: float, p: float, metric: str, given: bool, grouped: bool, folds: int
) -> str:
    measure = metric_name(metric)
    chance = "p < 0.0001" if p < 0.0001 else f"p = {p:.4f}"
    images = "training images, out-of-fold" if folds else "selection images"
    fell = test < select
    text = (
        f"the test {measure} {percent(test)} is {'below' if fell else 'above'} the {percent(select)} on the"
        f" {images}, and not by chance ({chance})"
    )
    if not fell:
        return (
            f"{text}: the test images are easier, or copies of training images are among them; look at the copies that"
            " are named before you rely on the higher figure"
        )
    if not given:
        return (
            f"{text}: trust the test {measure}; both parts were drawn at random, and more images would tell"
        )
    cause = (
        "the declared groups do not hold together what belongs together"
        if grouped
        else "images of one origin (person, object, video) are both trained on and selected by; declare it with --group"
    )
    return (
        f"{text}: trust the test {measure}; either the test images differ from the others (another camera, place or"
        f" time; add such images to DATA), or {cause}"
    )


def _signal_on_test_alone(
    constant: float, score: float, p: float, test: float, low: float, high: float
) -> str:
    return (
        f"on the images that candidates are compared by, the winner ({percent(score)}) is not significantly better than"
        f" always answering one class ({percent(constant)}, p = {p:.2g}); on the test images it is, with {percent(test)}"
        f" ({percent_range(low, high)}): the model has learned something, but the choice between candidates is hardly"
        " better than chance; add images"
    )


def _test_seen(models: int) -> str:
    return (
        f"the test part was used for {models} models, so the test score is a little too high; the next choice needs"
        " test images that no model has seen"
    )


def _wide_interval(metric: str, low: float, high: float, images: int = 0) -> str:
    measure = metric_name(metric)
    which = f"test {measure}, on {numbered(images, 'image')}," if images else f"expected {measure}"
    of_classes = metric in {"balanced_accuracy", "macro_f1"}
    more = "more images of the smallest classes" if of_classes else "more images"
    return (
        f"the 95% interval of the {which} is {100 * (high - low):.0f} points wide ({percent_range(low, high)}); {more}"
        " narrow it"
    )


def _expected_refuted(
    metric: str, value: float, low: float, high: float, test: float, test_low: float, test_high: float
) -> str:
    measure = metric_name(metric)
    side = "below" if test < value else "above"
    return (
        f"the test {measure} {percent(test)} ({percent_range(test_low, test_high)}) is {side} what was expected from"
        f" the selection images, {percent(value)} ({percent_range(low, high)}): trust the test {measure}"
    )


WARNINGS: dict[Kind, Callable[..., str]] = {
    Kind.TEST_SCORE_DIFFERS: _test_score_differs,
    Kind.TEST_SEEN: _test_seen,
    Kind.SIGNAL_ON_TEST_ALONE: _signal_on_test_alone,
    Kind.WIDE_INTERVAL: _wide_interval,
    Kind.EXPECTED_REFUTED: _expected_refuted,
}
