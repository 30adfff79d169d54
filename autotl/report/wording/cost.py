"""Sentences of the section on costs, and on a smaller backbone that learned from the winner."""

from __future__ import annotations

from autotl.records import Goal, Interval
from autotl.records.result import Distillation
from autotl.report.format import count, duration, points, points_interval

STUDENTS = {
    "winner": "the winner, which teaches",
    "distilled": "distilled: taught by the winner",
    "alone": "the same training without it",
}


def speed(candidates: int, *, faster: str = "", factor: float = 1.0, difference: float = 0.0) -> str:
    """Return whether a candidate is much faster than the winner and not significantly worse."""
    if candidates == 1:
        return "Only one candidate was measured, so there is no trade-off to show."
    if faster:
        score = (
            "the same score" if abs(difference) < 0.0005 else f"a score that differs by {points(difference)}"
        )
        return (
            f"If speed matters: {faster} is {factor:.1f} times as fast as the winner, with {score} (not significantly"
            " worse)."
        )
    return "No candidate that is not significantly worse is noticeably faster than the winner."


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
