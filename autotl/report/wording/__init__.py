"""Every sentence a person reads about a run: one function for each kind of fact.

Terminal, HTML, Markdown and the ``text`` fields of JSON all ask `sentence`. Candidates' and files' names
stand in sentences as they are; whoever prints escapes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from autotl.records.facts import Fact, Kind

__all__ = ["SENTENCES", "sentence", "sentences"]


def sentence(fact: Fact) -> str:
    """Return the fact as an English sentence, without its full stop."""
    return SENTENCES[fact.kind](**fact.values)


def sentences(facts: Iterable[Fact]) -> tuple[str, ...]:
    """Return a sentence for each fact, each once, in their order."""
    return tuple(dict.fromkeys(map(sentence, facts)))


def _text(text: str) -> str:
    return text


SENTENCES: dict[Kind, Callable[..., str]] = {
    Kind.TEXT: _text,
}
