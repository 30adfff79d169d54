"""The entries of a ranking, as the search is offered them. No clock, no files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from autotl.records import Kind, Ranked, Ranking, Skipped, TrialResult, fact
from autotl.records.candidate_id import backbone_of

__all__ = ["clearly_slower", "untried", "with_earlier", "with_latencies"]

CLEARLY_SLOWER = 1.2  # than --max-latency: embedding takes about as long as predicting, not exactly
Entry = tuple[str, int]  # backbone and input size


def with_latencies(ranking: Ranking, latencies: Mapping[Entry, float]) -> Ranking:
    """Return the ranking with measured seconds an image where all features came from the cache."""
    return replace(
        ranking,
        ranked=tuple(
            entry
            if entry.seconds_per_image is not None
            else replace(entry, seconds_per_image=latencies.get((entry.backbone, entry.input_size)))
            for entry in ranking.ranked
        ),
    )


def with_earlier(ranked: Sequence[Ranked], probes: Sequence[TrialResult]) -> Sequence[Ranked]:
    """Return the entries, and one for each backbone that was tried before and is not ranked now."""
    keys = {(entry.backbone, entry.input_size) for entry in ranked}
    missing: dict[Entry, Ranked] = {}
    for result in probes:
        key = (result.trial.candidate.backbone, result.trial.candidate.input_size)
        if key not in keys:
            missing[key] = Ranked(
                backbone=key[0],
                input_size=key[1],
                expected=result.score_val or 0.0,
                seconds_per_image=result.latency,
            )
    return (*ranked, *missing.values())


def clearly_slower(ranked: Sequence[Ranked], limit: float | None) -> list[Ranked]:
    """Return the entries that take clearly longer an image than a limit in seconds, but never all: the fastest stays."""
    if limit is None:
        return []
    slow = [entry for entry in ranked if (entry.seconds_per_image or 0.0) > CLEARLY_SLOWER * limit]
    if len(slow) == len(ranked):
        slow.remove(min(slow, key=lambda entry: entry.seconds_per_image or 0.0))
    return slow


def untried(
    ranked: Sequence[Ranked], probes: Sequence[TrialResult], skipped: Sequence[Skipped]
) -> list[Skipped]:
    """Return a row for each backbone that was ranked and neither trained nor skipped."""
    places: dict[str, tuple[int, Ranked]] = {}
    for entry in ranked:
        places.setdefault(entry.backbone, (len(places) + 1, entry))
    named = {result.trial.candidate.backbone for result in probes}
    named |= {backbone_of(skip.name) for skip in skipped}
    return [
        Skipped(
            name=name,
            reason=fact(Kind.RANKED_TOO_LOW, place=place, of=len(places), rows=entry.rows),
        )
        for name, (place, entry) in places.items()
        if name not in named
    ]
