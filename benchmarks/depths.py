"""Do probes on stored activations rank depths as augmented training does?

    python -m benchmarks.depths record SETS --weights WEIGHTS --work WORK
    python -m benchmarks.depths table

`record` trains the last one and two layer groups again where the regret grid has done so with augmentation:

- *stored*: on un-augmented images, not mirrored. The groups below are frozen and in eval mode, so this gives
  the steps that a training from stored activations at the cut would make, at the price of computing them.
- *views*: on `VIEWS` augmented views of each image, made once, in fewer passes: as many steps again, the steps
  of a training from so many stored activations an image (rounded to whole pixel values, as stored images are).
- *again*: augmented as the grid's own, with another seed: how far two honest trainings agree.

Rates, optimiser, schedule and batches are those of `fine_tune` everywhere. `table` needs no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
import msgspec
import numpy as np

from autotl import pixels
from autotl.cache import atomic
from autotl.records import Depth
from benchmarks.probes import far
from benchmarks.regret.commands import GRID

if TYPE_CHECKING:
    from benchmarks.regret.record import Session

RECORDED = Path(__file__).parent / "depths.jsonl"
BACKBONES = (
    "autotl:mobilenetv3_small_050",
    "mobilenetv1_025_128",
    "autotl:resnet14t_small",
    "mobilenetv3_small_100_tf",
)
DEPTHS = (1, 2)
EPOCHS = 6.0
VIEWS = 3  # of each image; divides the epochs
BATCH, FEW_ROWS = 32, 400  # of the engine's trainings, which halve the batch of fewer images
Way = Literal["stored", "views", "again"]
WAYS: tuple[Way, ...] = ("stored", "views", "again")


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A training of the last `depth` layer groups, and the share of its images that it told rightly."""

    set: str
    backbone: str
    depth: int
    way: Way
    select: float
    test: float
    steps: int


def read(path: Path) -> list[Probe]:
    """The probes that were recorded."""
    lines = path.read_bytes().splitlines() if path.exists() else []
    return [msgspec.json.decode(line, type=Probe) for line in lines]


# --------------------------------------------------------------------------- recording


def record(sets: Path, weights: Sequence[str], work: Path, out: Path, names: Sequence[str]) -> None:
    """Trains what is missing, set after set; each probe is written as it ends."""
    from autotl.plugins import load_plugins
    from autotl.records import Settings
    from benchmarks.regret import record as recorder

    plugins = load_plugins()
    specs = plugins.backbones(None, Settings(weights=tuple(weights), offline=True))
    have = {(probe.set, probe.backbone, probe.depth, probe.way) for probe in read(out)}
    for name in names:
        cells = [(b, d, w) for b in BACKBONES for w in WAYS for d in DEPTHS if (name, b, d, w) not in have]
        if not cells:
            continue
        with recorder.opened(sets, name, GRID, work, specs, plugins) as session:
            flip = _mirrors(session)
            for backbone in dict.fromkeys(cell[0] for cell in cells):
                plain = [(d, w) for b, d, w in cells if b == backbone and w != "views"]
                seen = [(d, w) for b, d, w in cells if b == backbone and w == "views"]
                _hand_over(session)
                for depth, way in plain:
                    _keep(out, _train(session, backbone, depth, way))
                if seen:
                    _hand_over(session, backbone, flip)
                for depth, way in seen:
                    _keep(out, _train(session, backbone, depth, way))


def _mirrors(session: Session) -> bool:
    """Whether the grid's trainings of this set saw mirrored images: asked as they did, of the same network."""
    from benchmarks.regret import record as recorder

    trial, spec, way = recorder.order(session, recorder.BACKBONES[0], "fine_tune", 1, 1.0, 0)
    done = session.engine.submit(replace(trial, rows=64), spec, way, far()).result()
    return "mirrored images are used" in done.note


def _hand_over(session: Session, backbone: str = "", flip: bool = False) -> None:
    """Opens the set as the grid did; with a backbone, its train images replaced by views for its input size."""
    data, split = session.data, session.split
    labels, part, fold, order = data.labels, split.part, split.fold, split.order
    folder = session.folder / ".pixels"
    if backbone:
        views, folder = _views(session, backbone, flip), session.folder / ".views"
        labels = np.concatenate([labels, np.tile(labels[session.train], VIEWS)])
        part = np.concatenate([np.where(part == 0, -1, part), np.zeros(len(views), np.int8)]).astype(np.int8)
        fold = np.concatenate([fold, np.full(len(views), -1, np.int8)])
        order = np.concatenate([order, len(order) + np.arange(len(views))])
        _write(folder, session.folder / ".pixels", np.flatnonzero(split.part > 0), views)
    session.engine.open(folder, labels=labels, classes=data.classes, part=part, fold=fold, order=order)


def _views(session: Session, backbone: str, flip: bool) -> np.ndarray:
    """Augmented views (VIEWS * train, S, S, 3) uint8, each the central crop of its square."""
    import torch

    from autotl.engine.augment import augment
    from autotl.engine.images import side_before_crop
    from benchmarks.regret.record import size_of

    preprocess, size = session.specs[backbone].preprocess, size_of(session, backbone)
    side = side_before_crop(size, preprocess)
    store = pixels.Pixels.open(session.folder / ".pixels")
    squares = pixels.square(store, session.train, side, side, preprocess.interpolation)
    strength = session.strategies["fine_tune"].phases[0].augment
    generator = torch.Generator().manual_seed(0)
    found = np.zeros((VIEWS * len(squares), side, side, 3), np.uint8)
    margin = (side - size) // 2
    for turn in range(VIEWS):
        some = augment(torch.from_numpy(squares), size, strength, flip, generator).round().byte()
        inside = found[turn * len(squares) : (turn + 1) * len(squares)]
        inside[:, margin : margin + size, margin : margin + size] = some.permute(0, 2, 3, 1).numpy()
    return found


def _write(folder: Path, other: Path, rows: np.ndarray, views: np.ndarray) -> None:
    """A store of decoded images: some rows of another, at their places, and the views after all of them."""
    store = pixels.Pixels.open(other)
    offset = np.full(len(store) + len(views), -1, np.int64)
    height, width = np.zeros(len(offset), np.int32), np.zeros(len(offset), np.int32)
    folder.mkdir(parents=True, exist_ok=True)
    places = [*rows.tolist(), *range(len(store), len(offset))]
    images = (*(store.image(row) for row in rows.tolist()), *views)
    with atomic(folder / "pixels.bin") as temporary, open(temporary, "wb") as out:
        for row, image in zip(places, images, strict=True):
            offset[row], (height[row], width[row]) = out.tell(), image.shape[:2]
            out.write(image.tobytes())
    with atomic(folder / "pixels.npz") as temporary, open(temporary, "wb") as out:
        np.savez(out, offset=offset, height=height, width=width)


def _train(session: Session, backbone: str, depth: Depth, way: Way) -> Probe:
    """A training as the grid's, but for what the way changes."""
    from benchmarks.regret import record as recorder

    about = session.recorded.about
    trial, spec, strategy = recorder.order(session, backbone, "fine_tune", depth, EPOCHS, int(way == "again"))
    if way != "again":  # what is stored is seen as it is
        batch = BATCH if about.train >= FEW_ROWS else BATCH // 2
        plain = (("augment", "none"), ("batch", batch), ("flip", 0))
        epochs = EPOCHS / VIEWS if way == "views" else EPOCHS
        trial = replace(trial, candidate=replace(trial.candidate, hyper=plain), epochs=epochs)
    done = session.engine.submit(trial, spec, strategy, far()).result()
    right = recorder.of_rows(session, done).argmax(1) == about.labels
    return Probe(
        set=about.name,
        backbone=backbone,
        depth=depth,
        way=way,
        select=round(float(right[about.part == 1].mean()), 4),
        test=round(float(right[about.part == 2].mean()), 4),
        steps=done.steps_done,
    )


def _keep(out: Path, probe: Probe) -> None:
    with open(out, "ab") as file:
        file.write(msgspec.json.encode(probe) + b"\n")
    print(probe, flush=True)


@click.group(help=__doc__)
def main() -> None:
    pass


@main.command("record")
@click.argument("sets", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--weights", multiple=True, help="folder with checkpoints, as for `autotl run`")
@click.option("--work", type=click.Path(path_type=Path), required=True, help="decoded images and features")
@click.option(
    "--out", type=click.Path(path_type=Path), default=RECORDED, show_default="benchmarks/depths.jsonl"
)
@click.option("--set", "names", multiple=True, help="some of the sets")
def _record(sets: Path, weights: tuple[str, ...], work: Path, out: Path, names: tuple[str, ...]) -> None:
    """Trains what is missing; cut it whenever you like and start it again."""
    from benchmarks.regret.record import SETS

    record(sets, weights, work, out, names or SETS)


if __name__ == "__main__":
    main()
