"""Sentences of the report page: its recommendation, and what several sections say."""

from __future__ import annotations

from autotl.records import Decision, Depth, Interval, Kind
from autotl.records.result import Recommendation, Row
from autotl.report.format import duration, interval, numbered, percent
from autotl.report.wording import sentence
from autotl.report.wording.decision import among_tried
from autotl.report.wording.ranking import PRIOR
from autotl.report.wording.targets import metric_name


def as_sentence(text: str) -> str:
    """Return the text with a full stop; its first word is capitalised unless it is an identifier.

    >>> as_sentence("depth 2: not significant"), as_sentence("timm:a is smaller"), as_sentence("resnet18.tv_in1k wins")
    ('Depth 2: not significant.', 'timm:a is smaller.', 'resnet18.tv_in1k wins.')
    """
    text = text.strip()
    first = text.partition(" ")[0].rstrip(":.,;")
    if first.replace("-", "").isalpha():
        text = text[:1].upper() + text[1:]
    return text + ("" if text.endswith((".", "!", "?")) or not text else ".")


def evaluated_on(result: Recommendation) -> str:
    """Return the images that scores are from."""
    if result.data.folds:
        number = result.data.counts.get("train", 0)
        return f"the {number:,} training images (out-of-fold)"
    number = result.data.counts.get("select", 0)
    return f"the {number:,} selection images" if number else "the selection images"


# Of the score in a learning curve: the engine measures it on few images.
FOLLOWED_ON = (
    "on a part of the selection images (all would take too long), so it may differ from the leaderboard"
)


# --------------------------------------------------------------------------- recommendation


USE = "Use"
DO_NOT_USE = "Do not rely on this model:"  # stands before the name of the winner


def recipe(strategy: str, unfreeze: Depth) -> str:
    """Return strategy and depth in words."""
    if unfreeze == 0:
        return f"frozen, with a new head ({strategy})"
    if unfreeze == "all":
        return f"all layers fine-tuned ({strategy})"
    groups = "layer group" if unfreeze == 1 else f"{unfreeze} layer groups"
    return f"last {groups} fine-tuned ({strategy})"


def terms(result: Recommendation, *, tested: bool) -> str:
    """Introduce the figures: score, expected accuracy and test accuracy."""
    name = metric_name(result.metric)
    text = (
        f"The score of a candidate is its {name} on {evaluated_on(result)}, by which candidates are compared. The"
        f" expected {name} is an estimate for new images, from the winner's score and those of similar candidates."
    )
    text += f" The test {name} is measured on images that no choice has used." if tested else ""
    return text + " Differences are computed before rounding."


def no_winner(result: Recommendation) -> tuple[str, str]:
    """Return headline and sentence where nothing is recommended."""
    if result.status == "running":
        return "No recommendation yet", "The run has not finished."
    return "No recommendation", "No candidate finished within the budget."


def accuracy_and_cost(
    result: Recommendation, row: Row | None, expected: Interval | None, final: float | None
) -> str:
    """Return the accuracy with its interval, on which images, and what the winner costs; `final`: fit, in seconds."""
    winner = result.winner
    if winner is None:
        return ""
    metric = metric_name(result.metric)
    number = result.data.counts.get("test", 0)
    if winner.score_test is not None:
        tested = winner.test_images or number
        images = f"{tested:,}" if tested == number else f"{tested:,} of the {number:,} test"
        sure = (
            f" (95% CI {interval(winner.test_low, winner.test_high)})" if winner.test_low is not None else ""
        )
        text = (
            f"Test {metric}: {percent(winner.score_test)}{sure} on {images} images that no choice has used."
        )
    else:
        if expected is None:
            sure = interval(winner.ci_low, winner.ci_high)
            text = f"Score: {percent(winner.score_val)} {metric} (95% CI {sure}) on {evaluated_on(result)}."
        else:
            sure = interval(expected.low, expected.high)
            text = f"Expected {metric} on new images: {percent(expected.value)} (95% CI {sure})."
        if number:
            text += f" Not evaluated on the {number:,} test images."
    costs = []
    if row is not None and row.fit_time is not None:
        costs.append(f"Its trainings took {training_time(row.fit_time, final, ' and ')}")
    if row is not None and row.pred_time:
        costs.append(f"{'p' if costs else 'P'}rediction takes {pace(row.pred_time)} on this machine")
    return text + (f" {'; '.join(costs)}." if costs else "")


def training_note(search: float, final: float | None) -> str:
    """Return the note of the training time: its parts, or where all of it was."""
    return "in the search" if final is None else training_time(search, final)


def training_time(search: float, final: float | None, link: str = ", ") -> str:
    """Return the seconds of the winner's trainings in the search and in the final fit."""
    return link.join(
        [f"{duration(search)} in the search"]
        + ([] if final is None else [f"{duration(final)} in the final fit"])
    )


USE_MODEL = "autotl predict . photo.jpg"  # in the folder of the report
LAYER_GROUP = (
    "A layer group is a number of consecutive layers of the backbone, with about the same share of its computing time as"
    " each other group; the last one is next to the head."
)
RANKING_WEIGHTS = (
    "Kendall’s τ: agreement with the best score that each backbone reached in a training, from −1 (the reverse order) to"
    " +1 (the same order). Weight: of the score in the expected accuracy of this run; in brackets: before its agreement"
    " with this run's linear probes was known."
)
TRAINING_TIME = (
    "Training: all trainings of a candidate in the search, without the final fit. Features of the images are computed"
    " once for each backbone and input size, and counted where they were computed: in the training that came first, or in"
    " the ranking."
)


def pace(seconds: float) -> str:
    """Return ``1.8 s per image``, or what a second holds: ``2.4 ms per image (about 420 images/s)``."""
    if seconds > 0.5:
        return f"{duration(seconds)} per image"
    images = 1 / seconds
    return f"{duration(seconds)} per image (about {round(images, -1 if images >= 100 else 0):,.0f} images/s)"


def largest_class(decision: Decision | None) -> list[str]:
    """Return what always answering the largest class scores, as a sentence, where that is much."""
    reasons = decision.reasons if decision else ()
    return [as_sentence(sentence(reason)) for reason in reasons if reason.kind is Kind.LARGEST_CLASS]


REFUTED = "not confirmed by the test"


def certainty(result: Recommendation, *, no_signal: bool) -> str:
    """Return how sure the choice is: among what was tried, and among all that could be."""
    decision = result.decision
    if decision is None:
        return ""
    if no_signal:
        return "It is not significantly better than always answering one class: do not use it."
    tried = among_tried(decision, marked=" (marked = in the leaderboard)")
    among_all = [as_sentence(sentence(r)) for r in decision.reasons if r.kind is Kind.BEST_PROBABILITY]
    return " ".join((tried, *among_all))


def larger_budget(untrained: int) -> str:
    """Return that a larger budget might change the decision."""
    backbones = "one backbone was" if untrained == 1 else f"{untrained} backbones were"
    return f"A larger budget: {backbones} ranked and not trained."


def confidence_interval(low: float, high: float) -> str:
    """Return the note of a figure."""
    return f"95% interval {interval(low, high)}"


def score_note(expected: Interval, score: float) -> str:
    """Return the interval of the expected accuracy, and the winner's score if it differs."""
    text = confidence_interval(expected.low, expected.high)
    return text if percent(score) == percent(expected.value) else f"{text}; score {percent(score)}"


# --------------------------------------------------------------------------- leaderboard


def winners_set(number: int) -> str:
    """Return the heading over the winner and those that are not significantly worse."""
    return "Recommended" if number == 1 else f"Recommended, and {number - 1} not significantly worse"


SIGNIFICANTLY_WORSE = "Significantly worse"
CONTROLS = "Controls"


def untrained(place: int, expected: float, rows: int) -> str:
    """Return why a ranked backbone has no score; `rows` are the images that it was scored on."""
    source = f"scored on {rows:,} images" if rows else f"ranked by {PRIOR}"
    return (
        f"rank {place} before training, expected accuracy of a linear head {percent(expected, 0)}, {source}; the"
        " search ended first"
    )


# --------------------------------------------------------------------------- the page, and two runs side by side


def same_winner(*, same: bool) -> str:
    """Return whether two runs recommend the same candidate."""
    return "Same winner" if same else "Another winner"


def images(number: int) -> str:
    """Return a number of images with its noun."""
    return numbered(number, "image")


def no_drawings(error: ImportError) -> str:
    """Return why the report has no figures."""
    return f"This report has no figures: {error}; pip install matplotlib, then run autotl report"


def no_time_for_drawings() -> str:
    """Return why the report of a run that is over its time has no figures."""
    return "This report has no figures, because the time of the run was over; autotl report draws them"


def plugin_problem(problem: str) -> str:
    """Return that a plugin broke its contract."""
    return f"Problem of a plugin: {problem}"
