"""How much is tried: a number that takes seconds, or with AUTOTL_MUTANTS so many mutants of a kind and every moment."""

from __future__ import annotations

import os

__all__ = ["ASKED", "mutants", "step"]

ASKED = int(os.environ.get("AUTOTL_MUTANTS") or 0)


def mutants(quick: int) -> int:
    """Return the number of mutants that was asked for, else `quick`."""
    return ASKED or quick


def step(quick: int) -> int:
    """Return 1 where a number of mutants was asked for, so that no moment is left out, else `quick`."""
    return 1 if ASKED else quick
