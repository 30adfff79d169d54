"""``new``: the package of a new plugin."""

from __future__ import annotations

from pathlib import Path

import click

KINDS = ("backbone", "strategy", "score", "source", "planner", "tracker")


@click.command(epilog="Example: autotl new score my-score", short_help="Write the package of a new plugin.")
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("name")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder to write; must be new or empty.  [default: autotl-NAME]",
)
def new(kind: str, name: str, out: Path | None) -> None:
    """Write a package that adds a KIND to autotl: module, entry point, test, README and licence.

    It can be installed and passes its own tests as it is written; change the module from there.
    """
    from autotl.testing.new_package import write

    folder = write(kind, name, out)
    click.echo(f"Wrote {folder}")
    click.echo(f"Next: pip install -e {folder} && autotl check {folder}")


COMMANDS: tuple[click.Command, ...] = (new,)
