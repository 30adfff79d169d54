"""The errors autotl raises on purpose.

AutotlError
├─ DatasetError              the source cannot be read as labelled items
├─ UnknownNameError          no backbone, strategy, score or column of that name (also a LookupError)
├─ BudgetError               the budget cannot hold a file list and one linear probe
├─ WeightsUnavailable        pretrained weights are not where they were looked for
├─ RunError                  a folder is not a run, or not one that can do what was asked
├─ EngineError               torch or timm is missing or broken, or the device is not there
│  ├─ OutOfMemory            a worker needs more memory than it gets
│  └─ SlotLost               one of several workers was lost with what it worked on
├─ Declined                  a strategy cannot do what a run asks of it; the message is the reason
└─ PluginError               a plugin broke its contract; carries ``plugin`` and ``hook``

A message has three parts: what happened, with the value; what was expected; what to do.
The command line prints an `AutotlError` on one line and exits with 1. Anything else keeps its
traceback, because it is a bug of autotl.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "AutotlError",
    "BudgetError",
    "DatasetError",
    "Declined",
    "EngineError",
    "OutOfMemory",
    "PluginError",
    "RunError",
    "SlotLost",
    "UnknownNameError",
    "WeightsUnavailable",
]


class AutotlError(Exception):
    """An error that the user can correct; the message states how."""


class DatasetError(AutotlError):
    """The source cannot be read as labelled items."""


class UnknownNameError(AutotlError, LookupError):
    """A name that does not exist; the message suggests the nearest ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        self.kind, self.name = kind, name
        known = sorted(set(known))
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        if near:
            advice = "did you mean " + " or ".join(repr(n) for n in near) + "?"
        elif known:
            shown = ", ".join(known[:8])
            advice = f"there are {len(known)}, such as {shown}" if len(known) > 8 else f"there are: {shown}"
        else:
            advice = "there are none"
        super().__init__(f"no {kind} {name!r}; {advice}" + (f" {hint}" if hint else ""))


class BudgetError(AutotlError):
    """The budget cannot hold a file list and one linear probe; the message states what it would take."""


class WeightsUnavailable(AutotlError):
    """Pretrained weights are not available; the message states where they were looked for and how to provide them."""


class RunError(AutotlError):
    """A folder is not a run of autotl, or not one that can do what was asked of it."""


class EngineError(AutotlError):
    """torch, torchvision or timm is missing or broken, or the device is not there."""


class OutOfMemory(EngineError):
    """A worker needs more memory than it gets, with the fewest images at once too."""


class Declined(AutotlError):
    """A strategy cannot be used here: its functions raise it with the reason, which becomes a row and no failure."""


class SlotLost(EngineError):
    """One of several workers, or its machine, was lost with what it worked on: another one may do that."""


class PluginError(AutotlError):
    """A plugin broke its contract."""

    def __init__(self, message: str, *, plugin: str, hook: str) -> None:
        self.plugin, self.hook = plugin, hook
        super().__init__(f"plugin {plugin!r}, {hook}: {' '.join(message.split())}")
