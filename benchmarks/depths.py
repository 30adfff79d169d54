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

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
import msgspec
import numpy as np

from autotl.cache import atomic
from autotl.modality import image_store
from autotl.records import BackboneSpec, Columns, Depth, Kind
from autotl.records.result import Recommendation, is_probe
from autotl.run_folder import result_file
from benchmarks.probes import far
from benchmarks.regret import grid
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
WAYS: tuple[Way, ...] = ("again", "stored", "views")
NAMES = {
    "augmented": "augmented, as recorded",
    "stored": "stored, not augmented",
    "views": f"{VIEWS} stored views",
    "again": "augmented, another seed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A training of the last `depth` layer groups, and its accuracy."""

    set: str
    backbone: str
    depth: int
    way: Way
    epochs: float
    select: float
    test: float
    steps: int
    frozen: float  # share of the estimated forward time that lies below the cut


def read(path: Path) -> list[Probe]:
    """Return the probes that were recorded."""
    lines = path.read_bytes().splitlines() if path.exists() else []
    return [msgspec.json.decode(line, type=Probe) for line in lines]


# --------------------------------------------------------------------------- the table


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Accuracies at depth 0 (a linear probe), 1 and 2 of one backbone on one set, by one way to train."""

    select: tuple[float, ...]
    test: tuple[float, ...]
    both: tuple[float, ...]  # on the images of both parts together

    @property
    def best(self) -> int:
        """Return the depth that is best on all images; the shallower of two that are."""
        return int(np.argmax(self.both))


Cell = tuple[str, str]  # set, backbone


def orders(
    probes: Iterable[Probe], recorded: Mapping[str, grid.Recorded], epochs: float = EPOCHS
) -> dict[str, dict[Cell, Order]]:
    """Return the score of each depth after so many epochs, by way to train; "augmented" are the grid's own."""
    found: dict[str, dict[Cell, Order]] = {"augmented": {}} | {way: {} for way in WAYS}
    have = {(probe.set, probe.backbone): {} for probe in probes if probe.epochs == epochs}
    for probe in probes:
        if probe.epochs == epochs:
            have[probe.set, probe.backbone][probe.way, probe.depth] = probe
    for (name, backbone), made in have.items():
        lines = [_line(recorded[name], backbone, depth, epochs) for depth in (0, *DEPTHS)]
        by_depth = [_shares(recorded[name], line) for line in lines if line]
        if len(by_depth) == len(lines):
            found["augmented"][name, backbone] = _order(by_depth)
        for way in WAYS:
            own = [made[way, depth] for depth in DEPTHS if (way, depth) in made]
            if len(own) == len(DEPTHS):
                about = recorded[name].about
                tuned = [(probe.select, probe.test, _both(about, probe.select, probe.test)) for probe in own]
                found[way][name, backbone] = _order([by_depth[0], *tuned])
    return {way: cells for way, cells in found.items() if cells}


def _shares(recorded: grid.Recorded, line: grid.Trained) -> tuple[float, float, float]:
    """Return the accuracies of a recorded training: of the select images, the test images, all."""
    about = recorded.about
    right = recorded.probabilities(line).argmax(1) == about.labels
    select, test = float(right[about.part == 1].mean()), float(right[about.part == 2].mean())
    return select, test, _both(about, select, test)


def _both(about: grid.Set, select: float, test: float) -> float:
    return float(np.average([select, test], weights=[(about.part == 1).sum(), (about.part == 2).sum()]))


def _order(shares: Sequence[tuple[float, float, float]]) -> Order:
    select, test, both = zip(*shares, strict=True)
    return Order(select=select, test=test, both=both)


def _line(recorded: grid.Recorded, backbone: str, depth: int, epochs: float) -> grid.Trained | None:
    """Return the grid's own training at a depth, of that length."""
    wanted = grid.Trained(
        backbone=backbone,
        input_size=0,
        strategy="fine_tune" if depth else "linear_probe",
        unfreeze=depth,
        epochs=epochs if depth else 0.0,
        rows=0,
        seed=0,
        reference=0.0,
        machine="",
    )
    for line in recorded.lines:
        if isinstance(line, grid.Trained) and (line.backbone, line.key) == (backbone, wanted.key):
            return line
    return None


def table(found: Mapping[str, Mapping[Cell, Order]]) -> str:
    """Return how each way to train ranks depths against the first, and its gain of fine-tuning in points."""
    reference, truth = next(iter(found.items()))
    lines = [
        "| trained | tau | same best | moves by | depth 1 brings | depth 2 brings | its choice, tested |",
        "|---|---|---|---|---|---|---|",
    ]
    for way, own in found.items():
        cells = [cell for cell in truth if cell in own]
        taus = [tau(own[cell].both, truth[cell].both) for cell in cells]
        same = sum(own[cell].best == truth[cell].best for cell in cells)
        agree = ["–", "–"] if way == reference else [_mean(taus, "{:.2f}"), f"{same} of {len(cells)}"]
        brings = [[100 * (own[c].both[depth] - own[c].both[0]) for c in cells] for depth in DEPTHS]
        chosen = [100 * truth[cell].test[int(np.argmax(own[cell].select))] for cell in cells]
        shift = [float(own[cell].best - truth[cell].best) for cell in cells]
        mean = np.mean([own[cell].best for cell in cells])
        figures = [
            *agree,
            f"mean {mean:.2f}" if way == reference else _mean(shift, "{:+.2f}"),
            *(_mean(gain, "{:+.1f}") for gain in brings),
            f"{np.mean(chosen):.1f}",
        ]
        lines.append(f"| {NAMES[way]} | {' | '.join(figures)} |")
    return "\n".join(lines)


def shares(probes: Iterable[Probe]) -> str:
    """Return how much of each backbone's forward pass lies below the cut."""
    known = {(probe.backbone, probe.depth): probe.frozen for probe in probes}
    lines = ["| backbone | below the last group | below the last two |", "|---|---|---|"]
    names = dict.fromkeys(name for name, _ in known)
    lines += [f"| {name} | {known[name, 1]:.0%} | {known[name, 2]:.0%} |" for name in names]
    return "\n".join(lines)


def _mean(values: Sequence[float], form: str) -> str:
    """Return the mean with its standard error over cells."""
    error = np.std(values, ddof=1) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    return f"{form.format(np.mean(values))} ± {form.replace('+', '').format(error)}"


def tau(left: Sequence[float], right: Sequence[float]) -> float:
    """Return Kendall's tau-a: pairs in the same order minus pairs in the other, of all pairs; a tie is neither."""
    pairs = list(itertools.combinations(range(len(left)), 2))
    return float(np.mean([np.sign(left[a] - left[b]) * np.sign(right[a] - right[b]) for a, b in pairs]))


def saved(state: Recommendation) -> float:
    """Return the largest share of a run that stored activations could have saved.

    All of decoding and of the forward passes of its probes at depths 1 and 2, but for the first pass: as if
    nothing of the forward pass lay above the cut.
    """
    able = 0.0
    for done in state.trials:
        if is_probe(done) and not done.trial.control and done.trial.candidate.unfreeze in DEPTHS:
            again = 1 - 1 / max(done.epochs_done, 1.0)
            able += again * (done.cost.decode + done.cost.forward)
    return able / state.seconds["total"]


# --------------------------------------------------------------------------- recording


def record(
    sets: Path,
    weights: Sequence[str],
    work: Path,
    out: Path,
    names: Sequence[str],
    backbones: Sequence[str] = BACKBONES,
    ways: Sequence[Way] = WAYS,
    epochs: float = EPOCHS,
) -> None:
    """Train what is missing, set after set, and write each probe as it ends."""
    from autotl.plugins.manager import load_plugins
    from autotl.records import Settings
    from benchmarks.regret import record as recorder

    plugins = load_plugins()
    specs = plugins.backbones(None, Settings(weights=tuple(weights), offline=True))
    have = {(p.set, p.backbone, p.depth, p.way) for p in read(out) if p.epochs == epochs}
    for name in names:
        cells = [(b, d, w) for b in backbones for w in ways for d in DEPTHS if (name, b, d, w) not in have]
        if not cells:
            continue
        with recorder.opened(sets, name, GRID, work, specs, plugins) as session:
            flip = _mirrors(session)
            for backbone in dict.fromkeys(cell[0] for cell in cells):
                plain = [(d, w) for b, d, w in cells if b == backbone and w != "views"]
                seen = [(d, w) for b, d, w in cells if b == backbone and w == "views"]
                _hand_over(session)
                for depth, way in plain:
                    _keep(out, _train(session, backbone, depth, way, epochs))
                if seen:
                    _hand_over(session, backbone, flip)
                for depth, way in seen:
                    _keep(out, _train(session, backbone, depth, way, epochs))


def _mirrors(session: Session) -> bool:
    """Return whether the grid's trainings of this set used mirrored images, by the same network."""
    from benchmarks.regret import record as recorder

    trial, spec, way = recorder.order(session, recorder.BACKBONES[0], "fine_tune", 1, 1.0, 0)
    done = session.engine.submit(replace(trial, rows=64), spec, way, far()).result()
    return any(note.kind == Kind.FLIPS and note.values["used"] for note in done.notes)


def _hand_over(session: Session, backbone: str = "", flip: bool = False) -> None:
    """Open the set as the grid did; with a backbone, replace its train images by views for its input size."""
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
    columns = Columns(labels=labels, part=part, fold=fold, group=None, order=order, classes=data.classes)
    session.engine.open(folder, columns, metric="accuracy", digests=None)


def _views(session: Session, backbone: str, flip: bool) -> np.ndarray:
    """Return the augmented views (VIEWS * train, S, S, 3) uint8, each the central crop of its square."""
    import torch

    from autotl.engine.augment import augment
    from autotl.engine.images import side_before_crop
    from benchmarks.regret.record import size_of

    preprocess, size = session.specs[backbone].preprocess, size_of(session, backbone)
    side = side_before_crop(size, preprocess)
    store = image_store.Pixels.open(session.folder / ".pixels")
    squares = image_store.square(store, session.train, side, preprocess.interpolation)
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
    """Return a store of decoded images: some rows of another, at their places, and the views after all of them."""
    store = image_store.Pixels.open(other)
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


def _train(session: Session, backbone: str, depth: int, way: Way, epochs: float) -> Probe:
    """Return a training like the grid's, except for what the way changes."""
    from benchmarks.regret import record as recorder

    about = session.recorded.about
    trial, spec, strategy = recorder.order(session, backbone, "fine_tune", depth, epochs, int(way == "again"))
    if way != "again":  # what is stored is seen as it is
        batch = BATCH if about.train >= FEW_ROWS else BATCH // 2
        plain = (("augment", "none"), ("batch", batch), ("flip", 0))
        passes = epochs / VIEWS if way == "views" else epochs
        trial = replace(trial, candidate=replace(trial.candidate, hyper=plain), epochs=passes)
    done = session.engine.submit(trial, spec, strategy, far()).result()
    right = recorder.of_rows(session, done).argmax(1) == about.labels
    return Probe(
        set=about.name,
        backbone=backbone,
        depth=depth,
        way=way,
        epochs=epochs,
        select=round(float(right[about.part == 1].mean()), 4),
        test=round(float(right[about.part == 2].mean()), 4),
        steps=done.steps_done,
        frozen=_frozen(spec, trial.candidate.input_size, depth),
    )


def _frozen(spec: BackboneSpec, size: int, depth: Depth) -> float:
    """Return the share of a backbone's forward time that the last `depth` groups do not take."""
    from autotl.engine.backbone import build

    return round(1 - build(spec, size, offline=True).trained_share(depth)[1], 3)


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
@click.option("--backbone", "backbones", multiple=True, help="some of the backbones")
@click.option("--way", "ways", multiple=True, type=click.Choice(WAYS), help="some of the ways to train")
@click.option("--epochs", default=EPOCHS, show_default=True)
def _record(
    sets: Path,
    weights: tuple[str, ...],
    work: Path,
    out: Path,
    names: tuple[str, ...],
    backbones: tuple[str, ...],
    ways: tuple[Way, ...],
    epochs: float,
) -> None:
    """Train what is missing; the command may be interrupted and started again."""
    from benchmarks.regret.record import SETS

    record(sets, weights, work, out, names or SETS, backbones or BACKBONES, ways or WAYS, epochs)


@main.command("table")
@click.argument("runs", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--recorded", type=click.Path(path_type=Path), default=RECORDED, show_default="benchmarks/depths.jsonl"
)
def _table(runs: tuple[Path, ...], recorded: Path) -> None:
    """Print how stored activations rank depths; with finished RUNS, what they could have saved of each."""
    probes = read(recorded)
    sets = {name: grid.read_set(GRID / name) for name in dict.fromkeys(probe.set for probe in probes)}
    for epochs in sorted({probe.epochs for probe in probes}):
        found = orders(probes, sets, epochs)
        cells = next(iter(found.values()))
        print(
            f"{epochs:g} epochs, {len(cells)} cells, {len({name for name, _ in cells})} sets\n\n{table(found)}\n"
        )
    print(shares(probes), end="\n\n")
    for folder in runs:
        print(f"{folder.name}: at most {saved(result_file.read(folder)):.0%} of the run")


if __name__ == "__main__":
    main()
