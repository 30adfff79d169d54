"""``check``: test a plugin against its contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from autotl.testing import Outcome

_MARK = {"passed": "ok", "failed": "FAILED", "skipped": "skipped"}


@click.command(epilog="Example: autotl check autotl.scores", short_help="Test a plugin against its contract.")
@click.argument("plugin", metavar="PLUGIN")
@click.option(
    "--limit",
    type=click.FloatRange(min=1),
    default=120.0,
    show_default=True,
    metavar="SECONDS",
    help="Time limit of each check.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the requirement of each check.")
def check(plugin: str, limit: float, as_json: bool) -> None:
    """Test a plugin against its contract: its hooks, and each backbone, strategy and score that it adds.

    PLUGIN is the name of an installed plugin, a module, a Python file or the folder of a project. Backbones
    are built and trained for two steps, strategies on a small network; nothing is downloaded. The checks are made
    in a process of their own, so that one that hangs or crashes is named. Exits with 1 if a check fails.
    """
    import sys

    import msgspec

    from autotl.cli import terminal
    from autotl.errors import PluginError
    from autotl.report.format import printable
    from autotl.testing.isolated import outcomes_aside

    live = sys.stderr.isatty()

    def show(check: str) -> None:
        if live:
            click.echo(f"\r\033[K{printable(check)}", nl=False, err=True)

    checked: list[Outcome] = list(outcomes_aside(plugin, limit, show))
    if live:
        click.echo("\r\033[K", nl=False, err=True)
    failed = [outcome for outcome in checked if outcome.status == "failed"]
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(checked), indent=1).decode())
    else:
        rows = [(printable(o.subject), o.check, _MARK[o.status], f"{o.seconds:.1f} s") for o in checked]
        terminal.rows_table(("subject", "check", "result", "time"), rows, right=("time",), elastic=0)
        for reason in dict.fromkeys(f"{o.subject}: {o.message}" for o in checked if o.status == "skipped"):
            click.echo(printable(f"skipped, {reason}"))
        for outcome in failed:
            click.echo(f"\n{printable(outcome.subject)} / {outcome.check}")
            click.echo(f"  requirement: {outcome.requirement}\n  result:      {printable(outcome.message)}")
    if failed:
        raise PluginError(
            f"{len(failed)} of {len(checked)} checks failed; the first: {failed[0].message}",
            plugin=plugin,
            hook=f"{failed[0].subject} / {failed[0].check}",
        )
    if not as_json:
        passed = sum(outcome.status == "passed" for outcome in checked)
        click.echo(f"\n{passed} checks passed, {len(checked) - passed} skipped.")


COMMANDS: tuple[click.Command, ...] = (check,)
