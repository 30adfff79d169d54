"""Progress of a run on standard error: a live panel in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from autotl.records import Event, Kind
from autotl.report.format import duration, interval, percent, printable

if TYPE_CHECKING:
    from rich.console import RenderableType

Observer = Callable[[Event], None]

_REDRAWN, _LOGGED = 0.2, 30.0  # seconds between two counts, in a terminal and in a log
_SEPARATE = {"plugins"}  # stages of which every event is shown
_QUIETER = 1.0  # seconds between two plain lines on the progress of one candidate
_TRAINING = 15.0  # the same for a candidate that is training, which reports twice a second


def line(event: Event) -> str:
    """Return an event as one line of text."""
    parts = [" ".join(event.message.split())]
    if event.candidate:
        parts.insert(0, event.candidate)
    if event.forecast is not None:
        parts.append(f"forecast {duration(event.forecast)}")
    if event.best is not None and event.best != event.score:
        parts.append(f"best {_best(event)}")
    if event.left is not None:
        parts.append(f"{duration(event.left)} left")
    return printable(f"[{event.time:6.1f} s] {event.stage:<10} " + " · ".join(part for part in parts if part))


def _best(event: Event) -> str:
    """Return the best score so far, with its interval if there is one."""
    if event.low is None or event.high is None:
        return printable(percent(event.best))
    return printable(f"{percent(event.best)} [{interval(event.low, event.high)}]")


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f}"


@contextmanager
def live(*, quiet: bool = False, stream: TextIO | None = None) -> Iterator[Observer]:
    """Yield an observer of events for the block. `stream` is standard error by default."""
    stream = stream or sys.stderr
    if quiet:
        yield lambda _event: None
    elif stream.isatty():
        with _panel(stream) as observer:
            yield observer
    else:
        yield _plain(stream)


@contextmanager
def counting(*, quiet: bool = False, stream: TextIO | None = None) -> Iterator[Callable[[int, int], None]]:
    """Yield a function that takes the number of finished images and of failed ones among them, and shows them.

    A terminal has one line that is overwritten; elsewhere a line is written every half minute.
    """
    stream = stream or sys.stderr
    terminal = stream.isatty()
    begun = shown = time.monotonic()
    last = (0, 0)

    def show(end: str) -> None:
        finished, bad = last
        seconds = time.monotonic() - begun
        failed = f", {bad:,} unreadable" if bad else ""
        stream.write(f"{finished:,} images{failed}, {finished / max(seconds, 1e-9):,.0f} images/s{end}")
        stream.flush()

    def count(finished: int, bad: int) -> None:
        nonlocal shown, last
        last = (finished, bad)
        if not quiet and time.monotonic() - shown > (_REDRAWN if terminal else _LOGGED):
            shown = time.monotonic()
            show("\x1b[K\r" if terminal else "\n")

    yield count
    if not quiet and shown > begun:
        show("\x1b[K\n" if terminal else "\n")


def _plain(stream: TextIO) -> Observer:
    last: list[Event] = []

    def observe(event: Event) -> None:
        same = (
            event.stage not in _SEPARATE
            and last
            and (last[0].stage, last[0].candidate) == (event.stage, event.candidate)
            and (event.kind is Kind.TRAINING or event.kind is last[0].kind)
        )
        training = event.kind is Kind.TRAINING
        pause = _TRAINING if training else _QUIETER
        if same and (training or event.score is None) and event.time - last[0].time < pause:
            return
        last[:] = [event]
        stream.write(line(event) + "\n")
        stream.flush()

    return observe


@contextmanager
def _panel(stream: TextIO) -> Iterator[Observer]:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(file=stream, highlight=False, markup=False)
    seen: list[Event] = []
    arrived = time.monotonic()

    def now() -> RenderableType:
        return two_lines(seen[-1], time.monotonic() - arrived, console.width) if seen else Text("")

    def observe(event: Event) -> None:
        nonlocal arrived
        # A finished step stays on the screen as a line; the current one is the panel below it.
        over = seen and not _ends(seen[-1]) and seen[-1].kind is not Kind.TRAINING
        if over and event.stage != seen[-1].stage:
            console.print(Text(line(seen[-1])), style="dim", overflow="ellipsis", no_wrap=True)
        if _ends(event):
            console.print(Text(line(event)), style="dim", overflow="ellipsis", no_wrap=True)
        seen[:] = [event]
        arrived = time.monotonic()

    with Live(get_renderable=now, console=console, refresh_per_second=4, transient=True):
        yield observe


def _ends(event: Event) -> bool:
    """Return whether an event stays on the screen as a line: a step that ended, or what is named one by one."""
    scored = event.score is not None and event.kind is not Kind.TRAINING
    return scored or event.stage in _SEPARATE


def two_lines(event: Event, since: float, width: int) -> RenderableType:
    """Return two lines: the current step, and how much of the budget is used `since` seconds after the event."""
    from rich.console import Group
    from rich.text import Text

    what = printable(" ".join(event.message.split()))
    if event.candidate:
        what = f"{printable(event.candidate)}  {what}"
    first = Text.assemble((event.stage, "bold cyan"), "  ", what, overflow="ellipsis", no_wrap=True)
    if event.forecast is not None:
        ahead = event.forecast - since
        text = f"  {duration(ahead)} to go" if ahead > 0 else f"  {duration(-ahead)} over its forecast"
        first.append(printable(text), "dim")
    second = Text(overflow="ellipsis", no_wrap=True)
    if event.left is not None and event.time + event.left > 0:
        cells = max(8, min(24, width - 66))
        left = max(0.0, event.left - since)
        full = round(cells * (1 - left / (event.time + event.left)))
        second.append("━" * full, "cyan").append("━" * (cells - full), "dim")
        second.append(printable(f"  {duration(left)} left"))
    if event.best is not None:
        second.append("  ·  best ").append(_best(event), "bold green")
    if event.memory and event.granted:
        second.append(f"  ·  {_gigabytes(event.memory)} of {_gigabytes(event.granted)} GB", "dim")
    return Group(first, second)
