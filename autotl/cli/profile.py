"""``profile``: the data, before any run."""

from __future__ import annotations

from typing import Any

import click

from autotl.cli.echo import emit
from autotl.cli.options import AS_JSON, options
from autotl.options import READING


@click.command(
    epilog="Example: autotl profile photos/",
    short_help="Show classes, image sizes and problems of the data.",
)
@click.argument("source", metavar="DATA")
@options(*READING)
@AS_JSON
def profile(source: str, as_json: bool, **given: Any) -> None:
    """Show classes, image sizes and problems of the data. Trains nothing."""
    import msgspec

    from autotl.cli import terminal
    from autotl.run import profile as profile_of

    profiled = profile_of(source, **given)
    if as_json:
        emit(msgspec.json.format(msgspec.json.encode(profiled), indent=1) + b"\n")
    else:
        terminal.profile(profiled)


COMMANDS: tuple[click.Command, ...] = (profile,)
