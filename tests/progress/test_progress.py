from __future__ import annotations

import io
import re
import sys
import types

import pytest

from autotl.progress.live import live
from autotl.progress.standing import Standing, after
from autotl.progress.text import kept, logged, panel, plain
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
        "[   2.5 s] probe      a@1/knn · going on · best 75.0% · 1 min 30 s left",
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
            training = {"kind": Kind.TRAINING, "candidate": "a@1/f"}
            training["values"] = {"epoch": half / 20, "epochs": 4.0, "loss": 0.751, "followed_score": 0.25}
            message = f"epoch {half / 20:.1f} of 4, loss 0.751"
            observe(Event(time=half / 2, stage="probe", message=message, **training))  # type: ignore[arg-type]
        ended = Event(
            time=40.5,
            stage="probe",
            message="accuracy 50.0%",
            kind=Kind.TRIAL_ENDED,
            candidate="a@1/f",
            score=0.5,
        )
        observe(ended)
    text = out.getvalue()
    assert "25.0" not in text  # a score on the first few images is not the candidate's
    lines = re.findall(r"\[ +[0-9.]+ s\] probe", text)
    assert len(lines) == (1 if terminal else 4)
    assert "50.0%" in text


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
    said = Event(time=1.0, stage="probe", message="accuracy 88.9%", score=0.889, best=0.889)
    assert logged(said).count("88.9") == 1


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


BEST = "timm:mobilenetv3_small_100.lamb_in1k@96/fine_tune:all"
VERY_LONG = "timm:vit_base_patch16_clip_quickgelu_378.dfn5b_ft_in12k_in1k@378/fine_tune:all?layer_decay=0.65&lr=0.0003"


def training(candidate: str = BEST, epoch: float = 1.6) -> Standing:
    started = event(90.0, candidate=candidate, kind=Kind.TRIAL_STARTED, forecast=42.0, best=0.5, left=3710.0)
    more = {"best": 0.9312, "low": 0.912, "high": 0.951, "memory": 1_840_000_000, "granted": 8_000_000_000}
    values = {"epoch": epoch, "epochs": 4.0, "loss": 0.4118}
    going_on = event(100.0, candidate=candidate, kind=Kind.TRAINING, values=values, left=3700.0, **more)
    return after(after(None, started), going_on)


@pytest.mark.parametrize("candidate", [BEST, VERY_LONG])
@pytest.mark.parametrize("width", [30, 40, 60, 80, 100])
def test_a_panel_of_any_width_has_every_fact_in_whole_words(width: int, candidate: str) -> None:
    text = plain(panel(training(candidate), 2.0, width))
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    words = " ".join(text.split())
    for fact in ("probe", "epoch 1.6 of 4", "loss 0.412", "30 s to go", "1 h 02 min left of 1 h 03 min"):
        assert fact in words, words
    assert "best 93.1% [91.2–95.1]" in words
    assert candidate.removeprefix("timm:") in re.sub(r"\s", "", text)  # whole, on one line or on several
    assert ("GB" in text) is (width >= 60)


def test_a_panel_of_eighty_columns_is_four_lines() -> None:
    assert plain(panel(training(), 2.0, 80)).splitlines() == [
        "probe mobilenetv3_small_100.lamb_in1k@96/fine_tune:all",
        "████████░░░░░░░░░░░░   40%  epoch 1.6 of 4  loss 0.412  30 s to go",
        "░░░░░░░░░░░░░░░░░░░░    3%  1 h 02 min left of 1 h 03 min  1.8 of 8.0 GB",
        "best 93.1% [91.2–95.1]",
    ]


def test_the_bars_move_without_colours() -> None:
    bars = [plain(panel(training(epoch=epoch), 2.0, 80)).splitlines()[1][:20] for epoch in (0.5, 2.0, 4.0)]
    assert len(set(bars)) == 3


def test_a_step_with_a_forecast_and_no_epochs_moves_by_the_clock_and_may_be_late() -> None:
    closed = after(None, event(1.0, candidate="a@1/knn", kind=Kind.TRIAL_STARTED, left=9.0, forecast=5.0))
    assert "  20%  4.0 s to go" in plain(panel(closed, 1.0, 80))
    late = plain(panel(closed, 12.0, 80))
    assert " 100%  7.0 s over its forecast" in late


def test_a_step_without_a_forecast_ends_by_its_speed_so_far() -> None:
    started = after(None, event(0.0, "control", candidate="a@1/scratch", kind=Kind.CONTROL_STARTED))
    values = {"epoch": 1.0, "epochs": 4.0, "loss": None}
    standing = after(
        started, event(10.0, "control", candidate="a@1/scratch", kind=Kind.TRAINING, values=values)
    )
    text = plain(panel(standing, 0.0, 80))
    assert "30 s to go" in text and "going on" in text  # which control it is


def test_the_best_has_its_candidate_as_long_as_that_is_known() -> None:
    found = after(None, event(1.0, candidate="a@1/knn", kind=Kind.TRIAL_ENDED, score=0.81, best=0.81))
    assert "best 81.0% a@1/knn" in plain(panel(found, 0.0, 80))
    same = after(found, event(2.0, candidate="b@1/knn", kind=Kind.TRIAL_ENDED, score=0.7, best=0.81))
    assert "best 81.0% a@1/knn" in plain(panel(same, 0.0, 80))
    unknown = after(same, event(3.0, candidate="c@1/knn", kind=Kind.TRIAL_ENDED, score=0.7, best=0.79))
    assert plain(panel(unknown, 0.0, 80)).endswith("best 79.0%")
    control = event(4.0, "control", candidate="pixels@16/ridge", kind=Kind.TRIAL_ENDED, score=0.81, best=0.81)
    assert "pixels" not in plain(panel(after(found, control), 0.0, 80)).partition("best")[2]


@pytest.mark.parametrize("width", [40, 80])
def test_a_line_that_stays_has_score_and_candidate_whole(width: int) -> None:
    ended = event(61.5, candidate=BEST, kind=Kind.TRIAL_ENDED, score=0.5, best=0.93)
    lines = plain(kept(ended, width)).splitlines()
    assert max(map(len, lines)) <= width
    assert "[  61.5 s] probe" in lines[0] and "50.0%" in lines[0]
    assert BEST.removeprefix("timm:") in "".join(line.strip() for line in lines)


def test_a_trial_without_a_score_stays_with_its_reason() -> None:
    failed = Event(
        time=1.0, stage="probe", message="diverged (not finite)", kind=Kind.TRIAL_ENDED, candidate="a@1/f"
    )
    assert "a@1/f diverged (not finite)" in plain(kept(failed, 80))


def test_a_notebook_has_one_block_that_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    class Handle:
        def update(self, content: dict[str, str], *, raw: bool) -> None:
            shown.append(content["text/html"])

    def display(content: dict[str, str], *, raw: bool, display_id: bool) -> Handle:
        shown.append("new " + content["text/html"])
        return Handle()

    ipython = types.SimpleNamespace(
        get_ipython=lambda: types.SimpleNamespace(kernel=1),
        display=types.SimpleNamespace(display=display),
    )
    monkeypatch.setitem(sys.modules, "IPython", ipython)  # type: ignore[misc]
    with live() as observe:
        observe(event(1.0, "load <b>", left=9.0))
        observe(event(2.0, candidate="a@1/knn", score=0.5, best=0.5, left=8.0))
    assert [text[:9] for text in shown] == ["new <pre>", "<pre>prob"]
    assert "&lt;b&gt;" in shown[0]


def test_a_terminal_that_cannot_draw_again_has_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    out = Terminal()
    with live(stream=out) as observe:
        observe(event(1.0, "load", left=9.0))
    assert out.getvalue() == "[   1.0 s] load       going on · 9.0 s left\n"


def test_quiet_is_quiet() -> None:
    out = Terminal()
    with live(quiet=True, stream=out) as observe:
        observe(event(1.0))
    assert out.getvalue() == ""


def test_durations_and_names_for_people() -> None:
    printed = [printable(duration(s)) for s in (0.0, 0.9999, 59.96, 3600)]
    assert printed == ["0 ms", "1.0 s", "1 min 00 s", "1 h 00 min"]
    assert printable("a\x1b[0mb\nc") == "a\ufffd[0mb\ufffdc"
