"""Text on standard output and standard error. Names come from files, so no control character of theirs gets out."""

from __future__ import annotations

import sys

import click

__all__ = ["emit", "say"]


def say(text: str = "", *, err: bool = False) -> None:
    """Print sentences for a person, without control characters."""
    click.echo(_plain(text), err=err)


def emit(text: str | bytes) -> None:
    """Print JSON or a table for a program: byte for byte, but on a terminal without control characters."""
    content = text.decode() if isinstance(text, bytes) else text
    click.echo(_plain(content) if sys.stdout.isatty() else content, nl=False)


def _plain(text: str) -> str:
    from autotl.report.format import printable

    return "\n".join(map(printable, text.split("\n")))
