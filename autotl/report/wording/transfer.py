"""Sentences of the section on what pretraining is worth."""

from __future__ import annotations

from autotl.report.format import duration, percent, points

# Of what pretraining gains, where the network from scratch had not converged.
AT_MOST = "less if a network from scratch had more time"
SIGNS = {
    "start": "better start?",
    "slope": "steeper slope?",
    "asymptote": "better asymptote?",
    "reached": "score by time",
}


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
