"""Sentences of the report page and of the model card."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from autotl.records import (
    Calibration,
    Depth,
    DepthProfile,
    Goal,
    Interval,
    Kind,
    ProbabilityErrors,
    Profile,
    UnlabelledProfile,
)
from autotl.records.result import Distillation, Recommendation, Row
from autotl.report.format import count, duration, interval, numbered, percent, points, points_interval
from autotl.report.wording import sentence
from autotl.report.wording.targets import metric_name

FEWEST_ERRORS = 10  # among which a confusion can be called frequent
FEW_IMAGES = 5  # of a class, below which its figures are hardly informative


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


def accuracy_and_cost(result: Recommendation, row: Row | None, expected: Interval | None) -> str:
    """Return the accuracy with its interval, on which images, and what the winner costs."""
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
            text += f" Not evaluated on the {number:,} test images: no time left."
    costs = []
    if row is not None and row.fit_time is not None:
        costs.append(f"All its trainings took {duration(row.fit_time)}")
    if row is not None and row.pred_time:
        costs.append(f"{'p' if costs else 'P'}rediction takes {_pace(row.pred_time)} on this machine")
    return text + (f" {', '.join(costs)}." if costs else "")


def _pace(seconds: float) -> str:
    """Return ``1.8 s per image``, or what a second holds: ``2.4 ms per image (about 410 images/s)``."""
    if seconds > 0.5:
        return f"{duration(seconds)} per image"
    pace = 1 / seconds
    return f"{duration(seconds)} per image (about {round(pace, -1 if pace >= 100 else 0):,.0f} images/s)"


REFUTED = "not confirmed by the test"


def certainty(result: Recommendation, *, no_signal: bool) -> str:
    """Return how sure the choice is: among what was tried, and among all that could be."""
    tried = _among_tried(result, no_signal=no_signal)
    reasons = result.decision.reasons if result.decision else ()
    among_all = [as_sentence(sentence(r)) for r in reasons if r.kind is Kind.BEST_PROBABILITY]
    return tried if no_signal else " ".join(filter(None, (tried, *among_all)))


def _among_tried(result: Recommendation, *, no_signal: bool) -> str:
    decision = result.decision
    if decision is None:
        return ""
    if no_signal:
        return "It is not significantly better than always answering one class: do not use it."
    ties = len(decision.winners_set) - 1
    if ties > 0:
        rivals = "One other candidate is" if ties == 1 else f"{ties} other candidates are"
        return f"{rivals} not significantly worse (marked = in the leaderboard)."
    if decision.runner_up and decision.margin:
        lead = points(decision.margin.value).lstrip("+")
        return f"It is significantly better than the next candidate, {decision.runner_up}: by {lead}."
    return "No other candidate finished, so there is no comparison."


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


# --------------------------------------------------------------------------- cost and leaderboard


def speed(candidates: int, *, faster: str = "", factor: float = 1.0, difference: float = 0.0) -> str:
    """Return whether a candidate is much faster than the winner, and at what loss of accuracy."""
    if candidates == 1:
        return "Only one candidate was measured, so there is no trade-off to show."
    if faster:
        score = (
            "the same score" if abs(difference) < 0.0005 else f"a score that differs by {points(difference)}"
        )
        return f"If speed matters: {faster} is {factor:.1f} times as fast as the winner, with {score}."
    return "No measured candidate is noticeably faster than the winner."


STUDENTS = {
    "winner": "the winner, which teaches",
    "distilled": "distilled: taught by the winner",
    "alone": "the same training without it",
}


def distilled(of: Distillation) -> str:
    """Return what learning from the winner gained a smaller backbone, and how far it is behind the winner."""
    if of.behind is None:
        return f"{of.student.candidate} has learned from the winner (distilled/); no test images tell how good it is."
    gain = "" if of.gain is None else f"{_difference(of.gain)} against the same training without the winner; "
    cheaper = ""
    if of.student.latency and of.teacher.latency and of.student.parameters and of.teacher.parameters:
        faster = of.teacher.latency / of.student.latency
        share = of.student.parameters / of.teacher.parameters
        cheaper = f", at {share:.2g} times its size and {faster:.1f} times its speed"
    return (
        f"{of.student.candidate} has learned from the winner (distilled/): {gain}{_difference(of.behind)} against the "
        f"winner{cheaper}."
    )


def distilled_note(of: Distillation) -> str:
    """Return what the figures of a distillation are measured on."""
    if not of.images:
        return ""
    return (
        f"Measured on {of.images:,} test images that nothing was chosen by; differences are paired. One training of each:"
        " another seed gives other figures."
    )


def _difference(of: Interval) -> str:
    clear = "" if of.low > 0 or of.high < 0 else ": not significant"
    return f"{points(of.value)} (95% CI {points_interval(of.low, of.high)}{clear})"


def limits(goal: Goal) -> str:
    """Return the limits of the goal."""
    texts = []
    if goal.max_latency is not None:
        texts.append(f"at most {duration(goal.max_latency)} per image")
    if goal.max_params is not None:
        texts.append(f"at most {count(goal.max_params)} parameters")
    if goal.max_memory is not None:
        texts.append(f"at most {goal.max_memory / 1e6:,.0f} MB")
    return "; ".join(texts)


def same_winner(*, same: bool) -> str:
    """Return whether two runs recommend the same candidate."""
    return "Same winner" if same else "Another winner"


def images(number: int) -> str:
    """Return a number of images with its noun."""
    return numbered(number, "image")


def winners_set(number: int) -> str:
    """Return the heading over the winner and those that are not significantly worse."""
    return "Recommended" if number == 1 else f"Recommended, and {number - 1} not significantly worse"


SIGNIFICANTLY_WORSE = "Significantly worse"
CONTROLS = "Controls"


def untrained(place: int, expected: float, rows: int) -> str:
    """Return why a ranked backbone has no score; `rows` are the images that it was scored on."""
    source = f"scored on {rows:,} images" if rows else "ranked by its prior alone"
    return (
        f"rank {place} before training, expected accuracy of a linear head {percent(expected, 0)}, {source}; the"
        " search ended first"
    )


# --------------------------------------------------------------------------- depth


def features_by_depth(profile: DepthProfile, *, enough: int, deepest_is_best: bool) -> str:
    """Return at which depth the frozen features are most accurate, and what follows from it.

    `enough` is the shallowest depth that is as accurate as the last one.
    """
    last, first = profile.points[-1], profile.points[0]
    number = len(profile.points)
    if not deepest_is_best:
        best = max(profile.points, key=lambda point: point.linear)
        return (
            f"Frozen features of {profile.backbone}: layer group {best.depth} of {number} is the best,"
            f" {percent(best.linear)} with a linear head, compared with {percent(last.linear)} at the last. The last"
            " layer groups are specific to the pretraining task, which favours fine-tuning them."
        )
    if enough < last.depth:
        point = profile.points[enough - 1]
        return (
            f"Frozen features of {profile.backbone}: a linear head on layer group {enough} of {number} is as"
            f" accurate as on the last, {percent(point.linear)} and {percent(last.linear)} ({profile.rows:,}"
            " images). The layer groups behind it add nothing measurable: a truncated backbone would do."
        )
    return (
        f"Frozen features of {profile.backbone}: the last of {number} depths is the best, {percent(last.linear)} with"
        f" a linear head, compared with {percent(first.linear)} at the first; truncating the backbone does not help."
    )


def features_tell_nothing(profile: DepthProfile, largest: float, target: str = "multiclass") -> str:
    """Return that no depth is better than a constant answer, which scores `largest`: the share of its class."""
    if target != "multiclass":
        return (
            f"Frozen features of {profile.backbone}: after no layer group is a linear head better than always giving the"
            f" same answer ({percent(largest)}; {profile.rows:,} images), so its score does not show which depth is"
            " enough."
        )
    return (
        f"Frozen features of {profile.backbone}: after no layer group is a linear head significantly more accurate"
        f" than always answering the largest class ({percent(largest)}; {profile.rows:,} images), so accuracy does"
        " not show which depth is enough."
    )


# --------------------------------------------------------------------------- pretraining


AT_MOST = "at most"  # of what pretraining gains, where the network from scratch had not converged


def reached(score: float, seconds: float, scratch: float, scratch_seconds: float) -> str:
    """Return what both trainings reached."""
    from_scratch = f"{percent(scratch)} after {duration(scratch_seconds)}"
    return f"{percent(score)} after {duration(seconds)}; from scratch {from_scratch}"


def start(score: float, scratch: float, seconds: float) -> str:
    """Return the accuracy of both trainings after the same time."""
    return f"{percent(score)} after {duration(seconds)}; from scratch {percent(scratch)}"


def slope(rate: float, scratch: float) -> str:
    """Return how fast both trainings improve at first."""
    return f"{points(rate)} per second at first; from scratch {points(scratch)}"


def asymptote(score: float, scratch: float, *, flat: bool) -> str:
    """Return the limits of both curves, if they have flattened."""
    if not flat:
        return "a curve has not flattened, so its limit is unknown"
    return f"{percent(score)}; from scratch {percent(scratch)}; both curves have flattened"


SIGNS = {
    "start": "better start?",
    "slope": "steeper slope?",
    "asymptote": "better asymptote?",
    "reached": "score by time",
}


# --------------------------------------------------------------------------- the model


NO_PREDICTIONS = "The winner's predictions are not in the run folder, so its errors cannot be shown."
NO_WINNER_NO_TRAINING = "There is no winner, so there is no training to show."
CLOSED_FORM = "The winner's head is fitted in closed form, so there is no learning curve."


def training_loss(*, fell: float, falling: bool) -> str:
    """Return whether the training of the model had converged."""
    if falling:
        return (
            f"The training loss fell by {percent(fell, 0)} in the last fifth of the training: more epochs, with a"
            " larger budget, may help."
        )
    return (
        "The training loss had flattened at the end of the training: more epochs alone are unlikely to help."
    )


def predictions_of(model: str, images: str) -> str:
    """Return the caption of figures on the model: whose predictions, on which images."""
    return f"Predictions of {model} on {images}"


def correct(number: int, total: int, share: Interval) -> str:
    """Return how many images are classified correctly."""
    return (
        f"{number:,} of {total:,} images are classified correctly: {percent(share.value)} (95% CI"
        f" {interval(share.low, share.high)})"
    )


def unlabelled(profile: UnlabelledProfile) -> str:
    """Return how many images have no label, their sizes, and how many can be learned from."""
    copies = profile.images - profile.usable
    low, high = profile.sides
    sides = f"{profile.side} px" if low == high else f"{profile.side} px ({low} to {high})"
    text = f"{numbered(profile.images, 'image')}, shorter side {sides}"
    if copies:
        text += f"; {copies:,} left out as copies of labelled ones"
    if profile.left_out:
        text += f"; {numbered(profile.left_out, 'other file')} left out"
    return text


def counted(target: str) -> str:
    """Return the heading over the images of each class, label or range."""
    return {
        "multiclass": "Images per class",
        "multilabel": "Images per label",
        "regression": "Images by number",
    }[target]


def counted_as(target: str) -> str:
    """Return the heading of the column of what images are counted by."""
    return {"multiclass": "class", "multilabel": "label", "regression": "number"}[target]


def target_facts(profile: Profile) -> list[tuple[str, str]]:
    """Return what is predicted: classes, labels or a number, with its distribution."""
    if profile.numbers is not None:
        low, _, quarter, middle, three, _, high = profile.numbers.quantiles
        return [
            ("predicted number", profile.classes[0]),
            ("range", f"{low:.4g} to {high:.4g}"),
            ("median (middle half)", f"{middle:.4g} ({quarter:.4g} to {three:.4g})"),
            ("different values", f"{profile.numbers.distinct:,}"),
        ]
    if profile.label_sets is not None:
        sets = profile.label_sets
        return [
            ("labels", f"{len(profile.classes):,}"),
            ("labels an image", f"{sets.mean:.2f} on average, {sets.most} at most, none on {sets.without:,}"),
        ]
    return [("classes", f"{len(profile.classes):,}")]


def own_metric(metric: str, value: float) -> str:
    """Return the run's metric beside accuracy."""
    return f"{metric_name(metric)}, which weights all classes equally: {percent(value)}"


def confusions(
    wrong: int, classes: int, top: int, pairs: int, *, attractor: str = "", attracted: int = 0
) -> str:
    """Return how the errors are distributed over pairs of classes.

    `top` is how many errors the two most frequent of `pairs` confusions make; `attractor` is a class that
    `attracted` errors are predicted as.
    """
    if not wrong:
        return "No image is misclassified."
    if attractor:
        return f"{attracted:,} of the {wrong:,} errors are images of other classes classified as {attractor}."
    if wrong < FEWEST_ERRORS:
        return f"{wrong:,} {'error' if wrong == 1 else 'errors'}: too few to show a pattern."
    if pairs > 2 and top >= 0.4 * wrong:
        return f"The two most frequent confusions make up {percent(top / wrong, 0)} of the {wrong:,} errors."
    if classes > 2 and top < 0.15 * wrong:
        return f"The {wrong:,} errors are spread over many pairs of classes; no confusion stands out."
    return f"{wrong:,} errors."


def classes(name: str, recall: Interval, images: int, few: int, missing: int, total: int) -> str:
    """Return the class with the lowest recall, and how many classes have few images or none."""
    text = (
        f"Lowest recall: {name}, {percent(recall.value, 0)} of its {images} images (95% CI"
        f" {interval(recall.low, recall.high)})."
        if recall.value < 1
        else "Every image of every class is classified correctly."
    )
    if few:
        have = "class has" if few == 1 else "classes have"
        text += f" {few} {have} fewer than {FEW_IMAGES} images here, too few for a reliable figure."
    if missing:
        text += f" {missing} of {total} classes have no image here."
    return text


CALIBRATION = {
    "calibrated": "Its probabilities are well calibrated.",
    "by chance": "Its calibration error is not significant on this many images.",
    "nearly": "Its probabilities are nearly calibrated.",
    "overconfident": "It is overconfident: use its probabilities as a ranking only.",
    "underconfident": "It is underconfident: it is correct more often than its probabilities state.",
    "miscalibrated": "It is miscalibrated in both directions: use its probabilities as a ranking only.",
}


def calibration(
    verdict: str, confidence: float, accuracy: float, error: float, fitted: Calibration | None
) -> str:
    """Return how well calibrated the probabilities are, and what temperature scaling changed."""
    text = (
        f"{CALIBRATION[verdict]} Mean confidence {percent(confidence)}, accuracy {percent(accuracy)}, expected"
        f" calibration error {percent(error)}."
    )
    if fitted is not None and fitted.test is not None:
        text = f"{text} {probability_errors(fitted.test)}"
    if fitted is None or fitted.temperature == 1.0:
        return text
    return (
        f"{text} These are the probabilities that autotl predict prints, at temperature {fitted.temperature:.2f},"
        f" which changed the error from {percent(fitted.ece_before)} to {percent(fitted.ece)} on {fitted.images:,}"
        " selection images (out-of-fold)."
    )


def occlusion(decisive: int, total: int) -> str:
    """Return in how many images one region decides the prediction."""
    if not total:
        return ""
    text = (
        "No single region decides: with any of them occluded, every prediction keeps at least half of its probability."
        if not decisive
        else f"In {decisive} of {total} images a single region decides: occluding it more than halves the probability of"
        " the prediction."
    )
    return (
        f"{text} Where the tint is on the background, the model uses the background: add images of that class with"
        " other backgrounds, or crop."
    )


def no_drawings(error: ImportError) -> str:
    """Return why the report has no figures."""
    return f"This report has no figures: {error}; pip install matplotlib, then run autotl report"


def no_time_for_drawings() -> str:
    """Return why the report of a run that is over its time has no figures."""
    return "This report has no figures, because the time of the run was over; autotl report draws them"


# --------------------------------------------------------------------------- data, time, notes


def certainty_of_finding(fraction: float) -> str:
    """Return how certain a finding is, unless it is a fact."""
    return "" if fraction >= 0.995 else f"{percent(fraction, 0)} certain"


def forecasts(ratios: Sequence[float], inside: int, intervals: int) -> str:
    """Return how the forecasts of the trainings compare with what they took; `ratios` are sorted."""
    if not ratios:
        return ""
    if len(ratios) == 1:
        return f"The one training with a forecast took {ratios[0]:.2f} times its forecast."
    text = (
        f"Trainings took {median(ratios):.2f} times their forecast (median of {len(ratios)}; range"
        f" {ratios[0]:.2f} to {ratios[-1]:.2f})."
    )
    return text + (f" {inside} of {intervals} are inside their 80% interval." if intervals else "")


def agreement(tau: float) -> str:
    """Return how well a score ordered the backbones."""
    if tau >= 0.6:
        return "strong agreement"
    if tau >= 0.2:
        return "some agreement"
    return "no agreement" if tau > -0.2 else "reversed order"


def plugin_problem(problem: str) -> str:
    """Return that a plugin broke its contract."""
    return f"Problem of a plugin: {problem}"


# --------------------------------------------------------------------------- model card


INTENDED_USE = (
    "Classification of images of the same kind as the training images into the classes below. The model predicts"
    " one of them for every image, also for one that belongs to none; a `warning` in its predictions marks an image"
    " that is out of distribution. It was not examined for fairness, safety or use on people."
)


def model_is_for(target: str, classes: Sequence[str], size: int, backbone: str) -> str:
    """Return what the model is."""
    what = {
        "multiclass": f"An image classifier: {len(classes)} classes",
        "multilabel": f"An image classifier with several labels an image: {len(classes)} labels",
        "regression": f"A model that predicts a number for an image: {classes[0]}",
    }[target]
    return f"{what}, {size} px, backbone {backbone}."


def fitted(model_is: str) -> str:
    """Return which fit the model is."""
    return f"The model: {model_is or 'fitted on the training images'}."


def licence(name: str | None) -> str:
    """Return the licence of the backbone's weights."""
    return (
        f"The backbone's weights: {name}." if name else "The backbone's weights: not known; see their source."
    )


def probability_errors(measured: ProbabilityErrors) -> str:
    """Return the errors of the shipped model's probabilities on the test images."""
    return (
        f"On the {measured.images:,} test images: expected calibration error {percent(measured.ece)}, negative log"
        f" likelihood {measured.nll:.3f}, Brier score {measured.brier:.3f} (0 is perfect, 2 the worst)."
    )


def temperature(calibration: Calibration) -> str:
    """Return the temperature of the probabilities and their calibration errors."""
    text = (
        "Probabilities are not scaled"
        if calibration.temperature == 1
        else f"Logits are divided by temperature {calibration.temperature:g}"
    )
    return (
        f"{text}; expected calibration error {percent(calibration.ece)} out-of-fold on {calibration.images:,} images"
        f" ({percent(calibration.ece_before)} without)."
        + (f" {probability_errors(calibration.test)}" if calibration.test else "")
    )
