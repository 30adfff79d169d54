"""The forecast of a whole run in words, and what became of it."""

from __future__ import annotations

from autotl.records import Forecast
from autotl.records.result import Recommendation
from autotl.report.text import duration


def ahead(forecast: Forecast) -> str:
    """What is said before the search: ``about 2 min 10 s in all (80 % interval 95 s to 2 min 50 s), ...``."""
    span = f"{duration(forecast.seconds_low)} to {duration(forecast.seconds_high)}"
    said = f"about {duration(forecast.seconds)} in all, four times in five {span}"
    if not forecast.bytes:
        return said
    held = f"{_gigabytes(forecast.bytes_low)} to {_gigabytes(forecast.bytes_high)}"
    return f"{said}; {_gigabytes(forecast.bytes)} GB of memory, four times in five {held}"


def compared(result: Recommendation) -> str:
    """The forecast beside what the run took; nothing where there was none, or while the run goes on."""
    forecast, total = result.forecast, result.seconds.get("total", 0.0)
    if forecast is None or result.status == "running" or not total:
        return ""
    said = f"The run took {duration(total)}; forecast before training: {duration(forecast.seconds)} (80 % interval"
    said += f" {duration(forecast.seconds_low)} to {duration(forecast.seconds_high)})."
    if not (forecast.bytes and result.peak):
        return said
    return (
        f"{said} It held {_gigabytes(result.peak)} GB at most; forecast: {_gigabytes(forecast.bytes)} GB"
        f" ({_gigabytes(forecast.bytes_low)} to {_gigabytes(forecast.bytes_high)})."
    )


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.2f}"
