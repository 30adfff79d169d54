"""Events and standings as text: lines of a log, lines that stay in a terminal, and the panel below them.

Nothing is cut: what does not fit beside the rest goes to a line of its own, and a name that is wider than the
terminal is broken where one of its parts ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from autotl.progress import standing as standings
from autotl.progress.standing import Standing
from autotl.records import Event, Kind
from autotl.records.candidate_id import without_origin
from autotl.report.format import duration, interval, name_parts, percent, printable

__all__ = ["Line", "Span", "kept", "logged", "panel", "plain"]

NARROW = 60  # columns below which a bar is short and memory is not shown
_BAR, _SHORT_BAR = 20, 8  # cells
FULL, EMPTY = "█", "░"  # told apart without colours
_HANGING = 2  # columns by which a line that continues another is indented


class Span(NamedTuple):
    """Text of one style; an empty style is the terminal's own."""

    text: str
    style: str = ""


Line = list[Span]


def plain(lines: Sequence[Line]) -> str:
    """Return lines without their styles."""
    return "\n".join("".join(span.text for span in line) for line in lines)


def logged(event: Event) -> str:
    """Return an event as one line of a log."""
    parts = [" ".join(event.message.split())]
    if event.candidate:
        parts.insert(0, event.candidate)
    if event.forecast is not None:
        parts.append(f"forecast {duration(event.forecast)}")
    if event.best is not None and not standings.is_best(event):
        parts.append(f"best {_best(event)}")
    if event.left is not None:
        parts.append(f"{duration(event.left)} left")
    return printable(f"[{event.time:6.1f} s] {event.stage:<10} " + " · ".join(part for part in parts if part))


def kept(event: Event, width: int) -> list[Line]:
    """Return the lines of an event that stays in the terminal: when, which step, its score and its candidate."""
    begin = f"[{event.time:6.1f} s] {printable(event.stage):<10}"
    message = printable(" ".join(event.message.split()))
    score = event.score
    if event.kind is Kind.SCORED:
        score = event.values["ranking_scores"].get("linear")
    pieces = []
    if score is not None:
        pieces.append(f"{printable(percent(score)):>7}")
    if event.candidate:
        pieces.append(printable(without_origin(event.candidate)))
    if event.kind is Kind.SCORED:
        pieces.append(f"({event.values['images']:,} images)")
    elif score is None or event.kind is not Kind.TRIAL_ENDED:
        pieces += message.split(" ")
    return packed(
        [Span(begin, "dim"), *(Span(piece, "dim") for piece in pieces if piece.strip())], width, " "
    )


def panel(standing: Standing, since: float, width: int) -> list[Line]:
    """Return the panel `since` seconds after the last event: the step, its progress, the run's time, the best."""
    event = standing.event
    first = [Span(printable(event.stage), "bold cyan")]
    if event.candidate:
        first.append(Span(printable(without_origin(event.candidate))))
    control = event.stage == "control"
    told = standing.what if control or not event.candidate else ""
    first += [Span(word, "dim") for word in printable(told).split()]
    lines = packed(first, width, " ")
    for progress in (_step(standing, since, width), _time(event, since, width)):
        lines += packed(progress, width, "  ") if progress else []
    if event.best is not None:
        best = [Span("best"), *(Span(part, "bold green") for part in _best(event).split("  "))]
        if standing.best_candidate:
            best.append(Span(printable(without_origin(standing.best_candidate)), "dim"))
        lines += packed(best, width, " ")
    return lines


def _step(standing: Standing, since: float, width: int) -> Line:
    """Return how far the step is; nothing where that is unknown and it only began."""
    event, spans = standing.event, []
    part, ahead = standings.share(standing, since), standings.to_go(standing, since)
    if part is not None:
        spans += [*_bar(part, width), Span(f"{percent(part, 0):>4}")]
    if event.kind is Kind.TRAINING:
        spans.append(Span(f"epoch {event.values['epoch']:.1f} of {event.values['epochs']:g}"))
        if event.values["loss"] is not None:
            spans.append(Span(f"loss {event.values['loss']:.3f}"))
    if ahead is not None:
        text = f"{duration(ahead)} to go" if ahead > 0 else f"{duration(-ahead)} over its forecast"
        spans.append(Span(printable(text), "dim"))
    return spans


def _time(event: Event, since: float, width: int) -> Line:
    """Return how much of the run's time is used, and its memory."""
    spans = []
    if event.left is not None and event.time + event.left > 0:
        total, left = event.time + event.left, max(0.0, event.left - since)
        used = 1 - left / total
        spans += [*_bar(used, width), Span(f"{percent(used, 0):>4}")]
        spans.append(Span(printable(f"{duration(left)} left of {duration(total)}")))
    if event.memory and event.granted and width >= NARROW:
        spans.append(Span(f"{event.memory / 1e9:.1f} of {event.granted / 1e9:.1f} GB", "dim"))
    return spans


def _bar(part: float, width: int) -> list[Span]:
    cells = _BAR if width >= NARROW else _SHORT_BAR
    full = min(cells, int(cells * part))
    return [Span(FULL * full + EMPTY * (cells - full), "cyan")]


def _best(event: Event) -> str:
    """Return the best score so far, with its interval if there is one."""
    if event.low is None or event.high is None:
        return printable(percent(event.best))
    return printable(f"{percent(event.best)} [{interval(event.low, event.high)}]")


def packed(spans: Sequence[Span], width: int, gap: str) -> list[Line]:
    """Return spans in lines of at most `width` columns, with `gap` between two; later lines hang."""
    lines: list[Line] = [[]]
    used = 0
    for span in spans:
        for piece, joined in _parts(span, width - _HANGING):
            part = piece
            between = "" if joined or not lines[-1] else gap
            if lines[-1] and used + len(between) + len(part.text) > width:
                lines.append([Span(" " * _HANGING)])
                used, between = _HANGING, ""
            used += len(between) + len(part.text)
            if lines[-1] and lines[-1][-1].style == part.style:
                part = Span(lines[-1].pop().text + between + part.text, part.style)
            elif between:
                lines[-1].append(Span(between))
            lines[-1].append(part)
    return lines


def _parts(span: Span, most: int) -> Iterator[tuple[Span, bool]]:
    """Yield the span, in pieces if it is wider than `most`; the second value: it continues the piece before."""
    for number, piece in enumerate(name_parts(span.text, most)):
        yield Span(piece, span.style), number > 0
