"""The entries of a ranking: which are too slow to be offered, and which were never tried."""

from __future__ import annotations

from autotl.ranking import entries
from autotl.records import Candidate, Kind, Ranked, Skipped, Trial, TrialResult, fact


def test_what_was_ranked_and_never_trained_is_a_row_with_its_place() -> None:
    """Who asked for a backbone, or installed it, must not look for it in vain."""

    def arm(name: str, size: int = 64) -> Ranked:
        return Ranked(backbone=name, input_size=size, expected=0.5, rows=64)

    trained = Trial(id="t1", candidate=Candidate(backbone="mine:a", input_size=64, strategy="knn"))
    rows = entries.untried(
        (arm("mine:a"), arm("mine:a", 32), arm("mine:b"), arm("mine:b", 32), arm("mine:c")),
        [TrialResult(trial=trained, status="finished")],
        [Skipped(name="mine:c@64", reason=fact(Kind.TOO_SLOW, latency=1.0, allowed=0.5))],
    )
    assert [row.name for row in rows] == ["mine:b"]
    assert rows[0].reason == fact(Kind.RANKED_TOO_LOW, place=2, of=3, rows=64)


def test_entries_above_the_latency_limit_are_slow_but_never_all() -> None:
    fast, slow = (
        Ranked(backbone=name, input_size=64, expected=0.5, seconds_per_image=seconds)
        for name, seconds in (("fast", 0.01), ("slow", 0.02))
    )
    assert entries.clearly_slower((fast, slow), None) == []
    assert entries.clearly_slower((fast, slow), 0.009) == [slow]
    assert entries.clearly_slower((fast, slow), 0.001) == [slow]
