"""Make the checks of a plugin in a child process, so that one that hangs or ends its process is named, too."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from signal import Signals
from typing import Any

import msgspec

from autotl.errors import AutotlError, PluginError
from autotl.testing.checks import HUNG, Check, Outcome, checks, outcome_of
from autotl.testing.contract import CHECK_SECONDS

__all__ = ["outcomes_aside"]

START_SECONDS = 120.0  # for Python, the plugin's import and its listing
GRACE = 10.0  # beyond a check's own limit, which a loop in C does not obey


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A line of the child: the check that begins, its outcome, the plugin that does not exist, or the end."""

    begins: tuple[str, str, str] | None = None  # subject, name and requirement of the check
    outcome: Outcome | None = None
    unknown: str = ""
    ended: bool = False


@dataclass(slots=True)
class _Child:
    """A process that makes the checks but the first few, and its messages."""

    process: subprocess.Popen[bytes]
    messages: queue.SimpleQueue[Message | None] = field(default_factory=queue.SimpleQueue)

    def read(self) -> None:
        assert self.process.stdout is not None
        decoder = msgspec.json.Decoder(Message)
        with self.process.stdout as lines:
            for line in lines:
                try:
                    self.messages.put(decoder.decode(line))
                except msgspec.DecodeError:
                    continue  # written by the plugin past everything
        self.messages.put(None)


def outcomes_aside(
    plugin: str, seconds: float = CHECK_SECONDS, begins: Callable[[str], Any] = lambda check: None
) -> Iterator[Outcome]:
    """Make the checks of a plugin one by one in a child process, and yield their outcomes.

    A check that takes over `seconds`, or ends the process, has failed, and the later ones of its subject are skipped.
    `begins` is called with the text of each check before it is made. Raises `AutotlError` when there is no such plugin.
    """
    made, hung = 0, set[str]()
    while True:
        child = _start(plugin, made, hung, seconds)
        running: tuple[str, str, str] | None = None
        begun, problem = time.monotonic(), ""
        try:
            while True:
                try:
                    message = child.messages.get(timeout=seconds + GRACE if running else START_SECONDS)
                except queue.Empty:
                    problem = f"took over {time.monotonic() - begun:.0f} s and did not let go of Python"
                    break
                if message is None:
                    problem = _ended(child.process.wait())
                    break
                if message.unknown:
                    raise AutotlError(message.unknown)
                if message.ended:
                    return
                if message.begins is not None:
                    running, begun = message.begins, time.monotonic()
                    begins(f"{running[0]} / {running[1]}")
                if message.outcome is not None:
                    made, running = made + 1, None
                    yield message.outcome
        finally:
            child.process.kill()
            child.process.wait()
        if running is None:
            raise PluginError(f"{problem} while it was imported or listed", plugin=plugin, hook="import")
        subject, name, requirement = running
        spent = round(time.monotonic() - begun, 3)
        yield Outcome(
            subject=subject,
            check=name,
            requirement=requirement,
            status="failed",
            message=problem,
            seconds=spent,
        )
        made += 1
        hung.add(subject)


def _start(plugin: str, made: int, hung: set[str], seconds: float) -> _Child:
    process = subprocess.Popen(
        [sys.executable, "-m", "autotl.testing.isolated", plugin, str(made), str(seconds), *sorted(hung)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    child = _Child(process)
    threading.Thread(target=child.read, daemon=True).start()
    return child


def _ended(code: int) -> str:
    return f"ended its process {f'by {Signals(-code).name}' if code < 0 else f'with exit code {code}'}"


def main(arguments: Sequence[str]) -> None:
    """Make the checks of a plugin but the first few, and write messages; what the plugin prints goes to the log."""
    plugin, made, seconds, *hung = arguments
    lines = os.fdopen(os.dup(1), "wb", 0)
    os.dup2(2, 1)

    def write(message: Message) -> None:
        lines.write(msgspec.json.encode(message) + b"\n")

    try:
        waiting: list[Check] = checks(plugin)[int(made) :]
    except AutotlError as error:
        write(Message(unknown=str(error)))
        return
    stopped = dict.fromkeys(hung, HUNG)
    for check in waiting:
        write(Message(begins=(check.subject, check.name, check.requirement)))
        write(Message(outcome=outcome_of(check, stopped, float(seconds))))
    write(Message(ended=True))


if __name__ == "__main__":
    main(sys.argv[1:])
