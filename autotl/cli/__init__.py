"""The command line: parse, call one function, print.

Only click and autotl's errors are imported at the top, here and in the commands' modules, so that
``autotl --help`` answers at once and loads no plugin; what a command needs is imported inside it.
"""

from __future__ import annotations

import errno
import signal
import threading
import time
from typing import Any

import click

from autotl import __version__
from autotl.cli import audit, check, listing, machine, outcome, predict, run
from autotl.errors import AutotlError

__all__ = ["main"]

INTERRUPTED = 130
PATIENCE = 5.0  # seconds after Ctrl-C in which another is not heard


class Handled(click.ClickException):
    """Something the user can put right: one line on standard error, exit code 1."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class Commands(click.Group):
    """Commands in the order one meets them; errors as one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        _interrupt_once()
        try:
            return super().invoke(ctx)
        except AutotlError as error:
            raise Handled(str(error)) from error
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(INTERRUPTED)
        except MemoryError as error:
            raise Handled(
                "out of memory; close other programs, or ask for less: fewer --backbones, or smaller ones"
            ) from error
        except OSError as error:
            told = _told(error)
            if told is None:
                raise
            raise Handled(told) from error


def _told(error: OSError) -> str | None:
    """What the user can put right of what the system refuses, in words; None where it is our bug."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        where = f" while writing {error.filename}" if error.filename else ""
        return f"the disk is full{where}; free some space, or choose another --out"
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS} and error.filename:
        return (
            f"{error.filename}: {(error.strerror or 'not permitted').lower()}; expected a place that may be read"
            " and written; change its permissions, or choose another --out"
        )
    return None


def _interrupt_once() -> None:
    """Ctrl-C and termination alike end a run in order, which takes seconds; another in that time changes nothing."""
    if threading.current_thread() is not threading.main_thread():
        return
    heard: list[float] = []

    def interrupt(_number: int, _frame: object) -> None:
        now = time.monotonic()
        if not heard or now - heard[0] > PATIENCE:
            heard[:] = [now]
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with: autotl demo, or: autotl run FOLDER",
)
@click.version_option(__version__, "-V", "--version", prog_name="autotl")
def main() -> None:
    """Which pretrained backbone for this data set, frozen or fine-tuned, and how deep?

    autotl measures it within a time budget, says how sure it is, and leaves a leaderboard, a report
    and a trained model.
    """


for _command in (
    *run.COMMANDS,
    *outcome.COMMANDS,
    *predict.COMMANDS,
    *audit.COMMANDS,
    *listing.COMMANDS,
    *check.COMMANDS,
    *machine.COMMANDS,
):
    main.add_command(_command)
