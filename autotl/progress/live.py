"""Shows the events of a run while it goes on, where they are watched: terminal, notebook or log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any, TextIO

from autotl.progress import text
from autotl.progress.standing import Standing, after
from autotl.records import Event, Kind

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["Observer", "live", "until_it_breaks"]

Observer = Callable[[Event], None]

SEPARATE = {"plugins"}  # stages of which every event is shown
QUIETER = 1.0  # seconds between two lines of a log on the progress of one candidate
TRAINING = 15.0  # the same for a candidate that is training, which reports twice a second
NOTEBOOK_WIDTH = 80


@contextmanager
def live(*, quiet: bool = False, stream: TextIO | None = None) -> Iterator[Observer]:
    """Yield an observer of events for the block. `stream` is standard error by default, or the notebook's cell."""
    display = _notebook() if stream is None and not quiet else None
    stream = stream or sys.stderr
    if quiet:
        yield lambda _event: None
    elif display is not None:
        yield _block(display)
    elif stream.isatty():
        with _terminal(stream) as observer:
            yield until_it_breaks(observer)
    else:
        yield until_it_breaks(_log(stream))


def until_it_breaks(observer: Observer) -> Observer:
    """Return the observer without errors of its stream: when a terminal or a reader is gone, the run goes on."""
    broken = False

    def observe(event: Event) -> None:
        nonlocal broken
        if not broken:
            try:
                observer(event)
            except (OSError, ValueError):  # a closed stream raises ValueError
                broken = True

    return observe


def _log(stream: TextIO) -> Observer:
    last: list[Event] = []

    def observe(event: Event) -> None:
        if event.kind is Kind.RUN_ENDED:  # the outcome follows
            return
        same = (
            event.stage not in SEPARATE
            and last
            and (last[0].stage, last[0].candidate) == (event.stage, event.candidate)
            and (event.kind is Kind.TRAINING or event.kind is last[0].kind)
        )
        training = event.kind is Kind.TRAINING
        pause = TRAINING if training else QUIETER
        brief = training or not _ends(event)
        if same and brief and event.time - last[0].time < pause:
            return
        last[:] = [event]
        stream.write(text.logged(event) + "\n")
        stream.flush()

    return observe


@contextmanager
def _terminal(stream: TextIO) -> Iterator[Observer]:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(file=stream, highlight=False, markup=False)
    if console.is_dumb_terminal:  # nothing can be drawn again
        yield _log(stream)
        return
    standing: list[Standing] = []
    arrived = time.monotonic()

    def drawn(lines: list[text.Line]) -> RenderableType:
        return Text("\n").join(Text.assemble(*line, no_wrap=True) for line in lines)

    def now() -> RenderableType:
        if not standing:
            return Text("")
        return drawn(text.panel(standing[-1], time.monotonic() - arrived, console.width))

    def observe(event: Event) -> None:
        nonlocal arrived
        if event.kind is Kind.RUN_ENDED:  # the outcome follows
            return
        # A finished step stays on the screen; the current one is the panel below it.
        before = standing[-1].event if standing else None
        over = before is not None and not _ends(before) and before.kind is not Kind.TRAINING
        if before is not None and over and event.stage != before.stage:
            console.print(drawn(text.kept(before, console.width)))
        if _ends(event):
            console.print(drawn(text.kept(event, console.width)))
        standing[:] = [after(standing[-1] if standing else None, event)]
        arrived = time.monotonic()

    with Live(get_renderable=now, console=console, refresh_per_second=4, transient=True):
        yield observe


def _ends(event: Event) -> bool:
    """Return whether an event stays on the screen: a step that ended, or what is named one by one."""
    ended = event.score is not None or event.kind in {Kind.SCORED, Kind.TRIAL_ENDED}
    return ended or event.stage in SEPARATE


def _notebook() -> Callable[..., Any] | None:
    """Return IPython's `display` in a notebook; None anywhere else, IPython's own terminal too."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return ipython.display.display if ipython is not None and hasattr(shell, "kernel") else None


def _block(display: Callable[..., Any]) -> Observer:
    """Return an observer that draws one block of a cell again: at once for a new step, else once a second."""
    shown = -QUIETER
    standing: list[Standing] = []
    handle: list[Any] = []

    def observe(event: Event) -> None:
        nonlocal shown
        if event.kind is Kind.RUN_ENDED:  # the outcome follows
            return
        standing[:] = [after(standing[-1] if standing else None, event)]
        if event.kind is Kind.TRAINING and time.monotonic() - shown < QUIETER:
            return
        shown = time.monotonic()
        words = text.plain(text.panel(standing[-1], 0.0, NOTEBOOK_WIDTH))
        content = {"text/plain": words, "text/html": f"<pre>{escape(words)}</pre>"}
        if handle:
            handle[0].update(content, raw=True)
        else:
            handle[:] = [display(content, raw=True, display_id=True)]

    return observe
