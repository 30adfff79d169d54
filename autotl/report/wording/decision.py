"""Sentences of the search and the decision."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from autotl.records import Decision
from autotl.records.facts import Kind
from autotl.report.format import count, duration, percent, percent_range, points, points_interval
from autotl.report.wording.limits import LIMITS
from autotl.report.wording.targets import metric_name

NOUNS = {"fit_time": "training time", "latency": "latency", "parameters": "parameters"}
SIMILARITY_LEVELS = {"near": "high", "middling": "medium", "far": "low"}  # of `Similarity.level`
SIGNIFICANT = 0.05  # p-value
NOT_SIGNIFICANT = ": not significant"
RULES = {
    "frozen": "frozen backbone",
    "last layers": "fine-tuning of the last layers",
    "all": "full fine-tuning",
}


def _difference(difference: float, low: float, high: float, images: float, comparisons: float = 1) -> str:
    """Return ``difference +1.2 points (95% CI −0.8 to +3.2, 306 images): not significant``.

    With more than one comparison the interval is the wider one that holds for all of them together.
    """
    unsure = NOT_SIGNIFICANT if low <= 0 <= high else ""
    level = f" for {comparisons:.0f} comparisons" if comparisons > 1 else ""
    return f"difference {points(difference)} (95% CI {points_interval(low, high)}{level}, {images:,.0f} images){unsure}"


def _no_recipe_fits(least: float | None = None, left: float | None = None) -> str:
    text = "nothing that is left to try fits into the time left for search and final fit, by its forecast"
    if least is None or left is None:
        return text
    there = "none is left" if left <= 0 else f"{duration(left)} are left"
    return f"{text}: the shortest would take {duration(least)} with its final fit, and {there}"


def _no_gain_expected(chance: float, gain: float) -> str:
    return (
        f"the probability that anything that fits into the time left is better by {100 * gain:.1f} points or more is"
        f" {percent(max(chance, 0.01), 0)} or less"
    )


def _nothing_finished() -> str:
    return "no candidate finished"


def _none_within_limits(candidates: int) -> str:
    return f"none of the {candidates} candidates keeps the limits"


def _cheapest_breaks_limit(candidate: str, limit: str, of: dict[str, Any]) -> str:
    return (
        f"the smallest, {candidate}: {LIMITS[Kind(limit)](**of)}; loosen the limit or try smaller --backbones"
    )


def _limits_cost(candidates: int, candidate: str, gain: float, limit: str, of: dict[str, Any]) -> str:
    count = "1 candidate breaks one" if candidates == 1 else f"{candidates} candidates break one"
    lost = f"scores {100 * gain:.1f} points more" if gain > 0 else "does not score more than the winner"
    return f"limits: {count}; the best of them, {candidate} ({LIMITS[Kind(limit)](**of)}), {lost}"


def _figures(figures: Mapping[str, Sequence[float]]) -> str:
    return ", ".join(
        f"{NOUNS[name]} {_figure(name, own)} instead of {_figure(name, best)}"
        for name, (own, best) in figures.items()
    )


def _figure(name: str, value: float) -> str:
    if name == "parameters":
        return count(value)
    if name == "latency":
        return f"{duration(value)} an image"
    return "1 s or less" if value <= 1 else duration(value)


def _chosen_over_best(
    other: str,
    gap: Mapping[str, float],
    members: int,
    prefer: str,
    less: Mapping[str, Sequence[float]],
    more: Mapping[str, Sequence[float]],
    exportable: bool,
    metric: str = "accuracy",
) -> str:
    taken = {
        "accuracy": "the recommended one is expected to be as good" + (" and costs less" if less else ""),
        "speed": "the recommended one is the fastest of those expected to be as good (--prefer speed)",
        "size": "the recommended one is the smallest of those expected to be as good (--prefer size)",
    }[prefer]
    if exportable:
        taken = "the recommended one is not significantly worse and can be exported in every format"
    if less:
        taken += f"{'; it costs less' if exportable else ''}: {_figures(less)}"
    if more and less:
        taken += f" (but {_figures(more)})"
    return f"the highest expected {metric_name(metric)} is that of {other}, {_difference(**gap)}; {taken}"


def _best_and_preferred(members: int, prefer: str, metric: str = "accuracy") -> str:
    return (
        f"it has the highest expected {metric_name(metric)} of the {members} in the winner's set, and is the one for"
        f" --prefer {prefer}"
    )


def _higher_score_not_chosen(
    candidate: str,
    best: str,
    gap: Mapping[str, float],
    metric: str = "accuracy",
    expected: Sequence[float] | None = None,
) -> str:
    lower = (
        "" if expected is None else f", is lower, {percent(expected[0])} against {percent(expected[1])}, and"
    )
    return (
        f"{candidate} has a higher score than {best}, {_difference(**gap)};"
        f" its expected {metric_name(metric)}{lower} also counts cross-validation on the train images and what other"
        " candidates show"
    )


def _frozen_or_tuned(frozen: bool, other: str, gap: Mapping[str, float]) -> str:
    name = "frozen" if frozen else "fine-tuned"
    return f"{name}: against {other} on the same backbone, {_difference(**gap)}"


def _frozen_alone(cause: str = "", trainings: int = 0) -> str:
    many = "the fine-tuning" if trainings == 1 else f"each of the {trainings} fine-tunings"
    why = {
        "failed": f"{many} of this backbone that was tried ended without a score",
        "not_asked": "no strategy that fine-tunes was to be tried",
        "not_tried": "no fine-tuning of this backbone was tried",
        Kind.ALL_TRIED: "no fine-tuning of this backbone scored more",
        Kind.NO_RECIPE_FITS: "no fine-tuning of this backbone fitted into the time",
        Kind.NO_GAIN_EXPECTED: "no fine-tuning of this backbone that fitted into the time was likely to score more",
    }
    return f"frozen: {why.get(cause, 'no fine-tuning of this backbone has a score')}"


def _depth_compared(depth: int | str, other: str, gap: Mapping[str, float]) -> str:
    return f"depth {depth}: against {other}, {_difference(**gap)}"


def _backbone_compared(other: str, gap: Mapping[str, float]) -> str:
    return f"backbone: against {other}, {_difference(**gap)}"


def _no_signal(constant: float, score: float, p: float) -> str:
    return (
        f"no signal: the winner scores {percent(score)}, always answering one class {percent(constant)}; shuffled"
        f" labels are predicted as well (p = {p:.2g})"
    )


def _largest_class(constant: float, score: float) -> str:
    return (
        f"always answering the largest class would be right for {percent(constant)} of the selection images, this is for"
        f" {percent(score)}"
    )


def _best_probability(behind: float, low: float, high: float, **values: Any) -> str:
    return best_of_all(**values, behind=(behind, low, high))


def _rare(chance: float) -> str:
    """Return a probability that is known from a few thousand draws, none of which shows that it is 0."""
    return percent(max(chance, 1e-3), 0)


def best_of_all(
    recipes: int,
    tried: int,
    chance: float,
    among_tried: float | None = None,
    behind: Sequence[float] = (),
    advice: str = "",
    **likelier: Any,
) -> str:
    """Return the probability that the winner is the best recipe: of those that were tried, and of all.

    `behind` is how far the winner is expected to be behind the best of all, with its interval, and `advice` what to do
    about it; `likelier` which recipe that was tried is likelier to be the best, where one is, and why it is not
    recommended.
    """
    text = _best_of_all(recipes, tried, chance, among_tried)
    if likelier:
        text = _another_is_likelier(recipes, tried, chance, among_tried or 0.0, likelier)
    if behind:
        more, low, high = (100 * value for value in behind)
        text += (
            f"; whichever is the best of all is expected to score {more:.1f} points more than the winner (95% CI"
            f" {low:.1f} to {high:.1f}){advice and '; '}{advice}"
        )
    return f"{text}. {_recommended_all_the_same(**likelier)}" if likelier else text


def _best_of_all(recipes: int, tried: int, chance: float, among_tried: float | None) -> str:
    of_all = f"with a probability of {_rare(chance)}"
    if tried == recipes:
        return f"it is the best of all {recipes:,} possible recipes {of_all}"
    if tried == 1:
        return f"only 1 of the {recipes:,} possible recipes was tried; it is the best of all {of_all}"
    if among_tried is None:
        return f"it is the best of all {recipes:,} possible recipes, of which {tried:,} were tried, {of_all}"
    return (
        f"it is the best of the {tried:,} recipes that were tried with a probability of {_rare(among_tried)}, and of all"
        f" {recipes:,} possible ones {of_all}"
    )


def _another_is_likelier(
    recipes: int, tried: int, chance: float, among_tried: float, likelier: Mapping[str, Any]
) -> str:
    text = (
        f"of the {tried:,} recipes that were tried, {likelier['likeliest']} is the likeliest to be the best, with a"
        f" probability of {_rare(likelier['likeliest_chance'])}; the recommended one has {_rare(among_tried)}"
    )
    return text if tried == recipes else f"{text}, and {_rare(chance)} among all {recipes:,} possible ones"


def _recommended_all_the_same(
    *, likeliest: str, expected: Sequence[float], because: str, metric: str = "accuracy", **_chances: float
) -> str:
    name = f"its expected {metric_name(metric)}"
    own, other = map(percent, expected)
    against = f"({own} against {other})"
    nearly = f"{name} is {'the same' if own == other else 'nearly the same'} {against}, and it"
    reason = {
        "limit": "the other one breaks a limit",
        "significant": "the other one is significantly worse than the best on the same images",
        "expected": f"{name} is {'the same' if own == other else 'higher'} {against}; that of the other is less certain",
        "exportable": f"it can be exported in every format and the other cannot; {name} is {against[1:-1]}",
        "accuracy": f"{nearly} costs less",
        "speed": f"{nearly} is faster (--prefer speed)",
        "size": f"{nearly} is smaller (--prefer size)",
    }[because]
    return f"It is recommended all the same: {reason}"


def among_tried(decision: Decision, *, marked: str = "") -> str:
    """Return how the winner compares with the other candidates; `marked`: how a table marks those that are as good."""
    others = len(decision.winners_set) - 1
    if others > 0:
        many = "1 other candidate is" if others == 1 else f"{others} other candidates are"
        text = f"{many} not significantly worse on this many images{marked}"
        if decision.runner_up in decision.winners_set:
            text += f"; the next by expected score is {decision.runner_up}"
        return f"{text}."
    if decision.runner_up and decision.margin:
        gap = decision.margin
        lead = f"{points(gap.value)} (95% CI {points_interval(gap.low, gap.high)})"
        return f"It is significantly better than the next by expected score, {decision.runner_up}: {lead}."
    return "No other candidate finished, so there is no comparison."


def _open_recipes(first: Sequence[Sequence[str | float]], more: int) -> str:
    names = ", ".join(f"{name} ({percent(float(chance), 0)})" for name, chance in first)
    rest = f" and {more} more, each less likely" if more else ""
    return f"not tried and possibly better (probability to be the best): {names}{rest}; a larger --budget may reach them"


def _more_training_images(
    images: int,
    gain: float,
    low: float,
    high: float,
    limit: Sequence[float] | None,
    metric: str = "accuracy",
) -> str:
    name = metric_name(metric)
    expected = f"{points(gain)} of {name} expected" if gain > 0 else f"no gain in {name} expected"
    bought = (
        f"{images:,} more images to train on: {expected} (likely range {points_interval(low, high)}), by the learning"
        " curve of a linear probe on this backbone"
    )
    if limit is None:
        return f"{bought}; the curve has not flattened, so its limit is unknown"
    value, least, most = limit
    return f"{bought}; the curve has flattened at {percent(value)} (95% CI {percent_range(least, most)})"


def _runner_up_worse(candidate: str) -> str:
    return f"more images would not change it: the next best, {candidate}, is significantly worse"


def _runner_up_equal(candidate: str, images: int) -> str:
    return f"little: {candidate} has the same score within 0.1 points on these {images:,} images"


def _more_images_hopeless(candidate: str) -> str:
    return f"more images would hardly separate it from {candidate}; take whichever suits you"


def _more_selection_images(candidate: str, images: int, in_all: int | None) -> str:
    divided = "" if in_all is None else f" ({in_all:,} more in all, divided as these)"
    return (
        f"about {images:,} more labelled images to choose on{divided} would separate it from {candidate}"
        " with a power of 80%, if the difference is as large as observed"
    )


def _cross_validation_would_tell(seconds: float, folds: int, images: int) -> str:
    return (
        f"or about {duration(seconds)} of {folds}-fold cross-validation of these two, which judges them on all"
        f" {images:,} images of train and select"
    )


def _rule_of_thumb(
    images: int,
    large: bool,
    similarity: str,
    domain: str,
    advised: str,
    chosen: str,
    other: str | None = None,
    gap: Mapping[str, float] | None = None,
) -> str:
    size = "large" if large else "small"
    near = SIMILARITY_LEVELS.get(similarity, similarity)
    rule = f"rule of thumb: {size} data set ({images:,} images), {near} similarity to {domain} → {RULES[advised]}"
    if advised == chosen and gap is None:
        return f"{rule}; it was chosen, and nothing else was tried"
    if advised == chosen and gap is not None:
        sure = "the measurement agrees" if gap["low"] > 0 else "the measurement does not contradict it"
        return f"{rule}; {sure}: against {other}, {_difference(**gap)}"
    if other is None:
        return f"{rule}; no such candidate was tried"
    against = "" if gap is None else f", against {other} {_difference(**gap)}"
    return f"{rule}; measured best: {RULES[chosen]}{against}"


# The controls, as a comparison names them.
WITHOUT_PRETRAINING = {
    "scratch": "the same network from scratch",
    "pixels": "a random forest on pixels",
    "pixels_ridge": "ridge regression on pixels",
    "gradients": "ridge regression on gradients (HOG)",
}


def _pretraining_unknown(epochs: float, control: str = "", score: float = 0.0) -> str:
    reached = (
        f"without it {WITHOUT_PRETRAINING[control]} reaches {percent(score)}, far below the winner, and "
        if control
        else ""
    )
    return f"what pretraining gains is unknown: {reached}{_not_converged(epochs)}"


def _not_converged(epochs: float) -> str:
    if not epochs:
        return "there was no time to train the same network from scratch"
    return f"the same network from scratch had not converged after {epochs:.0f} epochs"


def _pretraining_gain(
    control: str, score: float, epochs: float, converged: bool, gap: Mapping[str, float]
) -> str:
    best = f"the best without it is {WITHOUT_PRETRAINING[control]} with {percent(score)}"
    measured = _difference(**gap).removesuffix(NOT_SIGNIFICANT)  # the verdict says it
    if gap["high"] < 0:
        verdict = "pretraining does not help here (negative transfer)"
        return f"{verdict}: {best}, {measured}; it is there for comparison, no model of it is written"
    if gap["low"] <= 0:
        verdict = "pretraining brings no significant gain"
    elif converged:
        verdict = "pretraining helps"
    else:
        verdict = f"pretraining gains {100 * gap['difference']:.1f} points at most"
        return f"{verdict}: {best}, {measured}; {_not_converged(epochs)}"
    return f"{verdict}: {best}, {measured}"


def _head_start(candidate: str, seconds: float, scratch_seconds: float, gap: Mapping[str, float]) -> str:
    return (
        f"head start: {candidate} after {seconds:.0f} s against the same network from scratch after"
        f" {scratch_seconds:.0f} s, {_difference(**gap)}"
    )


def _shuffled_labels(
    score: float,
    chance: float,
    low: float,
    high: float,
    p: float,
    permutations: int,
    images: int,
    features: str = "",
) -> str:
    probe = f"a linear probe on {features}" if features else "a linear probe"
    at_chance = (
        f"with the labels shuffled {permutations} times (sanity check) {probe} scores {percent(chance)} on average (95%"
        f" range {percent_range(low, high)}), cross-validated on {images:,} train images: its chance level"
    )
    if p > SIGNIFICANT:
        return (
            f"with the true labels a linear probe scores {percent(score)}, not significantly more than by chance"
            f" (p = {p:.2g}); {at_chance}"
        )
    none = ", which no shuffling reached" if p < 1.5 / (permutations + 1) else ""
    return f"{at_chance}; with the true labels it scores {percent(score)}{none} (p = {p:.2g})"


def _pixels_only(control: str, score: float, gap: Mapping[str, float]) -> str:
    held = "more than the winner" if gap["low"] > 0 else "against the winner"
    return f"without any network, {WITHOUT_PRETRAINING[control]} scores {percent(score)}; {held}, {_difference(**gap)}"


DECISION: dict[Kind, Callable[..., str]] = {
    Kind.ALL_TRIED: lambda: "every recipe on offer was tried",
    Kind.NO_RECIPE_FITS: _no_recipe_fits,
    Kind.NO_GAIN_EXPECTED: _no_gain_expected,
    Kind.GUEST_PLANS: lambda plugin: f"the planner of plugin {plugin!r} chose the trials",
    Kind.FAILED: lambda error: error,
    Kind.NO_PREDICTIONS: lambda: "predictions do not cover every selection row",
    Kind.NOTHING_FINISHED: _nothing_finished,
    Kind.NONE_WITHIN_LIMITS: _none_within_limits,
    Kind.CHEAPEST_BREAKS_LIMIT: _cheapest_breaks_limit,
    Kind.LIMITS_COST: _limits_cost,
    Kind.CHOSEN_OVER_BEST: _chosen_over_best,
    Kind.BEST_AND_PREFERRED: _best_and_preferred,
    Kind.HIGHER_SCORE_NOT_CHOSEN: _higher_score_not_chosen,
    Kind.FROZEN_OR_TUNED: _frozen_or_tuned,
    Kind.FROZEN_ALONE: _frozen_alone,
    Kind.DEPTH_COMPARED: _depth_compared,
    Kind.BACKBONE_COMPARED: _backbone_compared,
    Kind.NO_SIGNAL: _no_signal,
    Kind.LARGEST_CLASS: _largest_class,
    Kind.BEST_PROBABILITY: _best_probability,
    Kind.OPEN_RECIPES: _open_recipes,
    Kind.MORE_TRAINING_IMAGES: _more_training_images,
    Kind.RUNNER_UP_WORSE: _runner_up_worse,
    Kind.RUNNER_UP_EQUAL: _runner_up_equal,
    Kind.MORE_IMAGES_HOPELESS: _more_images_hopeless,
    Kind.MORE_SELECTION_IMAGES: _more_selection_images,
    Kind.CROSS_VALIDATION_WOULD_TELL: _cross_validation_would_tell,
    Kind.RULE_OF_THUMB: _rule_of_thumb,
    Kind.PRETRAINING_UNKNOWN: _pretraining_unknown,
    Kind.PRETRAINING_GAIN: _pretraining_gain,
    Kind.HEAD_START: _head_start,
    Kind.SHUFFLED_LABELS: _shuffled_labels,
    Kind.PIXELS_ONLY: _pixels_only,
}
