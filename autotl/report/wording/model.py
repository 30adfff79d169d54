"""Sentences of the section on the model: its training, errors and calibration."""

from __future__ import annotations

from autotl.records import Calibration, Interval, ProbabilityErrors
from autotl.report.format import interval, percent
from autotl.report.wording.targets import metric_name

FEWEST_ERRORS = 10  # among which a confusion can be called frequent
SPREAD = 0.15  # of the errors, below which the most confused pair is one of many
FEW_IMAGES = 5  # of a class, below which its figures are hardly informative
NO_PREDICTIONS = "The winner's predictions are not in the run folder, so its errors cannot be shown."
NO_WINNER_NO_TRAINING = "There is no winner, so there is no training to show."
MOST_CONFIDENT = "The errors with the highest confidence: of each, the label or the model is wrong."
TOO_FEW_EPOCHS = (
    "The winner was trained for too few epochs at one learning-rate schedule to show whether its training loss had"
    " flattened."
)
CLOSED_FORM = "The winner's head is fitted in closed form, so there is no learning curve."
CALIBRATION = {
    "calibrated": "Its probabilities are well calibrated.",
    "by chance": "Its calibration error is not significant on this many images.",
    "nearly": "Its probabilities are nearly calibrated.",
    "overconfident": "It is overconfident: use its probabilities as a ranking only.",
    "underconfident": "It is underconfident: it is correct more often than its probabilities state.",
    "miscalibrated": "It is miscalibrated in both directions: use its probabilities as a ranking only.",
}


def training_loss(*, fell: float, falling: bool, epochs: float, final: bool) -> str:
    """Return whether a training had converged: the final fit, or the longest probe of the winner."""
    which = "final fit" if final else "winner's longest training in the search"
    part = f"over the last fifth of its {epochs:.3g} epochs"
    if falling:
        return (
            f"The training loss of the {which} fell by {percent(fell, 0)} {part}: more epochs, with a larger budget, may"
            " help."
        )
    return f"The training loss of the {which} had flattened {part}: more epochs alone are unlikely to help."


def predictions_of(model: str, images: str) -> str:
    """Return the caption of figures on the model: whose predictions, on which images."""
    return f"Predictions of {model} on {images}"


def correct(number: int, total: int, share: Interval) -> str:
    """Return how many images are classified correctly."""
    return (
        f"{number:,} of {total:,} images are classified correctly: {percent(share.value)} (95% CI"
        f" {interval(share.low, share.high)})"
    )


def own_metric(metric: str, value: float) -> str:
    """Return the run's metric beside accuracy."""
    return f"{metric_name(metric)}, which weights all classes equally: {percent(value)}"


def confusions(
    wrong: int,
    classes: int,
    *,
    pair: tuple[str, str] = ("", ""),
    both: tuple[int, int] = (0, 0),
    alike: int = 0,
    attractor: str = "",
    attracted: int = 0,
) -> str:
    """Return where the errors are.

    `both` are the images of each class of `pair`, the most confused one, that are classified as the other, and as often
    as this pair are `alike` others; `attractor` is a class that `attracted` errors are predicted as.
    """
    if not wrong:
        return "No image is misclassified."
    if attractor:
        which = f"All {wrong:,}" if attracted == wrong else f"{attracted:,} of the {wrong:,}"
        return f"{which} errors are images of other classes classified as {attractor}."
    if wrong < FEWEST_ERRORS:
        return f"{wrong:,} {'error' if wrong == 1 else 'errors'}: too few to show a pattern."
    if classes == 2:
        return f"{wrong:,} errors: {both[0]:,} images of {pair[0]} and {both[1]:,} of {pair[1]}."
    as_often = f", as often as {alike} other {'pair' if alike == 1 else 'pairs'}" if alike else ""
    confused = (
        f"{pair[0]} and {pair[1]} are confused most{as_often}: {sum(both):,} of the {wrong:,} errors,"
        f" {both[0]:,} images of {pair[0]} and {both[1]:,} of {pair[1]}."
    )
    if sum(both) < SPREAD * wrong:
        return f"The errors are spread over many pairs of classes; {confused}"
    return confused


def classes(name: str, recall: Interval, images: int, few: int, missing: int, total: int) -> str:
    """Return the class with the lowest recall, and how many classes have few images or none."""
    text = (
        f"Lowest recall: {name}, {percent(recall.value)} of its {images:,} images (95% CI"
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


def calibration(
    verdict: str, confidence: float, accuracy: float, error: float, fitted: Calibration | None, images: int
) -> str:
    """Return how well calibrated the probabilities of so many images are, and what temperature scaling changed."""
    text = (
        f"{CALIBRATION[verdict]} Mean confidence {percent(confidence)}, accuracy {percent(accuracy)}, expected"
        f" calibration error {percent(error)}."
    )
    if fitted is not None and fitted.test is not None:
        text = f"{text} {_more_errors(fitted.test, error)}"
    if fitted is None or fitted.temperature == 1.0:
        return text
    if fitted.test is None and fitted.images == images:
        return (
            f"{text} These are the probabilities that autotl predict prints. Their temperature,"
            f" {fitted.temperature:.2f}, is fitted on the same images; for other images expect the out-of-fold"
            f" calibration error, {percent(fitted.ece)} ({percent(fitted.ece_before)} without the temperature)."
        )
    return (
        f"{text} These are the probabilities that autotl predict prints, at temperature {fitted.temperature:.2f},"
        f" which changed the calibration error from {percent(fitted.ece_before)} to {percent(fitted.ece)} on"
        f" {fitted.images:,} selection images (out-of-fold)."
    )


def _more_errors(measured: ProbabilityErrors, error: float) -> str:
    """Return the errors on the test images that the report has not given: `error` is the calibration error it has."""
    if percent(measured.ece) != percent(error):
        return probability_errors(measured)
    return f"The Brier score is {measured.brier:.3f} (0 is perfect, 2 the worst)."


def probability_errors(measured: ProbabilityErrors) -> str:
    """Return the errors of the shipped model's probabilities on the test images."""
    return (
        f"On the {measured.images:,} test images: expected calibration error {percent(measured.ece)}, negative log"
        f" likelihood {measured.nll:.3f}, Brier score {measured.brier:.3f} (0 is perfect, 2 the worst)."
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
