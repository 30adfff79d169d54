"""python -m benchmarks.regret record | replay."""

from __future__ import annotations

from pathlib import Path

import click

GRID = Path(__file__).parent / "grid"


@click.group(help=__doc__)
def main() -> None:
    pass


@main.command()
@click.argument("sets", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--weights", multiple=True, help="folder with checkpoints, as for `autotl run`")
@click.option("--out", type=click.Path(path_type=Path), default=GRID, show_default="benchmarks/regret/grid")
@click.option("--work", type=click.Path(path_type=Path), required=True, help="decoded images and features")
@click.option("--set", "names", multiple=True, help="some of the sets")
@click.option("--backbone", "backbones", multiple=True, help="other backbones than the usual eight")
@click.option("--lp-ft", is_flag=True, help="fine-tune from the linear probe too")
def record(
    sets: Path,
    weights: tuple[str, ...],
    out: Path,
    work: Path,
    names: tuple[str, ...],
    backbones: tuple[str, ...],
    lp_ft: bool,
) -> None:
    """Trains what is missing in the grid; cut it whenever you like and start it again."""
    from benchmarks.regret import record as recorder

    arms = (*recorder.ARMS, ("lp_ft", "all")) if lp_ft else recorder.ARMS
    recorder.record(
        sets,
        weights,
        out,
        work,
        names or recorder.SETS,
        backbones or recorder.BACKBONES,
        arms,
    )
