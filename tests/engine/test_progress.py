"""The grace after a deadline, and the throttle of reports."""

from __future__ import annotations

import pytest

from autotl.engine import progress
from autotl.engine.progress import MOST, SILENT, STEPS, USUAL, Reporter, grace
from autotl.records import Candidate, Progress, Trial

TRIAL = Trial(id="t1", candidate=Candidate(backbone="b", input_size=64, strategy="s"), epochs=4.0)


def test_a_request_without_reports_has_the_usual_grace() -> None:
    assert grace(None, 1000.0) == USUAL


@pytest.mark.parametrize("step", [0.0, 0.01, 1.0, 5.0, 1000.0])
def test_a_worker_that_has_just_reported_is_given_longer_than_a_silent_one(step: float) -> None:
    assert SILENT <= grace(step, 1e6) < grace(step, 0.0) <= MOST


def test_slow_steps_are_waited_for() -> None:
    assert grace(3.0, 0.0) == STEPS * 3.0
    assert grace(3.0, 10.0) == STEPS * 3.0, "a step of three seconds is silent that long"


def test_reports_are_throttled_and_remember_the_longest_step(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    reports: list[tuple[Progress, float]] = []
    reporter = Reporter(lambda state, step: reports.append((state, step)), TRIAL, runs=2)
    reporter.begin_run()
    for index, seconds in enumerate((0.125, 0.125, 0.25, 0.25), 1):
        now[0] += seconds
        reporter.step(index / 4, loss=float(index), score=None)
    assert [step for _, step in reports] == pytest.approx([0.125, 0.25])
    first, second = (state for state, _ in reports)
    assert first == Progress(trial="t1", epoch=0.125, epochs=4.0, loss=1.0, seconds=0.125)
    assert (second.epoch, second.loss, second.seconds) == (0.5, 3.0, 0.75)


def test_the_second_of_two_trainings_goes_on_where_the_first_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "REPORT_SECONDS", 0.0)
    reports: list[Progress] = []
    reporter = Reporter(lambda state, _: reports.append(state), TRIAL, runs=2)
    reporter.alive()
    assert not reports, "before the first step there is nothing to repeat"
    reporter.step(4.0, 1.0, 0.5)
    reporter.end_run()
    reporter.alive()
    reporter.step(1.0, 1.0, None)
    assert [state.epoch for state in reports] == [2.0, 2.0, 2.5]
    assert reports[1].score == 0.5
