"""Format durations and names for a terminal."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Seconds for people.

    >>> duration(0.042), duration(7.25), duration(95), duration(4000)
    ('42 ms', '7.2 s', '1m 35s', '1h 07m')
    """
    if seconds < 0.9995:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds) // 60
    if minutes < 60:
        return f"{minutes}m {round(seconds) % 60:02d}s"
    return f"{minutes // 60}h {minutes % 60:02d}m"


def printable(text: str) -> str:
    """The text without control characters: names come from files, and a terminal obeys them."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )
