"""``predict`` and ``export``: use the model of a run here or in other programs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from autotl.cli.echo import say
from autotl.cli.options import QUIET, RUN, option

if TYPE_CHECKING:
    from autotl.engine.export import Format
    from autotl.predict import Style

_SUFFIXES: dict[str, Style] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}


@click.command(
    epilog="Example: autotl predict runs/photos new-photos/ one.jpg > labels.csv",
    short_help="Classify images with the model of a run.",
)
@RUN
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option("--top", type=click.IntRange(min=1), default=3, show_default=True, metavar="K",
              help="Number of classes to list for each image, most probable first.")  # fmt: skip
@click.option("--format", "style", type=click.Choice(["csv", "jsonl", "parquet"]),
              help="Output format.  [default: by the suffix of --out, otherwise csv]")  # fmt: skip
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="File to write instead of standard output.")  # fmt: skip
@option("device")
@QUIET
def predict(
    folder: str,
    paths: tuple[str, ...],
    top: int,
    style: Style | None,
    out: Path | None,
    device: str,
    quiet: bool,
) -> None:
    """Classify images with the model of a run: path, label, probability, next classes, warning, error.

    A model of numbers writes value, low and high, the ends of its prediction interval; one of several labels an image
    writes labels, those whose probability reaches their threshold, and the most probable ones. A model of several label
    columns writes label:COLUMN and probability:COLUMN, not calibrated, for each further one.

    PATH is an image, a folder (searched for images), a CSV with a column path, a source that an installed plugin
    reads, or - for a list of paths on standard input. Probabilities are calibrated. A warning marks an image that
    is out of distribution: far from the training images; about 1% of images of the same kind get it too. A file
    that cannot be read becomes a row with its error.
    """
    import sys

    from autotl.cli.progress import counting
    from autotl.errors import DatasetError
    from autotl.predict import other_plugin, writer
    from autotl.run import load

    run = load(folder)
    if (note := other_plugin(run.path / "model")) is not None:
        click.echo(f"Note: {note}", err=True)
    top = min(top, len(run.classes))
    if style is None:
        style = _SUFFIXES.get(out.suffix.lower(), "csv") if out else "csv"
    predicted = run.predictions(_sources(paths), device=device, top=top)
    good = bad = 0
    first = ""
    with (
        writer(style, out or sys.stdout, top, run.target, run.others) as write,
        counting(quiet=quiet) as count,
    ):
        for row in predicted:
            write(row)
            if row.error is not None and not first:
                first = f"{row.path}: {row.error}"
            bad += row.error is not None
            good += row.error is None
            count(good + bad, bad)
    if bad:
        click.echo(f"{bad} of {good + bad} files could not be read; see the column error", err=True)
    if not good:
        raise DatasetError(
            f"none of the {bad} files is an image that can be read ({first}); expected image files or folders of them; "
            "check PATH"
        )


def _sources(paths: tuple[str, ...]) -> Iterator[str]:
    import sys

    for path in paths:
        if path == "-":
            yield from _lines(sys.stdin)
        else:
            yield path


def _lines(stream: IO[str]) -> Iterator[str]:
    return (line.rstrip("\r\n") for line in stream if line.strip())


@click.command(
    epilog="Example: autotl export runs/photos --to onnx --out deploy/",
    short_help="Write the model of a run for other programs.",
)
@RUN
@click.option("--to", required=True, type=click.Choice(["safetensors", "torch-export", "onnx"]),
              help="Weights that timm loads, a torch.export program, or ONNX.")  # fmt: skip
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="Folder to write; must be new or empty.  [default: RUN/export-FORMAT]")  # fmt: skip
def export(folder: str, to: Format, out: Path | None) -> None:
    """Write the model of a run for other programs, and compare both on images of the run.

    The folder holds the model, config.json (preprocessing, labels, licence and the comparison), the model
    card and example.py, which classifies images without autotl.
    """
    import json

    from autotl.run import load

    written = load(folder).export(to, out)
    config = json.loads((written / "config.json").read_text(encoding="utf-8"))
    parity, what = config["parity"], "numbers" if "scale" in config else "probabilities"
    say(
        f"{written / config['file']}: {what} differ from autotl's model by at most"
        f" {parity['largest_difference']:.1e} on {parity['images']} {parity['on']}"
    )


COMMANDS: tuple[click.Command, ...] = (predict, export)
