"""``check``: whether a plugin keeps what it promises."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from autotl.testing import Outcome

_MARK = {"passed": "ok", "failed": "FAILED", "skipped": "skipped"}


@click.command(
    epilog="Example: autotl check autotl.scores", short_help="Whether a plugin keeps what it promises."
)
@click.argument("plugin", metavar="PLUGIN")
@click.option("--json", "as_json", is_flag=True, help="As JSON, with what each check promises.")
def check(plugin: str, as_json: bool) -> None:
    """Whether a plugin keeps what it promises: its hooks, and each backbone, strategy and score it adds.

    PLUGIN is the name of an installed plugin, a module, a Python file or a project's folder. Backbones
    are built and trained for two steps, strategies on a toy; nothing is downloaded. Exits with 1 when a
    check fails.
    """
    import sys

    import msgspec

    from autotl.cli import show
    from autotl.errors import PluginError
    from autotl.report.text import printable
    from autotl.testing import outcomes

    live = sys.stderr.isatty()
    found: list[Outcome] = []
    for outcome in outcomes(plugin):
        found.append(outcome)
        if live:
            click.echo(f"\r\033[K{printable(str(outcome.subject))}", nl=False, err=True)
    if live:
        click.echo("\r\033[K", nl=False, err=True)
    failed = [outcome for outcome in found if outcome.status == "failed"]
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=1).decode())
    else:
        rows = [(printable(o.subject), o.check, _MARK[o.status], f"{o.seconds:.1f} s") for o in found]
        show.rows_table(("what", "check", "", "time"), rows, right=("time",), elastic=0)
        for reason in dict.fromkeys(f"{o.subject}: {o.message}" for o in found if o.status == "skipped"):
            click.echo(printable(f"skipped, {reason}"))
        for outcome in failed:
            click.echo(f"\n{printable(outcome.subject)} / {outcome.check}")
            click.echo(f"  requires: {outcome.requirement}\n  found:    {printable(outcome.message)}")
    if failed:
        raise PluginError(
            f"{len(failed)} of {len(found)} checks failed, the first: {failed[0].message}",
            plugin=plugin,
            hook=f"{failed[0].subject} / {failed[0].check}",
        )
    if not as_json:
        passed = sum(outcome.status == "passed" for outcome in found)
        click.echo(f"\n{passed} checks passed, {len(found) - passed} skipped.")


COMMANDS: tuple[click.Command, ...] = (check,)
