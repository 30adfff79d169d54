"""The error that a check raises, the limits that checks apply, and what several kinds of check share."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import msgspec

from autotl.plugins import validation
from autotl.records import BackboneSpec, Score, Strategy

LISTING_SECONDS = 1.0  # to import a plugin and list what it registers: every command that lists waits for it
SCORE_SECONDS = 5.0  # a score of 500 rows, 512 wide; a run computes it some dozen times
HANG_SECONDS = 30.0  # a new Python process that takes longer hangs
CHECK_SECONDS = 120.0  # a check that takes longer hangs


class ContractError(AssertionError):
    """A plugin breaks its contract: what was found, what is expected, what to do."""


class HungError(ContractError):
    """A check takes over its limit."""


def require(holds: object, message: str) -> None:
    """Raise `ContractError` with the message unless the condition holds."""
    if not holds:
        raise ContractError(message)


def described(value: BackboneSpec | Strategy | Score) -> None:
    """Its fields are valid, and it is the same after being written as JSON and read again."""
    flaw = validation.flaw(value)
    require(flaw is None, str(flaw))
    read = msgspec.json.decode(msgspec.json.encode(value), type=type(value))
    require(
        read == value,
        "it changes when written as JSON and read again; expected lists, not tuples, and texts as keys in arguments",
    )


def resolve(name: str) -> Callable[..., Any]:
    """Return the callable that ``"module:attr"`` names. Raises `ContractError` when there is none."""
    module, _, attribute = name.partition(":")
    try:
        value: Any = importlib.import_module(module)
        for part in attribute.split("."):
            value = getattr(value, part)
    except (ImportError, AttributeError) as error:
        raise ContractError(f"{name!r} cannot be imported ({error}); correct the name") from error
    require(callable(value), f"{name!r} is a {type(value).__name__}; expected something that can be called")
    return value  # type: ignore[no-any-return]
