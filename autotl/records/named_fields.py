"""Records that plugins construct name what to write instead of a field that they do not have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import wraps
from typing import Any, TypeVar

__all__ = ["named_fields"]

Record = TypeVar("Record")
# Where other libraries have a field, and autotl something else.
_LOSS = "a loss is a function that the field `objective` of a Phase names, or the field `head` of a Strategy"
_AVERAGE = "a moving average of the weights is the field `average` of a Phase: its decay"
_FREEZE = "what trains is the field `trains` of a Phase: a word, a number of last groups, or a function"
ELSEWHERE: Mapping[str, str] = {
    **dict.fromkeys(("loss", "loss_fn", "criterion"), _LOSS),
    **dict.fromkeys(("ema", "ema_decay"), _AVERAGE),
    **dict.fromkeys(("freeze", "unfreeze", "trainable"), _FREEZE),
}
# Fields of a Phase that a Strategy may be given by mistake.
OF_A_PHASE = (
    "trains", "norm", "share", "lr", "augment", "mix", "sampler", "objective", "average",
    "data", "unlabelled", "auxiliary",
)  # fmt: skip


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
    if unknown in OF_A_PHASE:
        return f"{unknown!r} is a field of a Phase, of which `phases` holds one or more"
    near = get_close_matches(unknown, names, n=1)
    expected = f"expected {', '.join(names)}"
    return f"did you mean {near[0]!r}? {expected}" if near else expected
