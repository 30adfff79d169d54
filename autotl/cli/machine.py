"""``profile``, ``cache``, ``doctor`` and ``completion``: the data before a run, and the machine under it."""

from __future__ import annotations

import click

from autotl.cli import options


@click.command(
    epilog="Example: autotl profile photos/",
    short_help="What the data are, and what is odd about them.",
)
@click.argument("source", metavar="DATA")
@click.option(
    "--test", type=click.Path(exists=True), metavar="DIR", help="Images to test on, if they lie apart."
)
@click.option("--group", callback=options.group_key, metavar="REGEX|COLUMN", help="What belongs together.")
@click.option("--label", metavar="COLUMN", help="Column of the labels, where DATA is a CSV.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, with every field.")
def profile(source: str, test: str | None, group: str | None, label: str | None, as_json: bool) -> None:
    """What the data are: classes, sizes, and what is odd about them. Trains nothing."""
    import msgspec

    from autotl.cli import show
    from autotl.run import profile as look

    found = look(source, test=test, group=group, label=label)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=1).decode())
    else:
        show.profile(found)


@click.command(
    epilog="Example: autotl cache --prune 1GB", short_help="What autotl keeps to be faster next time."
)
@click.option(
    "--prune", type=options.MEMORY, metavar="SIZE", help="Remove what was not used for longest, down to SIZE."
)
@click.option("--clear", is_flag=True, help="Remove all of it.")
@click.option("--json", "as_json", is_flag=True, help="As JSON: folder, bytes, freed.")
def cache(prune: float | None, clear: bool, as_json: bool) -> None:
    """What autotl keeps to be faster next time: features of images. All of it can be computed again.

    It lies in $AUTOTL_CACHE, else in the platform's cache folder. Downloaded weights lie in the hub's own
    cache and are not touched.
    """
    import json

    from autotl.cache import Cache
    from autotl.cli.show import file_size

    store = Cache()
    freed = 0
    if clear or prune is not None:
        freed = store.prune(max_bytes=0 if clear else int(prune or 0))
    if as_json:
        click.echo(json.dumps({"folder": str(store.folder), "bytes": store.size(), "freed": freed}))
        return
    if clear or prune is not None:
        click.echo(f"Freed {file_size(freed)}.")
    click.echo(f"{file_size(store.size())} in {store.folder}")


@click.command(epilog="Example: autotl doctor", short_help="Whether this machine can do the work.")
@click.option("--json", "as_json", is_flag=True, help="As JSON: facts, warnings, error.")
def doctor(as_json: bool) -> None:
    """Whether this machine can do the work: versions, device, precision, cache, what works offline.

    Exits with 1 when torch cannot run.
    """
    import json

    from autotl.cli import show
    from autotl.cli.doctor import examine

    report = examine()
    if as_json:
        found = {"facts": dict(report.facts), "warnings": report.warnings, "error": report.error}
        click.echo(json.dumps(found, indent=1))
    else:
        show.facts(report.facts)
        for warning in report.warnings:
            click.echo()
            show.words(f"Mind: {warning}")
    if report.error is not None:
        from autotl.errors import EngineError

        raise EngineError(report.error)


@click.command(
    epilog="Example: autotl completion bash >> ~/.bashrc",
    short_help="Script that completes commands in a shell.",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """A script that makes SHELL complete autotl's commands and options."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None  # the choices are click's own
    root = ctx.find_root().command
    click.echo(kind(root, {}, "autotl", "_AUTOTL_COMPLETE").source())


COMMANDS: tuple[click.Command, ...] = (profile, cache, doctor, completion)
