"""``predict`` and ``export``: what the model of a run says of images, and the model for other programs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from autotl.cli.outcome import RUN

if TYPE_CHECKING:
    from autotl.engine.export import Format
    from autotl.predict import Style

_SUFFIXES: dict[str, Style] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}


@click.command(
    epilog="Example: autotl predict runs/photos new-photos/ one.jpg > labels.csv",
    short_help="What the model of a run says of images.",
)
@RUN
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option("--top", type=click.IntRange(min=1), default=3, show_default=True, metavar="K",
              help="How many classes to name for each image, most probable first.")  # fmt: skip
@click.option("--format", "style", type=click.Choice(["csv", "jsonl", "parquet"]),
              help="How to write it.  [default: by the name of --out, else csv]")  # fmt: skip
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="File to write instead of standard output.")  # fmt: skip
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="auto", show_default=True,
              help="Where to compute.")  # fmt: skip
@click.option("--quiet", "-q", is_flag=True, help="No progress.")
def predict(
    folder: str,
    paths: tuple[str, ...],
    top: int,
    style: Style | None,
    out: Path | None,
    device: str,
    quiet: bool,
) -> None:
    """What the model of a run says of images: path, label, probability, the next classes, warning, error.

    PATH is an image, a folder (searched for images), a CSV with a column path, or - for a list of paths on
    standard input. Probabilities are calibrated. A warning says that an image lies far from what the model
    was trained on; one image of the right kind in a hundred gets it too. What cannot be read becomes a row
    with its error.
    """
    import sys

    from autotl.cli.progress import counting
    from autotl.errors import DatasetError
    from autotl.predict import writer
    from autotl.run import load

    run = load(folder)
    top = min(top, len(run.classes))
    if style is None:
        style = _SUFFIXES.get(out.suffix.lower(), "csv") if out else "csv"
    found = run.predictions(_sources(paths), device=device, top=top)
    good = bad = 0
    with writer(style, out or sys.stdout, top) as write, counting(quiet=quiet) as count:
        for row in found:
            write(row)
            bad += row.error is not None
            good += row.error is None
            count(good + bad, bad)
    if bad:
        click.echo(f"{bad} of {good + bad} could not be read; see the column error", err=True)
    if not good:
        raise DatasetError(
            "none of the paths is an image that can be read; expected image files or folders of them"
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
    short_help="Write a run's model for other programs.",
)
@RUN
@click.option("--to", required=True, type=click.Choice(["safetensors", "torch-export", "onnx"]),
              help="Plain weights that timm loads, a torch program, or ONNX.")  # fmt: skip
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="Folder to write; must not exist or be empty.  [default: RUN/export-FORMAT]")  # fmt: skip
def export(folder: str, to: Format, out: Path | None) -> None:
    """Write the model of a run for other programs, and prove on images of the run that it answers alike.

    The folder holds the model, config.json (preprocessing, labels, licence and the proof), the model card
    and example.py, which labels images without autotl.
    """
    import json

    from autotl.run import load

    written = load(folder).export(to, out)
    config = json.loads((written / "config.json").read_text(encoding="utf-8"))
    parity = config["parity"]
    click.echo(
        f"{written / config['file']}: on {parity['images']} {parity['on']} it differs from autotl's model by at"
        f" most {parity['largest_difference']:.1e} in probability"
    )


COMMANDS: tuple[click.Command, ...] = (predict, export)
