"""Records that plugins construct name what to write instead of a field that they do not have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import wraps
from typing import Any, TypeVar

__all__ = ["named_fields"]

Record = TypeVar("Record")
# Where other libraries have a field, and autotl something else.
_LOSS = "phases train with cross-entropy; another loss belongs in the function that the field `head` of a Strategy names"
ELSEWHERE: Mapping[str, str] = dict.fromkeys(("loss", "loss_fn", "criterion", "objective"), _LOSS)


def named_fields(record: type[Record]) -> type[Record]:
    """Return the dataclass, whose constructor raises a `TypeError` that names the nearest field, or all of them."""
    construct: Any = record.__init__
    names = [field.name for field in fields(record)]  # type: ignore[arg-type]

    @wraps(construct)
    def checked(self: Record, *values: Any, **named: Any) -> None:
        unknown = next((name for name in named if name not in names), None)
        if unknown is not None:
            raise TypeError(f"{record.__name__} has no field {unknown!r}; {_advice(unknown, names)}")
        construct(self, *values, **named)

    record.__init__ = checked  # type: ignore[method-assign, assignment]
    return record


def _advice(unknown: str, names: list[str]) -> str:
    from difflib import get_close_matches

    if unknown in ELSEWHERE:
        return ELSEWHERE[unknown]
    near = get_close_matches(unknown, names, n=1)
    expected = f"expected {', '.join(names)}"
    return f"did you mean {near[0]!r}? {expected}" if near else expected
