"""Make the standard streams usable whatever the command was started with: closed, in another encoding, without reader."""

from __future__ import annotations

import codecs
import os
import sys
from contextlib import suppress
from io import TextIOWrapper

__all__ = ["NAMES", "prepare"]

NAMES = "autotl.names"  # handler of encoding errors
PLAIN = {"─": "-", "–": "-", "−": "-", "…": "...", "×": "x", "±": "+-", "→": "->"}  # in tables and sentences


def prepare() -> None:
    """Open the standard streams that are closed, and let all of them take any text.

    A file that a closed stream's number went to would receive what is printed. A character that the encoding of
    a stream lacks is written as an escape sequence, and the bytes of a file's name as they are.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            _open_null(number)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 (for good)
    codecs.register_error(NAMES, _as_bytes_or_escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # tests put others in its place
            with suppress(OSError, ValueError):
                stream.reconfigure(errors=NAMES)


def _open_null(number: int) -> None:
    opened = os.open(os.devnull, os.O_RDWR)
    if opened != number:
        os.dup2(opened, number)
        os.close(opened)


def _as_bytes_or_escaped(error: UnicodeError) -> tuple[str | bytes, int]:
    """Return what a character is written as that an encoding lacks, and where the text goes on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    character = error.object[error.start]
    if "\udc80" <= character <= "\udcff":  # a byte of a file's name
        return bytes([ord(character) - 0xDC00]), error.start + 1
    plain = PLAIN.get(character) or character.encode("ascii", "backslashreplace").decode("ascii")
    return plain, error.start + 1
