"""``cache``, ``doctor`` and ``completion``: the machine that autotl runs on."""

from __future__ import annotations

import click

from autotl.cli.echo import say
from autotl.cli.options import SIZE


@click.command(
    epilog="Example: autotl cache --prune 1GB", short_help="Show or clear the cache of image features."
)
@click.option(
    "--prune", type=SIZE, metavar="SIZE", help="Remove the least recently used entries until SIZE is left."
)
@click.option("--clear", is_flag=True, help="Remove all entries.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: folder, bytes, freed.")
def cache(prune: float | None, clear: bool, as_json: bool) -> None:
    """Show or clear the cache of image features and unpacked sources, which makes later runs faster.

    The cache is in $AUTOTL_CACHE, otherwise in the cache folder of the platform. Every entry can be computed
    again. Downloaded weights are in the cache of the Hugging Face hub and are not removed.
    """
    import json

    from autotl.cache import Cache
    from autotl.report.format import file_size

    store = Cache()
    freed = 0
    if clear or prune is not None:
        freed = store.prune(max_bytes=0 if clear else int(prune or 0))
    if as_json:
        click.echo(json.dumps({"folder": str(store.folder), "bytes": store.size(), "freed": freed}))
        return
    if clear or prune is not None:
        click.echo(f"Freed {file_size(freed)}.")
    say(f"{file_size(store.size())} in {store.folder}")


@click.command(
    epilog="Example: autotl doctor", short_help="Check versions, device and network of this machine."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON: facts, warnings, error.")
def doctor(as_json: bool) -> None:
    """Check this machine: versions, device, precision, cache, and what works offline.

    Exits with 1 if torch cannot run.
    """
    import json

    from autotl.cli import terminal
    from autotl.cli.doctor import examine

    report = examine()
    if as_json:
        examination = {"facts": dict(report.facts), "warnings": report.warnings, "error": report.error}
        click.echo(json.dumps(examination, indent=1))
    else:
        terminal.facts(report.facts)
        for warning in report.warnings:
            click.echo()
            terminal.paragraph(f"Warning: {warning}")
    if report.error is not None:
        from autotl.errors import EngineError

        raise EngineError(report.error)


@click.command(
    epilog="Example: autotl completion bash >> ~/.bashrc",
    short_help="Print a script for completion in a shell.",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a script that completes autotl's commands and options in SHELL."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"click has no completion for {shell}; use bash, zsh or fish", ctx)
    root = ctx.find_root().command
    click.echo(kind(root, {}, "autotl", "_AUTOTL_COMPLETE").source())


COMMANDS: tuple[click.Command, ...] = (cache, doctor, completion)
