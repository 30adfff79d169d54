from __future__ import annotations

import io

import pytest

from autotl.progress import duration, line, live, printable
from autotl.records import Event


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def event(time: float, stage: str = "probe", **more: object) -> Event:
    return Event(time=time, stage=stage, message="going on", **more)  # type: ignore[arg-type]


def test_plain_lines_say_stage_candidate_best_and_time_left() -> None:
    out = io.StringIO()
    with live(stream=out) as observe:
        observe(event(1.0, "load", left=599.0))
        observe(event(2.5, candidate="a@1/knn", score=0.5, best=0.75, left=90.4))
    assert out.getvalue().splitlines() == [
        "[   1.0 s] load       going on · 9m 59s left",
        "[   2.5 s] probe      a@1/knn · going on · 0.500 · best 0.750 · 1m 30s left",
    ]


def test_plain_lines_do_not_flood_a_log() -> None:
    out = io.StringIO()
    with live(stream=out) as observe:
        for tenth in range(100):
            observe(event(tenth / 10, candidate="a@1/knn"))
        observe(event(9.95, candidate="a@1/knn", score=0.5))
    assert 10 <= len(out.getvalue().splitlines()) <= 12
    assert "0.500" in out.getvalue()


def test_a_score_the_message_has_is_not_said_again() -> None:
    said = Event(time=1.0, stage="probe", message="accuracy 0.889", score=0.889, best=0.889)
    assert line(said).count("0.889") == 1


def test_a_terminal_gets_a_panel_and_keeps_what_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm-256color")
    out = Terminal()
    with live(stream=out) as observe:
        observe(event(1.0, "load", left=9.0))
        observe(event(2.0, candidate="nasty\x1b]0;title\x07", score=0.5, best=0.5, left=8.0))
        observe(event(3.0, "report", best=0.5, left=7.0))
    text = out.getvalue()
    assert "\x1b]0;title" not in text
    assert "going on" in text
    assert text.count("[   2.0 s]") == 1
    assert "best so far" in text


def test_quiet_is_quiet() -> None:
    out = Terminal()
    with live(quiet=True, stream=out) as observe:
        observe(event(1.0))
    assert out.getvalue() == ""


def test_durations_and_names_for_people() -> None:
    assert [duration(s) for s in (0.0, 0.9999, 59.96, 3600)] == ["0 ms", "1.0 s", "1m 00s", "1h 00m"]
    assert printable("a\x1b[0mb\nc") == "a\ufffd[0mb\ufffdc"
