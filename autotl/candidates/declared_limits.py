"""Compare what a backbone declares with the limits of the goal. Pure."""

from __future__ import annotations

from autotl.records import BackboneSpec, Fact, Goal, Kind, fact
from autotl.weights import licences

__all__ = ["broken_limit", "text"]

BYTES_A_PARAMETER = 4  # float32: a model cannot predict in less memory than its weights take


def broken_limit(spec: BackboneSpec, goal: Goal) -> Fact | None:
    """Return the limit that a backbone exceeds by what it declares; None if there is none.

    Latency, memory in use and the size with a head are measured later and decided then.
    """
    parameters = spec.parameters or 0
    if goal.max_params is not None and parameters > goal.max_params:
        return fact(Kind.TOO_MANY_PARAMETERS, parameters=parameters, allowed=goal.max_params)
    size = BYTES_A_PARAMETER * parameters
    if goal.max_memory is not None and size > goal.max_memory:
        return fact(Kind.WEIGHTS_OVER_MEMORY, bytes=size, allowed=goal.max_memory)
    if not licences.allowed(spec.licence, goal.licence):
        return fact(
            Kind.LICENCE_NOT_ALLOWED, licence=spec.licence or licences.UNKNOWN, allowed=list(goal.licence)
        )
    return None


def text(broken: Fact) -> str:
    """Return a broken limit in words; `autotl.report.wording` and error messages use it."""
    values = broken.values
    if broken.kind == Kind.TOO_MANY_PARAMETERS:
        return f"{values['parameters']:,} parameters, more than the {values['allowed']:,} allowed"
    if broken.kind == Kind.WEIGHTS_OVER_MEMORY:
        return (
            f"its weights alone take {values['bytes'] / 1e6:,.0f} MB, more than the "
            f"{values['allowed'] / 1e6:,.0f} MB allowed"
        )
    return f"licence {values['licence']} is not among {', '.join(values['allowed'])}"
