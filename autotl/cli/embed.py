"""``embed``: the pooled features of images as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click

from autotl.cli.echo import say
from autotl.cli.options import SECONDS, options


@click.command(
    epilog="Example: autotl embed photos/ --backbone resnet14t_small --to features.npz",
    short_help="Write the features of images by a backbone, with paths, labels and parts.",
)
@click.argument("source", metavar="DATA", is_eager=True)
@click.option("--backbone", required=True, metavar="NAME", help="Backbone, as `autotl backbones` lists it.")
@click.option("--to", "file", required=True, type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="File to write; it ends with .npz or .parquet.")  # fmt: skip
@click.option("--layers", type=click.Choice(["last", "all"]), default="last", show_default=True,
              help="Layer groups: the last, which enters a classifier, or all, side by side.")  # fmt: skip
@click.option("--input-size", type=click.IntRange(min=1), metavar="PIXELS",
              help="Side of the images that the backbone gets.  [default: its native size]")  # fmt: skip
@click.option("--budget", type=SECONDS, metavar="TIME", help="Time limit: 90s, 10m, 1h.  [default: none]")
@options("test", "path", "label", "target", "split", "root", "encoding", "layout")
@options("weights", "device", "precision", "offline")
def embed(source: str, file: Path, layers: Literal["last", "all"], **given: Any) -> None:
    """Write the features of images by a backbone, with paths, labels and parts.

    DATA is as in `autotl run`. Images that cannot be read are left out and counted. Features come from the cache where
    a run has computed them; a call that the budget ends has put its own there, and the next call goes on.
    """
    from autotl import embedding

    embedding.require_writable(file)
    made = embedding.embed(source, layers=layers, **given)
    made.save(file)
    if made.errors:
        path, error = next(iter(made.errors.items()))
        many = "1 image is" if len(made.errors) == 1 else f"{len(made.errors):,} images are"
        click.echo(f"{many} left out{', such as' if len(made.errors) > 1 else ':'} {path}: {error}", err=True)
    say(
        f"{file}: {len(made.paths):,} images × {made.features.shape[1]:,} features of {made.backbone} at"
        f" {made.input_size} px"
    )


COMMANDS: tuple[click.Command, ...] = (embed,)
