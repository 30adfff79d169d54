"""The stop-watch of the worker: every second once, on the innermost block."""

from __future__ import annotations

import pytest

from autotl.engine import stopwatch


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: now[0])
    return now


def test_a_second_is_booked_once_on_the_innermost_block(clock: list[float]) -> None:
    before = stopwatch.so_far()
    clock[0] += 50  # nothing is running
    with stopwatch.on("other"):
        clock[0] += 1
        with stopwatch.on("decode"):
            clock[0] += 2
            with stopwatch.on("forward"):
                clock[0] += 4
        clock[0] += 8
        assert stopwatch.since(before)["other"] == 9  # also while it runs
    found = stopwatch.since(before)
    assert {kind: seconds for kind, seconds in found.items() if seconds} == {
        "other": 9,
        "decode": 2,
        "forward": 4,
    }


def test_what_raises_is_booked_and_over(clock: list[float]) -> None:
    before = stopwatch.so_far()

    @stopwatch.on("build")
    def breaks() -> None:
        clock[0] += 3
        raise ValueError("on purpose")

    for _ in range(2):
        with pytest.raises(ValueError, match="on purpose"):
            breaks()
    clock[0] += 9
    assert stopwatch.since(before)["build"] == 6
