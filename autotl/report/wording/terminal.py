"""Sentences that the commands print beside their tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from autotl.records.result import Recommendation, looks
from autotl.report.format import duration, duration_interval, gigabytes, numbered
from autotl.report.wording import CONTROLS
from autotl.report.wording.targets import metric_name

CHEAPER = {"accuracy": "cheapest", "speed": "fastest", "size": "smallest"}  # by the goal's preference
STATUS = {
    "finished": "finished",
    "stopped": "stopped early",
    "diverged": "diverged",
    "failed": "failed",
    "skipped": "not tried",
}


ROUNDING = 1e-6  # of recorded scores
WIDE = 0.05  # of the score: a difference that needs a word when it is not significant


def control(kind: str) -> str:
    """Return the name of a control."""
    return f"Control: {CONTROLS.get(kind, kind)}"


def legend(metric: str, *, winner: bool, ties: int, folds: int = 0, behind: float = 0.0) -> str:
    """Return the line under a leaderboard; with `folds` the scores are out-of-fold.

    `behind` is how far the lowest score that is not significantly worse is below the winner's.
    """
    images = "the training images, out-of-fold" if folds else "the selection images"
    parts = [
        f"score: {metric_name(metric)} on {images}, in percent",
        "fit: all trainings in the search",
        "1 image: its prediction",
    ]
    if winner:
        parts.append("* recommended")
    if ties > 1:
        few = f" (these are too few images to tell {100 * behind:.0f} points apart)" if behind >= WIDE else ""
        parts.append(f"= not significantly worse{few}")
    return "; ".join(parts)


NAMED = 3  # backbones that a line names


def ranked_too_low(backbones: Sequence[str]) -> str:
    """Return the line on backbones that the ranking put too far down to train them in the time there was."""
    names = ", ".join(backbones[:NAMED])
    more = f" and {len(backbones) - NAMED} more" if len(backbones) > NAMED else ""
    return f"Ranked and not trained: {names}{more}"


def higher_scores(result: Recommendation) -> str:
    """Return why ties with a higher score are not recommended; an empty text where there are none."""
    winner = result.winner
    if winner is None:
        return ""
    above = [
        row
        for row in result.leaderboard
        if row.in_winners_set
        and row.candidate != winner.candidate
        and row.score_val is not None
        and row.score_val > winner.score_val + ROUNDING
    ]
    if not above:
        return ""
    highest = max(above, key=lambda row: row.score_val or 0.0)
    gap = (highest.score_val or 0.0) - winner.score_val
    images = result.data.counts.get("train" if result.data.folds else "select", 0)
    number = numbered(len(above), "candidate scores", "candidates score")
    return (
        f"{number} higher than the recommended one, at most by {100 * gap:.1f} points ({highest.candidate}): not"
        f" significant on {images:,} images. The choice goes by the expected {metric_name(result.metric)} on new"
        " images, which also counts cross-validation on the training images and what other candidates show, and, where"
        f" that is as high, by which is the {CHEAPER[result.goal.prefer]}."
    )


def forecast_outcome(result: Recommendation, *, timed: bool = True) -> str:
    """Return the forecast beside what the run took; an empty text without one, or while the run goes on.

    Where the time of the run stands above it is left out (`timed` is False).
    """
    forecast, total = result.forecast, result.seconds.get("total", 0.0)
    if forecast is None or result.status == "running" or not total:
        return ""
    time = duration_interval(forecast.seconds_low, forecast.seconds_high)
    budget = result.seconds.get("budget", total)
    over = f" of a budget of {duration(budget)}" if total >= budget + 1 else ""
    took = f"Time: {duration(total)}{over}; forecast" if timed else "Forecast"
    text = f"{took} before training: {duration(forecast.seconds)} (80% interval {time})."
    if not (forecast.bytes and result.peak):
        return text
    held = f"{gigabytes(forecast.bytes_low)}–{gigabytes(forecast.bytes_high)} GB"
    expected = f"{gigabytes(forecast.bytes)} GB (80% interval {held})"
    return f"{text} Memory: at most {gigabytes(result.peak)} GB; forecast: {expected}."


def revision(
    folder: str, state: Recommendation, model: Literal["shipped", "fitted", "probed", "none"]
) -> str:
    """Return what exists of the winner of a revised decision, and how often the test part was used."""
    number = looks(state)
    times = {0: "has not been used", 1: "has been used once"}.get(number, f"has been used {number} times")
    text = f"The test part {times}."
    if model == "shipped":
        return f"{text} The model in {folder} is already the winner's."
    if model == "fitted":
        return f"{text} The winner has a final fit; --apply makes it the model in {folder}."
    if model == "none" or state.winner is None:
        return text
    return (
        f"{text} The winner was only probed, so it has no test score. To train it fully in a new folder: autotl"
        f" fit {folder} --candidate '{state.winner.candidate}'"
    )


def plan(planned: Any) -> str:
    """Return the sentences under the table of a dry run."""
    download = (
        f"{planned.downloads:.0f} MB would be downloaded in the background."
        if planned.downloads
        else "Nothing would be downloaded."
    )
    return (
        f"{planned.images:,} images in {planned.classes} classes; {len(planned.planned)} backbones;"
        f" strategies: {', '.join(planned.strategies)}. embed: forecast time to compute the features of all images;"
        f" tune: forecast time of {planned.epochs:g} epochs of fine-tuning at the native input size. Forecast: first"
        f" model after {duration(planned.floor)}, end of the run within {duration(planned.budget)}. {download}"
        " Nothing was trained."
    )


def planned(*, fixed: bool) -> str:
    """Return what the seconds of a row of the time plan are."""
    return "forecast or reserve" if fixed else "share of the budget"
