"""Sentences of the limits that a candidate exceeds."""

from __future__ import annotations

from collections.abc import Callable

from autotl.candidates import declared_limits
from autotl.records.facts import Kind, fact
from autotl.report.wording.targets import TARGETS

__all__ = ["LIMITS"]


def _too_many_parameters(parameters: int, allowed: int) -> str:
    return declared_limits.text(fact(Kind.TOO_MANY_PARAMETERS, parameters=parameters, allowed=allowed))


def _weights_over_memory(bytes: int, allowed: int) -> str:  # noqa: A002 - the value's name
    return declared_limits.text(fact(Kind.WEIGHTS_OVER_MEMORY, bytes=bytes, allowed=allowed))


def _licence_not_allowed(licence: str, allowed: list[str]) -> str:
    return declared_limits.text(fact(Kind.LICENCE_NOT_ALLOWED, licence=licence, allowed=allowed))


def _too_much_memory(bytes: int, allowed: int) -> str:  # noqa: A002 - the value's name
    return f"{bytes / 1e6:.0f} MB to predict an image, more than the {allowed / 1e6:.0f} MB allowed"


def _too_slow(latency: float, allowed: float) -> str:
    return f"{latency * 1e3:.1f} ms an image, more than the {allowed * 1e3:.1f} ms allowed"


def _strategy_declines(target: str) -> str:
    return f"a strategy that does not train on {TARGETS[target]}"


LIMITS: dict[Kind, Callable[..., str]] = {
    Kind.TOO_MANY_PARAMETERS: _too_many_parameters,
    Kind.NEEDS_UNLABELLED: lambda: (
        "it learns from images without a label; name their folder with --unlabelled"
    ),
    Kind.WEIGHTS_NOT_TAKEN: lambda: "it takes no weights of images, and --weight gives some",
    Kind.NEEDS_LABEL_COLUMNS: lambda: "it learns several label columns; name each with --label",
    Kind.NEEDS_RELATED: lambda: "it learns from labelled images of another source; name them with --source",
    Kind.WEIGHTS_OVER_MEMORY: _weights_over_memory,
    Kind.LICENCE_NOT_ALLOWED: _licence_not_allowed,
    Kind.TOO_MUCH_MEMORY: _too_much_memory,
    Kind.TOO_SLOW: _too_slow,
    Kind.STRATEGY_DECLINES: _strategy_declines,
}
