"""Search an expression in the names of images, in a process that can be ended: some expressions take for ever."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

from autotl.errors import DatasetError

__all__ = ["SECONDS", "search"]

SECONDS = 10.0  # far more than any expression takes that does not try the same text in ever more ways
_SEARCH = """\
import json, re, sys
expression, names = json.load(sys.stdin)
found = map(re.compile(expression).search, names)
json.dump([None if m is None else [text or "" for text in m.groups()] or [m.group()] for m in found], sys.stdout)
"""


def search(expression: str, names: Sequence[str]) -> list[list[str] | None]:
    """Return what the groups of a valid expression match in each name, or all that it matches; None where it does not.

    Raises `DatasetError` when that takes more than `SECONDS`: a run folder from someone else may hold any expression.
    """
    command = [sys.executable, "-I", "-S", "-c", _SEARCH]
    try:
        ended = subprocess.run(
            command,
            input=json.dumps([expression, list(names)]).encode(),
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DatasetError(
            f"--group {expression!r} was not matched with {len(names):,} paths within {SECONDS:g} s; expected an"
            " expression that can match a text in few ways; take repetitions within repetitions, such as (a+)+, out of it"
        ) from None
    except OSError as error:
        raise DatasetError(
            f"no process can be started with {sys.executable!r} to match --group ({error}); expected a Python"
            " interpreter; run autotl from one"
        ) from error
    if ended.returncode:
        lines = ended.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        raise DatasetError(
            f"--group {expression!r} cannot be matched ({lines[-1]}); expected a regular expression; correct it"
        )
    found: list[list[str] | None] = json.loads(ended.stdout)
    return found
