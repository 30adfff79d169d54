"""Every sentence a person reads about a run: one function for each kind of fact.

Terminal, HTML, Markdown and the ``text`` fields of JSON all ask `sentence`. Candidates' and files' names
stand in sentences as they are; whoever prints escapes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from autotl.decision import limits
from autotl.decision.conclude import UNFITTED
from autotl.records import Decision
from autotl.records.facts import Fact, Kind
from autotl.records.result import Recommendation, Row, looks

__all__ = ["SENTENCES", "control", "sentence", "sentences", "summary"]


def sentence(fact: Fact) -> str:
    """Return the fact as an English sentence, without its full stop."""
    return SENTENCES[fact.kind](**fact.values)


def sentences(facts: Iterable[Fact]) -> tuple[str, ...]:
    """Return a sentence for each fact, each once, in their order."""
    return tuple(dict.fromkeys(map(sentence, facts)))


def _text(text: str) -> str:
    return text


# --------------------------------------------------------------------------- search and decision

NOUNS = {"fit_time": "training time", "latency": "latency", "parameters": "parameters"}
RULES = {
    "frozen": "frozen backbone",
    "last layers": "fine-tuning of the last layers",
    "all": "full fine-tuning",
}
CONTROLS = {
    "scratch": "control: the same network without pretraining",
    "pixels": "control: no network, a random forest on pixels and colours",
    "shuffled": "control: shuffled labels (sanity check)",
}


def control(kind: str) -> str:
    """Return what a control is."""
    return CONTROLS[kind]


def _points(value: float) -> str:
    """Return a difference of scores in points: ``+1.2``, with a true minus sign, and no sign before zero."""
    text = f"{100 * value:+.1f}".replace("-", "\N{MINUS SIGN}")
    return "0.0" if text[1:] == "0.0" else text


def _range(low: float, high: float) -> str:
    return f"95 % CI {_points(low)} to {_points(high)}"


def _difference(difference: float, low: float, high: float, images: float) -> str:
    """Return ``difference +1.2 points (95 % CI −0.8 to +3.2, 306 images): not significant``."""
    unsure = ": not significant" if low <= 0 <= high else ""
    return f"difference {_points(difference)} points ({_range(low, high)}, {images:,.0f} images){unsure}"


def _no_recipe_fits() -> str:
    return "no further recipe fits into the time left"


def _probes_without_gain(probes: int) -> str:
    return f"{probes} probes in a row brought nothing better"


def _no_gain_expected() -> str:
    return "no further probe is expected to find a better score"


def _nothing_finished() -> str:
    return "no candidate finished"


def _none_within_limits(candidates: int) -> str:
    return f"none of the {candidates} candidates keeps the limits"


def _limit(figure: str, value: float, allowed: float, why: str) -> str:
    return limits.text(limits.Limit(figure=figure, value=value, allowed=allowed, why=why))


def _cheapest_breaks_limit(
    candidate: str, figure: str = "declared", value: float = 0.0, allowed: float = 0.0, why: str = ""
) -> str:
    broken = _limit(figure, value, allowed, why)
    return f"the smallest, {candidate}: {broken}; loosen the limit or try smaller --backbones"


def _limits_cost(
    candidates: int, candidate: str, gain: float, figure: str, value: float, allowed: float, why: str
) -> str:
    count = "1 candidate breaks one" if candidates == 1 else f"{candidates} candidates break one"
    lost = f"scores {100 * gain:.1f} points more" if gain > 0 else "does not score more than the winner"
    return f"limits: {count}; the best of them, {candidate} ({_limit(figure, value, allowed, why)}), {lost}"


def _figures(figures: Mapping[str, Sequence[float]]) -> str:
    return ", ".join(
        f"{NOUNS[name]} {_figure(name, own)} instead of {_figure(name, best)}"
        for name, (own, best) in figures.items()
    )


def _figure(name: str, value: float) -> str:
    if name == "parameters":
        return f"{value / 1e6:.1f} M" if value >= 1e5 else f"{value:,.0f}"
    if name == "latency":
        return f"{1e3 * value:.1f} ms an image"
    return "1 s or less" if value <= 1 else f"{value:.0f} s"


def _chosen_over_best(
    other: str,
    gap: Mapping[str, float],
    members: int,
    prefer: str,
    less: Mapping[str, Sequence[float]],
    more: Mapping[str, Sequence[float]],
    exportable: bool,
) -> str:
    taken = {
        "accuracy": "the recommended one is expected to be as good and costs less",
        "speed": "the recommended one is the fastest of those expected to be as good (--prefer speed)",
        "size": "the recommended one is the smallest of those expected to be as good (--prefer size)",
    }[prefer]
    if exportable:
        taken = "the recommended one is expected to be as good and can be exported"
    if less:
        taken += f": {_figures(less)}"
    if more:
        taken += f" (but {_figures(more)})"
    return f"the highest expected accuracy is that of {other}, {_difference(**gap)}; {taken}"


def _best_and_preferred(members: int, prefer: str) -> str:
    return (
        f"it has the highest expected accuracy of the {members} in the winner's set, and is the one for"
        f" --prefer {prefer}"
    )


def _higher_score_not_chosen(candidate: str, best: str, gap: Mapping[str, float]) -> str:
    return (
        f"{candidate} has a higher score than {best}, {_difference(**gap)};"
        " the expected accuracy also counts cross-validation on the train images and what other candidates show"
    )


def _frozen_or_tuned(frozen: bool, other: str, gap: Mapping[str, float]) -> str:
    name = "frozen" if frozen else "fine-tuned"
    return f"{name}: against {other} on the same backbone, {_difference(**gap)}"


def _frozen_alone() -> str:
    return "frozen: no fine-tuning of this backbone was worth its time or fitted into the budget"


def _depth_compared(depth: int | str, other: str, gap: Mapping[str, float]) -> str:
    return f"depth {depth}: against {other}, {_difference(**gap)}"


def _backbone_compared(other: str, gap: Mapping[str, float]) -> str:
    return f"backbone: against {other}, {_difference(**gap)}"


def _no_signal(constant: float) -> str:
    return f"no signal: always answering one class would reach {constant:.1%}"


def _best_probability(recipes: int, tried: int, behind: float, low: float, high: float, chance: float) -> str:
    return (
        f"of {recipes:,} possible recipes {tried:,} were tried; the winner is the best of all with a probability of"
        f" {chance:.0%}, and the best of all is expected to score {100 * behind:.1f} points more"
        f" (95 % CI {100 * low:.1f} to {100 * high:.1f})"
    )


def _open_recipes(first: Sequence[Sequence[str | float]], more: int) -> str:
    names = ", ".join(f"{name} ({chance:.0%})" for name, chance in first)
    rest = f" and {more} more" if more else ""
    return f"not tried and possibly better (probability to be the best): {names}{rest}; a larger --budget tries them"


def _more_training_images(
    images: int, gain: float, low: float, high: float, limit: Sequence[float] | None
) -> str:
    bought = (
        f"{images:,} more images to train on: {_points(gain)} points of accuracy expected ({_range(low, high)}), by the"
        " learning curve of a linear probe on this backbone"
    )
    if limit is None:
        return f"{bought}; the curve has not flattened, so its limit is unknown"
    value, least, most = limit
    return f"{bought}; the curve has flattened at {value:.1%} (95 % CI {least:.1%} to {most:.1%})"


def _runner_up_worse(candidate: str) -> str:
    return f"no amount of images: the next best, {candidate}, is significantly worse"


def _runner_up_equal(candidate: str, images: int) -> str:
    return f"little: {candidate} has the same score on these {images:,} images"


def _more_images_hopeless(candidate: str) -> str:
    return f"more images would hardly separate it from {candidate}; take whichever suits you"


def _more_selection_images(candidate: str, images: int, in_all: int | None) -> str:
    divided = "" if in_all is None else f" ({in_all:,} more in all, divided as these)"
    return (
        f"about {images:,} more labelled images to choose on{divided} would separate it from {candidate}"
        " with a power of 80 %, if the difference is as large as observed"
    )


def _cross_validation_would_tell(seconds: float, folds: int, images: int) -> str:
    minutes = seconds / 60
    time = "a minute" if minutes < 1.5 else f"{minutes:,.0f} minutes"
    return (
        f"or about {time} of {folds}-fold cross-validation of these two, which judges them on all {images:,} labelled"
        " images"
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
    near = {"near": "high", "middling": "medium", "far": "low"}.get(similarity, similarity)
    rule = f"rule of thumb: {size} data set ({images:,} images), {near} similarity to {domain} → {RULES[advised]}"
    if advised == chosen:
        return f"{rule}; the measurement agrees"
    if other is None or gap is None:
        return f"{rule}; no such candidate was tried"
    return f"{rule}; measured best: {RULES[chosen]}, against {other} {_difference(**gap)}"


def _pretraining_unknown(seconds: float) -> str:
    return (
        f"pretraining: its gain is unknown, because the same network from scratch had learned nothing after"
        f" {seconds:.0f} s of training"
    )


def _pretraining_gain(
    candidate: str,
    seconds: float,
    scratch_seconds: float,
    gap: Mapping[str, float],
) -> str:
    verdict = "pretraining gains accuracy"
    if gap["high"] < 0:
        verdict = "pretraining does not help here (negative transfer)"
    elif gap["low"] <= 0:
        verdict = "pretraining: no significant gain"
    return (
        f"{verdict}: {candidate} after {seconds:.0f} s against the same network from scratch after"
        f" {scratch_seconds:.0f} s, {_difference(**gap)}"
    )


def _shuffled_labels(score: float, above: bool) -> str:
    if above:
        return (
            f"warning: with shuffled labels (sanity check) a probe scores {score:.1%}, significantly more than a constant"
            " answer; something other than the labels' meaning can be learned here"
        )
    return f"with shuffled labels (sanity check) a probe scores {score:.1%}: no signal, as expected"


def _pixels_only(score: float, ahead: bool) -> str:
    text = f"without any network, a random forest on pixels and colours scores {score:.1%}"
    return f"warning: {text}, more than the winner" if ahead else text


def summary(result: Recommendation) -> str:
    """Return the recommendation in plain words, a few sentences; says so where there is none."""
    decision = result.decision
    if result.status == "running" and result.winner is None:
        return "No recommendation yet: the run goes on."
    if decision is None:
        return "No recommendation: no candidate finished in the time available."
    row = next((line for line in result.leaderboard if line.candidate == decision.winner), None)
    if decision.winner is None or row is None or result.winner is None:
        why = "; ".join(sentences(decision.reasons)) or "no candidate finished in the time available"
        return f"No recommendation: {why}."
    parts = [_use(result, row), *_certainty(decision)]
    parts += [f"Warning: {sentence(f)}." for f in decision.reasons if f.kind is Kind.NO_SIGNAL]
    if row.pred_time:
        parts.append(f"It predicts about {1 / row.pred_time:,.0f} images a second here.")
    if result.winner.model_is == UNFITTED:
        parts.append("The model in the folder is another candidate's; `autotl fit` trains this one.")
    return " ".join(parts)


def _use(result: Recommendation, row: Row) -> str:
    """Return what to use, its expected accuracy and its test accuracy."""
    winner = result.winner
    if winner is None:
        return ""
    groups = "layer group" if row.unfreeze == 1 else f"{row.unfreeze} layer groups"
    how = {0: "frozen, with a new head on its features", "all": "all of it fine-tuned"}.get(
        row.unfreeze, f"fine-tuned in its last {groups}"
    )
    measure = result.metric.replace("_", " ")
    value, low, high = winner.expected, winner.expected_low, winner.expected_high
    if value is None or low is None or high is None:
        figures = (
            f"score {winner.score_val:.1%} {measure} (95 % CI {winner.ci_low:.1%} to {winner.ci_high:.1%})"
        )
    else:
        figures = f"expected {measure} on new images {value:.1%} (95 % CI {low:.1%} to {high:.1%})"
    text = f"Use {row.backbone} at {row.input_size} px, {how} ({row.strategy}): {figures}"
    if winner.score_test is not None:
        times = looks(result)
        which = "the untouched test images" if times <= 1 else f"the test images, seen by {times} models"
        text += f", test {measure} {winner.score_test:.1%} on {which}"
        if winner.test_low is not None and winner.test_high is not None:
            text += f" (95 % CI {winner.test_low:.1%} to {winner.test_high:.1%})"
    return text + "."


def _certainty(decision: Decision) -> list[str]:
    others = len(decision.winners_set) - 1
    if others > 0:
        many = "1 other candidate is" if others == 1 else f"{others} other candidates are"
        return [f"{many} not significantly worse on this many images; the next is {decision.runner_up}."]
    if decision.runner_up and decision.margin:
        gap = decision.margin
        lead = f"{_points(gap.value)} points ({_range(gap.low, gap.high)})"
        return [f"It is ahead of the next, {decision.runner_up}, by {lead}."]
    return []


SENTENCES: dict[Kind, Callable[..., str]] = {
    Kind.TEXT: _text,
    # search and decision
    Kind.NO_RECIPE_FITS: _no_recipe_fits,
    Kind.PROBES_WITHOUT_GAIN: _probes_without_gain,
    Kind.NO_GAIN_EXPECTED: _no_gain_expected,
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
    Kind.SHUFFLED_LABELS: _shuffled_labels,
    Kind.PIXELS_ONLY: _pixels_only,
}
