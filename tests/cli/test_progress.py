from __future__ import annotations

import io
import re
import time

import pytest

from autotl.cli.progress import counting, line, live
from autotl.records import Event, Kind
from autotl.report.format import duration, printable


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
        "[   1.0 s] load       going on · 9 min 59 s left",
        "[   2.5 s] probe      a@1/knn · going on · best 75.0 % · 1 min 30 s left",
    ]


def test_plain_lines_do_not_flood_a_log() -> None:
    out = io.StringIO()
    with live(stream=out) as observe:
        for tenth in range(100):
            observe(event(tenth / 10, candidate="a@1/knn"))
        observe(event(9.95, candidate="a@1/knn", score=0.5))
    assert 10 <= len(out.getvalue().splitlines()) <= 12
    assert "[   9.9 s]" in out.getvalue()


@pytest.mark.parametrize("terminal", [False, True])
def test_a_training_that_reports_twice_a_second_takes_a_line_every_fifteen(terminal: bool) -> None:
    out = Terminal() if terminal else io.StringIO()
    with live(stream=out) as observe:
        observe(
            Event(time=0.0, stage="probe", message="4 epochs", kind=Kind.TRIAL_STARTED, candidate="a@1/f")
        )
        for half in range(1, 81):
            training = {"kind": Kind.TRAINING, "candidate": "a@1/f", "score": 0.25}
            message = f"epoch {half / 20:.1f} of 4, loss 0.751"
            observe(Event(time=half / 2, stage="probe", message=message, **training))  # type: ignore[arg-type]
        ended = Event(
            time=40.5,
            stage="probe",
            message="accuracy 50.0 %",
            kind=Kind.TRIAL_ENDED,
            candidate="a@1/f",
            score=0.5,
        )
        observe(ended)
    text = out.getvalue()
    assert "25.0" not in text  # a score on the first few images is not the candidate's
    lines = re.findall(r"\[ +[0-9.]+ s\] probe", text)
    assert len(lines) == (1 if terminal else 4)
    assert "accuracy 50.0" in text


def test_a_trial_that_starts_right_after_another_of_its_candidate_has_its_line() -> None:
    out = io.StringIO()
    with live(stream=out) as observe:
        observe(event(1.0, candidate="a@1/f", kind=Kind.TRIAL_ENDED, score=0.5))
        observe(event(1.1, candidate="a@1/f", kind=Kind.TRIAL_STARTED))
    assert len(out.getvalue().splitlines()) == 2


def test_each_plugin_that_is_left_out_is_named() -> None:
    plain, terminal = io.StringIO(), Terminal()
    for out in (plain, terminal):
        with live(stream=out) as observe:
            for name in ("one", "other"):
                observe(Event(time=1.0, stage="plugins", message=f"left out: {name}"))
            observe(event(2.0, "split"))
        for name in ("one", "other"):
            assert out.getvalue().count(f"plugins    left out: {name}") == 1


def test_a_score_the_message_has_is_not_said_again() -> None:
    said = Event(time=1.0, stage="probe", message="accuracy 88.9 %", score=0.889, best=0.889)
    assert line(said).count("88.9") == 1


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
    assert "best " in text


def test_interval_forecast_and_memory_fit_into_eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    from autotl.cli.progress import two_lines

    said = event(
        100.0,
        candidate="timm:mobilenetv3_small_100.lamb_in1k@96/fine_tune:all",
        best=0.9312,
        low=0.912,
        high=0.951,
        left=3700.0,
        forecast=42.0,
        memory=1_840_000_000,
        granted=8_000_000_000,
    )
    assert "forecast 42 s · best 93.1 % [91.2–95.1]" in line(said)
    out = Console(file=io.StringIO(), width=80)
    out.print(two_lines(said, 12.0, 80))
    first, second = out.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert len(second.rstrip()) <= 80
    assert "best 93.1 % [91.2–95.1]" in second and "1.8 of 8.0 GB" in second and "1 h 01 min left" in second
    assert "timm:mobilenetv3" in first
    out = Console(file=io.StringIO(), width=80)
    out.print(two_lines(event(1.0, candidate="a@1/knn", left=9.0, forecast=5.0), 12.0, 80))
    assert "7.0 s over its forecast" in out.file.getvalue()  # type: ignore[attr-defined]


def test_counting_says_how_far_it_is_in_a_terminal_and_ends_its_line() -> None:
    out = Terminal()
    with counting(stream=out) as count:
        count(1, 0)
        time.sleep(0.25)
        count(2000, 3)
    assert "2,000 images, 3 unreadable" in out.getvalue()
    assert out.getvalue().endswith("\n")
    log = io.StringIO()
    with counting(stream=log) as count:
        count(5, 0)
    assert log.getvalue() == ""


def test_quiet_is_quiet() -> None:
    out = Terminal()
    with live(quiet=True, stream=out) as observe:
        observe(event(1.0))
    assert out.getvalue() == ""


def test_durations_and_names_for_people() -> None:
    printed = [printable(duration(s)) for s in (0.0, 0.9999, 59.96, 3600)]
    assert printed == ["0 ms", "1.0 s", "1 min 00 s", "1 h 00 min"]
    assert printable("a\x1b[0mb\nc") == "a\ufffd[0mb\ufffdc"
