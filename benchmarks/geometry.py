"""Measure cropping, squashing and padding of long images, and which of them a run chooses.

    python -m benchmarks.geometry SETS --weights WEIGHTS --set NAME --backbone NAME

SETS holds `<set>/train/<class>/`. A line of the table is a set and a backbone: the accuracy of linear probes on all
training images in each geometry, out-of-fold with groups whole. The first line of a set is of the backbone that a run
chooses with, on the first few images of the set; its choice has a star.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import click
import numpy as np

from autotl import hardware
from autotl.budget import Allowance
from autotl.cache import cache_folder
from autotl.data import load as data_load
from autotl.engine import client
from autotl.modality import image
from autotl.plugins.manager import load_plugins
from autotl.ranking import geometry, similarity
from autotl.records import BackboneSpec, Columns, Dataset, Geometry, Settings
from autotl.stats.folds import folds_for, stratified_order
from benchmarks.sets import GROUPS

UNLIMITED = Allowance(deadline=float("inf"))
GEOMETRIES: tuple[Geometry, ...] = get_args(Geometry)


def recognised(columns: Columns, rows: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Return which rows (n,) bool a linear probe recognises."""
    labels, group = columns.labels[rows], None if columns.group is None else columns.group[rows]
    with hardware.one_thread():
        return geometry.recognised(features, labels, folds_for(labels, group))


def table(name: str, data: Dataset, backbones: Sequence[tuple[BackboneSpec, int]]) -> Iterator[str]:
    """Yield the lines of a set."""
    count = len(data.files)
    columns = Columns(
        labels=data.labels,
        part=np.zeros(count, np.int8),
        fold=np.full(count, -1, np.int8),
        group=data.group,
        order=stratified_order(data.labels, np.random.default_rng(0)),
        classes=data.classes,
    )
    with tempfile.TemporaryDirectory() as work:
        pixels = Path(work) / "pixels"
        decoded = image.decode(list(data.files), pixels, allowance=UNLIMITED)
        rows = columns.order[decoded.present[columns.order]]
        engine = client.connect(folder=work, cache=cache_folder(), offline=True)
        try:
            engine.open(pixels, columns, metric="accuracy", digests=decoded.digests.tolist())
            chosen: Geometry | None = None
            for spec, size in backbones:
                features = {}
                for way in GEOMETRIES:
                    shaped = replace(spec, preprocess=replace(spec.preprocess, geometry=way))
                    embedding = engine.embed(shaped, size, rows, UNLIMITED)
                    with np.load(Path(work) / embedding.path, allow_pickle=False) as stored:
                        features[way] = stored[f"g{embedding.groups - 1}"]
                few = rows[: geometry.IMAGES]
                chosen = chosen or geometry.choose(
                    {way: recognised(columns, few, found[: len(few)]) for way, found in features.items()}
                )
                cells = (
                    f"{recognised(columns, rows, found).mean():.1%}{' *' * (way == chosen)}"
                    for way, found in features.items()
                )
                yield f"| {name} | {spec.name}@{size} | {' | '.join(cells)} |"
        finally:
            engine.close()


@click.command()
@click.argument("sets", type=click.Path(exists=True, path_type=Path))
@click.option("--weights", type=click.Path(exists=True), help="Folder with the weights of the backbones.")
@click.option("--set", "names", multiple=True, required=True, help="Folder of SETS; may be repeated.")
@click.option("--backbone", "asked", multiple=True, help="Backbone besides the reference; may be repeated.")
def main(sets: Path, weights: str | None, names: Sequence[str], asked: Sequence[str]) -> None:
    """Print the table."""
    plugins = load_plugins()
    specs = plugins.backbones(None, Settings(offline=True, weights=(weights,) if weights else ()))
    reference = similarity.references()[0]
    backbones = [
        (specs[f"autotl:{reference.backbone}"], reference.input_size),
        *((specs[name], specs[name].input_size) for name in asked),
    ]
    click.echo("| set | backbone | crop | squash | pad |\n| --- | --- | --- | --- | --- |")
    for name in names:
        options = {"group": GROUPS[name]} if name in GROUPS else {}
        for line in table(name, data_load.load(str(sets / name / "train"), options, plugins), backbones):
            click.echo(line)


if __name__ == "__main__":
    main()
