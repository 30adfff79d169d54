"""Observers run aside, within limits, and hear how a run ended, whatever happens."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from autotl.hookspecs import hookimpl
from autotl.plugins import observers, sandbox
from autotl.plugins.manager import Plugins, load_plugins
from autotl.records import Event


def event(stage: str = "probe") -> Event:
    return Event(time=0.0, stage=stage, message="")


def with_observer(observe: Callable[[Event], None]) -> Plugins:
    return load_plugins([SimpleNamespace(__name__="guest", on_event=hookimpl(observe))])


def test_the_run_does_not_wait_for_an_observer_and_each_hears_all_in_order() -> None:
    heard: list[str] = []
    go = threading.Event()

    def observe(event: Event) -> None:
        go.wait(5)
        heard.append(event.stage)

    loaded = with_observer(observe)
    begun = time.monotonic()
    for number in range(5):
        loaded.notify(event(f"s{number}"))
    assert time.monotonic() - begun < 1.0 and not heard
    go.set()
    loaded.close(event("end"))
    assert heard == ["s0", "s1", "s2", "s3", "s4", "end"] and not loaded.problems


def test_an_observer_that_raises_is_named_once_and_hears_only_the_end() -> None:
    heard: list[str] = []

    def observe(event: Event) -> None:
        heard.append(event.stage)
        if event.stage != "end":
            raise ValueError("no server")

    loaded = with_observer(observe)
    for number in range(3):
        loaded.notify(event(f"s{number}"))
        time.sleep(0.05)
    loaded.close(event("end"))
    assert heard == ["s0", "end"]
    (problem,) = loaded.problems
    assert problem.hook == "on_event" and "no server" in str(problem)


def test_an_observer_that_is_late_is_named_with_its_line_and_still_hears_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sandbox, "CALL_SECONDS", 0.2)
    heard: list[str] = []

    def observe(event: Event) -> None:
        if not heard:
            heard.append(event.stage)
            time.sleep(0.5)
        heard.append(event.stage)

    loaded = with_observer(observe)
    loaded.notify(event("slow"))
    time.sleep(0.3)
    loaded.notify(event("never"))
    monkeypatch.setattr(sandbox, "CALL_SECONDS", 2.0)
    loaded.close(event("end"))
    assert heard == ["slow", "slow", "end"]
    assert "took over 0.2 s for an event, in observe (test_observers.py, line" in str(loaded.problems[0])


def test_events_that_wait_too_long_are_lost_and_the_end_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observers, "BACKLOG_SECONDS", 0.2)
    heard: list[str] = []

    def observe(event: Event) -> None:
        time.sleep(0.05)
        heard.append(event.stage)

    loaded = with_observer(observe)
    for _ in range(50):
        loaded.notify(event())
    loaded.close(event("end"))
    assert heard[-1] == "end" and len(heard) < 50
    assert "events not taken 0.2 s after the run" in str(loaded.problems[0])


def test_an_observer_that_hangs_at_the_end_does_not_hold_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observers, "END_SECONDS", 0.2)
    loaded = with_observer(lambda event: time.sleep(3))
    begun = time.monotonic()
    loaded.close(event("end"))
    assert time.monotonic() - begun < 2.0
    assert "took over 0.2 s" in str(loaded.problems[0])


def test_an_observer_that_falls_too_far_behind_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observers, "MOST_WAITING", 5)
    go = threading.Event()
    loaded = with_observer(lambda event: go.wait(5) and None)
    for _ in range(10):
        loaded.notify(event())
    assert "5 events behind" in str(loaded.problems[0])
    go.set()
    loaded.close(event("end"))
