"""Compare what a candidate needs with the limits of the goal. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from autotl.decision.evidence import Evidence
from autotl.records import Goal, TrialResult

__all__ = ["Limit", "broken_by", "over_limit", "text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A limit that a candidate exceeds."""

    figure: str  # parameters, latency (seconds an image), memory (bytes), or declared
    value: float = 0.0
    allowed: float = 0.0
    why: str = ""  # of a declared one

    @property
    def values(self) -> dict[str, float | str]:
        return {"figure": self.figure, "value": self.value, "allowed": self.allowed, "why": self.why}


def over_limit(result: TrialResult, goal: Goal) -> Limit | None:
    """Return the limit that a candidate exceeds by measurement; None if there is none."""
    for figure, value, allowed in (
        ("parameters", result.parameters, goal.max_params),
        ("latency", result.latency, goal.max_latency),
        ("memory", result.memory, goal.max_memory),
    ):
        if allowed is not None and (value or 0.0) > allowed:
            return Limit(figure=figure, value=value or 0.0, allowed=allowed)
    return None


def broken_by(evidence: Evidence, goal: Goal) -> Limit | None:
    """Return the limit that a candidate exceeds, by measurement or by what its backbone declares."""
    measured = over_limit(evidence.result, goal)
    if measured is None and evidence.refused:
        return Limit(figure="declared", why=evidence.refused)
    return measured


def text(limit: Limit) -> str:
    """Return the limit in words, as a leaderboard row's reason."""
    if limit.figure == "declared":
        return limit.why
    if limit.figure == "parameters":
        return f"{limit.value:,.0f} parameters, more than the {limit.allowed:,.0f} allowed"
    if limit.figure == "latency":
        return f"{limit.value * 1e3:.1f} ms an image, more than the {limit.allowed * 1e3:.1f} ms allowed"
    return f"{limit.value / 1e6:.0f} MB to predict, more than the {limit.allowed / 1e6:.0f} MB allowed"
