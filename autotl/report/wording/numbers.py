"""Sentences on models that predict numbers."""

from __future__ import annotations

from autotl.records import Conformal, Interval
from autotl.records.evaluation import NumberEvaluation, ResidualBin
from autotl.report.format import MINUS, percent

__all__ = ["bin_line", "figures", "intervals", "number", "signed", "size", "spread"]

SIGNIFICANT = 0.01  # p-value of errors that grow with the prediction
NOTICEABLE = 0.15  # rank correlation, below which that changes little
TOO_FEW = "Too few images for prediction intervals."


def number(value: float) -> str:
    """Return a number with four significant digits."""
    return f"{value:.4g}".replace("-", MINUS)


def signed(value: float) -> str:
    """Return a difference with its sign."""
    return f"{value:+.3g}".replace("-", MINUS)


def _interval(found: Interval) -> str:
    return f"{number(found.value)} (95% CI {number(found.low)}–{number(found.high)})"


def size(found: NumberEvaluation, *, explained: bool = True) -> str:
    """Return how large the errors are, beside those of a constant answer; R² where it is `explained` here."""
    text = (
        f"the mean absolute error is {_interval(found.mae)}; always answering the median would have"
        f" {number(found.constant_mae)}."
    )
    if explained:
        text += f" R² is {percent(found.r2.value)}: the share of the variance that is explained."
    if abs(found.bias) > 0.25 * found.mae.value:
        where = "low" if found.bias > 0 else "high"
        text += f" Predictions are too {where} by {number(abs(found.bias))} on average."
    return text


def spread(found: NumberEvaluation) -> str:
    """Return whether errors grow with the prediction."""
    if found.spread_p >= SIGNIFICANT or abs(found.spread) < NOTICEABLE:
        return "The size of the errors does not depend significantly on the prediction."
    grow, small, large = ("grow", "wide", "narrow") if found.spread > 0 else ("shrink", "narrow", "wide")
    return (
        f"The errors {grow} with the prediction (rank correlation {signed(found.spread)}, p ="
        f" {max(found.spread_p, 0.0001):.2g}): one interval for all images is too {small} for small predictions and too"
        f" {large} for large ones."
    )


def intervals(found: Conformal | None) -> str:
    """Return the prediction intervals, and how often they held."""
    if found is None or found.half_width is None:
        return TOO_FEW
    text = (
        f"{percent(found.level, 0)} of new images are expected within ± {number(found.half_width)} of the prediction"
        f" (split conformal, from {found.images:,} images that the model was not fitted on)."
    )
    if found.coverage is not None:
        text += f" Of the {found.tested:,} test images {percent(found.coverage, 0)} were."
    return text


def figures(found: NumberEvaluation) -> list[tuple[str, str]]:
    """Return the figures of the errors by name."""
    return [
        ("mean absolute error", _interval(found.mae)),
        ("root mean square error", _interval(found.rmse)),
        ("R²", f"{percent(found.r2.value)} ({percent(found.r2.low)} to {percent(found.r2.high)})"),
        (
            "Spearman’s ρ",
            f"{found.spearman.value:.3f} ({found.spearman.low:.3f} to {found.spearman.high:.3f})",
        ),
        ("bias (label − prediction)", signed(found.bias)),
    ]


def bin_line(each: ResidualBin) -> dict[str, str]:
    """Return a line of the table of errors by prediction."""
    return {
        "range": f"{number(each.low)} to {number(each.high)}",
        "images": f"{each.images:,}",
        "mae": number(each.mae),
        "bias": signed(each.bias),
        "coverage": percent(each.coverage, 0),
    }
