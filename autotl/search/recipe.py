"""List the recipes that a run may try: the one universe of the search, the chances and what is open. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from autotl.records import Candidate, Depth, Ranked, Strategy

__all__ = ["DEPTHS", "recipes"]

DEPTHS: tuple[Depth, ...] = (1, 2, "all")


def recipes(entries: Sequence[Ranked], strategies: Sequence[Strategy]) -> list[Candidate]:
    """Return every recipe of these ranking entries by these strategies, at every depth that a strategy offers.

    One that combines trials, or learns from them, is no recipe of its own: what it needs is there when there are trials.
    """
    return [
        Candidate(
            backbone=entry.backbone, input_size=entry.input_size, strategy=strategy.name, unfreeze=depth
        )
        for entry in entries
        for strategy in strategies
        if not strategy.parents and strategy.takes(entry.backbone)
        for depth in _depths(strategy)
    ]


def _depths(strategy: Strategy) -> tuple[Depth, ...]:
    if strategy.head_only:
        return (0,)
    return DEPTHS if strategy.depths else DEPTHS[-1:]
