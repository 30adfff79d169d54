"""``evaluate``: the model of a run on labelled images that it has not seen."""

from __future__ import annotations

from typing import Any

import click

from autotl.cli.options import AS_JSON, RUN, option, options


@click.command(
    epilog="Example: autotl evaluate runs/photos photos-later/",
    short_help="Evaluate the model of a run on new labelled images.",
)
@RUN
@click.argument("source", metavar="DATA")
@options("group", "label")
@option("device")
@AS_JSON
def evaluate(folder: str, source: str, group: str | None, label: Any, device: str, as_json: bool) -> None:
    """Evaluate the model of a run on new labelled images: scores, classes, confusions, calibration, shift.

    DATA is as in `autotl run`; all its images are used, whichever part they are in. Its labels must be those
    of the run. Images that the run was trained on make every figure too high. Writes nothing.
    """
    import msgspec

    from autotl.cli import terminal
    from autotl.run import load

    found = load(folder).evaluate(source, group=group, label=label, device=device)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=1).decode())
    else:
        terminal.evaluation(found)


COMMANDS: tuple[click.Command, ...] = (evaluate,)
