"""The command line: parse, call one function, print.

Here and in the modules of the commands, only click, autotl's errors and options are imported at the top, so that
``autotl --help`` is fast and loads no plugin; what a command needs is imported inside it.
"""

from __future__ import annotations

import errno
from typing import Any

import click

from autotl import __version__
from autotl.cli import (
    audit,
    check,
    embed,
    evaluate,
    listing,
    machine,
    new,
    predict,
    profile,
    results,
    run,
    standard_output,
)
from autotl.cli.signals import interrupt_once
from autotl.errors import AutotlError

__all__ = ["main"]

INTERRUPTED = 130


class Handled(click.ClickException):
    """An error that the user can put right: one line on standard error, exit code 1."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        from autotl.report.format import printable

        super().__init__(printable(" ".join(message.split())))


# Commands as `autotl --help` lists them.
SECTIONS = {
    "Run": ("run", "demo", "fit"),
    "Use a run": ("leaderboard", "decide", "report", "predict", "evaluate", "export"),
    "Check a run": ("replay", "diff"),
    "Inspect": ("profile", "backbones", "strategies", "scores", "embed"),
    "Plugins": ("plugins", "check", "new"),
    "Machine": ("cache", "doctor", "completion"),
}


class Commands(click.Group):
    """Commands under headings; errors on one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands under the headings of `SECTIONS`."""
        widest = max(map(len, self.commands))
        for title, names in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(
                    [
                        (name.ljust(widest), self.commands[name].get_short_help_str(limit=100))
                        for name in names
                    ]
                )

    def invoke(self, ctx: click.Context) -> Any:
        interrupt_once()
        try:
            with standard_output.of_the_command():
                return super().invoke(ctx)
        except AutotlError as error:
            raise Handled(str(error)) from error
        except click.UsageError as error:
            from autotl.report.format import printable

            lines = error.format_message().split("\n")  # which may quote a file's name
            raise click.UsageError("\n".join(map(printable, lines)), error.ctx) from error
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(INTERRUPTED)
        except MemoryError as error:
            raise Handled(
                "this machine is out of memory; close other programs, or give fewer or smaller --backbones"
            ) from error
        except OSError as error:
            message = _message(error)
            if message is None:
                raise
            raise Handled(message) from error


def _message(error: OSError) -> str | None:
    """Return the message for an error that the user can put right; None where it is our bug."""
    from autotl.cache import disk_full

    if disk_full(error):
        where = f" while writing {error.filename}" if error.filename else ""
        return f"the disk is full{where}; free some space, or choose another --out"
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS} and error.filename:
        return (
            f"{error.filename}: {(error.strerror or 'not permitted').lower()}; expected a path that can be read"
            " and written; change its permissions, or choose another --out"
        )
    return None


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with: autotl demo, or: autotl run FOLDER",
)
@click.version_option(__version__, "-V", "--version", prog_name="autotl")
def main() -> None:
    """Find the pretrained backbone and the transfer recipe that suit a folder of labelled images.

    autotl measures candidates within a time budget and writes a leaderboard with confidence intervals, a
    report and a trained model.
    """


for _command in (
    *run.COMMANDS,
    *results.COMMANDS,
    *predict.COMMANDS,
    *embed.COMMANDS,
    *evaluate.COMMANDS,
    *audit.COMMANDS,
    *profile.COMMANDS,
    *listing.COMMANDS,
    *check.COMMANDS,
    *new.COMMANDS,
    *machine.COMMANDS,
):
    main.add_command(_command)
