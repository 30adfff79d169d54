"""Every sentence a person reads about a run: one function for each kind of fact.

Terminal, HTML, Markdown and the ``text`` fields of JSON all ask `sentence`. Candidates' and files' names
stand in sentences as they are; whoever prints escapes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from autotl.candidates import limits
from autotl.records.facts import Fact, Kind, fact

__all__ = ["SENTENCES", "row_reason", "sentence", "sentences"]


def sentence(fact: Fact) -> str:
    """Return the fact as an English sentence, without its full stop."""
    return SENTENCES[fact.kind](**fact.values)


def sentences(facts: Iterable[Fact]) -> tuple[str, ...]:
    """Return a sentence for each fact, each once, in their order."""
    return tuple(dict.fromkeys(map(sentence, facts)))


def row_reason(reason: str, notes: Iterable[Fact]) -> str:
    """Return the text beside a leaderboard row: its reason, or else the notes on its best trial."""
    return reason or "; ".join(sentences(notes))


def _text(text: str) -> str:
    return text


# Why a backbone is not tried.


def _unusable(message: str) -> str:
    return message


def _too_many_parameters(parameters: int, allowed: int) -> str:
    return limits.text(fact(Kind.TOO_MANY_PARAMETERS, parameters=parameters, allowed=allowed))


def _weights_over_memory(bytes: int, allowed: int) -> str:  # noqa: A002 - the value's name
    return limits.text(fact(Kind.WEIGHTS_OVER_MEMORY, bytes=bytes, allowed=allowed))


def _licence_not_allowed(licence: str, allowed: list[str]) -> str:
    return limits.text(fact(Kind.LICENCE_NOT_ALLOWED, licence=licence, allowed=allowed))


def _weights_missing_offline(backbone: str) -> str:
    return (
        "its weights are not on this machine and this run is offline; with a connection, fetch them with "
        f"`autotl backbones --fetch {backbone}`"
    )


def _download_too_late(backbone: str, bytes: int) -> str:  # noqa: A002 - the value's name
    return (
        f"{bytes / 1e6:.0f} MB had not arrived in time; fetch them with `autotl backbones --fetch {backbone}`"
    )


def _too_slow(latency: float, allowed: float) -> str:
    return f"{latency * 1e3:.1f} ms an image, more than the {allowed * 1e3:.1f} ms allowed"


def _ranked_too_low(place: int, of: int, rows: int) -> str:
    basis = f"judged on {rows} images" if rows else "by prior alone"
    return f"place {place} of {of} before training, {basis}"


SENTENCES: dict[Kind, Callable[..., str]] = {
    Kind.TEXT: _text,
    # Why a backbone is not tried.
    Kind.UNUSABLE: _unusable,
    Kind.TOO_MANY_PARAMETERS: _too_many_parameters,
    Kind.WEIGHTS_OVER_MEMORY: _weights_over_memory,
    Kind.LICENCE_NOT_ALLOWED: _licence_not_allowed,
    Kind.WEIGHTS_MISSING_OFFLINE: _weights_missing_offline,
    Kind.DOWNLOAD_TOO_LATE: _download_too_late,
    Kind.TOO_SLOW: _too_slow,
    Kind.RANKED_TOO_LOW: _ranked_too_low,
}
