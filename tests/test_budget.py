"""Time: read from text, granted, taken back, booked."""

from __future__ import annotations

import pytest

from autotl.budget import Allowance, Budget, Ledger, parse_seconds
from autotl.errors import BudgetError


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("10m", 600), ("1h", 3600), ("1h30m", 5400), ("45", 45), (45, 45), (0.5, 0.5), ("2.5m", 150),
     (" 10 M ", 600), ("1h 5min 3s", 3903), ("10min", 600)],
)  # fmt: skip
def test_times_people_write(text: str | float, seconds: float) -> None:
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "0s",
        "-5m",
        "ten",
        "10x",
        "1d",
        "m",
        "nan",
        "inf",
        "1e3",
        "10m!",
        "1:30",
        float("inf"),
        9**999,
    ],
)
def test_what_is_no_time_is_named(text: str | float) -> None:
    with pytest.raises(BudgetError, match="is not a duration; use 90s"):
        parse_seconds(text)


def test_a_budget_runs_out() -> None:
    clock = Clock()
    budget = Budget(seconds=60, start=90.0, clock=clock)
    assert (budget.spent, budget.left) == (10, 50)
    clock.now = 149
    assert budget.left == 1
    clock.now = 500
    assert (budget.spent, budget.left) == (410, 0)


def test_an_allowance_is_never_more_than_is_left_nor_of_what_is_reserved() -> None:
    clock = Clock()
    budget = Budget(seconds=60, start=100.0, clock=clock)
    assert budget.allowance(5).left == 5
    assert budget.allowance(500).left == 60
    assert budget.allowance(500, reserve=20).left == 40
    assert budget.allowance(reserve=90).expired
    some = budget.allowance(5)
    clock.now += 4
    assert some.left == 1 and not some.expired
    clock.now += 4
    assert some.left == 0 and some.expired


def test_taking_back_the_budget_takes_back_every_allowance() -> None:
    budget = Budget(seconds=60, start=100.0, clock=Clock())
    some = budget.allowance(50)
    budget.cancelled.set()
    assert some.expired and some.left == 0 and budget.left == 0


def test_allowances_do_not_share_a_token_by_accident() -> None:
    one, other = Allowance(deadline=200.0, clock=Clock()), Allowance(deadline=200.0, clock=Clock())
    one.cancelled.set()
    assert one.expired and not other.expired


def test_a_part_of_an_allowance_ends_earlier_and_is_taken_back_with_it() -> None:
    clock = Clock()
    whole = Allowance(deadline=clock.now + 60, clock=clock)
    half, shorter = whole.share(0.5), whole.without(10)
    assert half.left == 30 and shorter.left == 50
    whole.cancelled.set()
    assert half.expired and shorter.expired


def test_seconds_are_booked_by_stage_also_when_something_goes_wrong() -> None:
    clock = Clock()
    ledger = Ledger(clock=clock)
    with ledger.charge("rank"):
        clock.now += 3

    def fail() -> None:
        with ledger.charge("search"):
            clock.now += 5
            raise ValueError("oops")

    with pytest.raises(ValueError, match="oops"):
        fail()
    with ledger.charge("rank"):
        clock.now += 1
    assert ledger.by_stage() == {"rank": 4, "search": 5}


def test_a_charge_says_what_the_engine_did_in_it() -> None:
    clock, worked = Clock(), {"forward": 1.0}
    ledger = Ledger(clock=clock, meter=lambda: dict(worked))
    with ledger.charge("search"):
        clock.now += 5
        worked |= {"forward": 3.0, "decode": 0.5}
    with ledger.charge("report"):
        clock.now += 1
    with ledger.charge("search"):
        worked["forward"] += 1.0
    assert ledger.worked() == {"search": {"forward": 3.0, "decode": 0.5}}
