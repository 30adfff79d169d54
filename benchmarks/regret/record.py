"""Trains the cells of the grid with autotl's own engine, each written down as it ends.

What is recorded is skipped, so a recording that was cut goes on where it was. A longer training continues the
shorter one, as in a run, and costs what it adds.
Costs are seconds of the worker's processor time: on a machine that others use, the wall clock tells of them.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import psutil

from autotl import hardware
from autotl.builtin.strategies import STRATEGIES
from autotl.candidates.gather import sizes
from autotl.data import load
from autotl.data import split as data_split
from autotl.decision import evidence
from autotl.decision.controls import SCRATCH
from autotl.modality import image_store
from autotl.plugins.manager import Plugins, load_plugins
from autotl.protocols import Engine, ScoreCall
from autotl.ranking import screening
from autotl.records import (
    BackboneSpec,
    Candidate,
    Columns,
    Dataset,
    Depth,
    Score,
    Settings,
    Split,
    Strategy,
    Trial,
    TrialResult,
)
from autotl.report.wording import sentences
from autotl.stats.folds import folds_for
from benchmarks.probes import far
from benchmarks.regret import grid
from benchmarks.sets import GROUPS

# Sets in the order in which they are recorded: the most different first.
SETS = (
    "flowers5",
    "gtsrb",
    "neu_steel",
    "trashnet",
    "rsscn7",
    "cifar10",
    "hand_shapes",
    "magnetic_tile",
    "esc10_spectrogram",
    "hymenoptera",
)
BACKBONES = (
    "autotl:mobilenetv3_small_050",
    "mobilenetv3_small_100_tf",
    "autotl:resnet14t_small",
    "mobilenetv1_025_128",
    "regnetx_002",
    "mobilenetv1_050_160",
    "mcunet_512kb_2mb",
    "mobilenetv2_035_imagenet_frozen",
)
FROZEN: tuple[tuple[str, Depth], ...] = (("linear_probe", 0),)
TUNED: tuple[tuple[str, Depth], ...] = (
    ("fine_tune", "all"),
    ("lp_ft", "all"),
    ("fine_tune", 2),
    ("lp_ft", 2),
    ("fine_tune", 1),
    ("lp_ft", 1),
)
LENGTH, LONGER = 6.0, 20.0  # passes of a fine-tuning, as a run begins it and as it may go on
CONTINUED = "mobilenetv1_050_160"  # the backbone whose fine-tunings go on, and are made with other seeds too
LARGEST = 128  # pixels: a backbone is trained at its largest size up to here, of those autotl would try
MOST = {"train": 512, "select": 300, "test": 400}  # images; whole sets would take a day
SUBSAMPLES = (32, 64, 128, 256)  # images that scores are computed on, besides all of train
SCREEN = (64, 256, 2, 5)  # and those that the screening asks for: at least so many, so many a class
REFERENCE = "autotl:resnet14t_small"  # its training step of 16 images at 96 px is the unit of cost
REFERENCE_SIZE = 96


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """Trainings that all sets have before the next pass begins."""

    recipes: tuple[tuple[str, Depth], ...]
    lengths: tuple[float, ...]  # passes over train; each length after the first continues the one before
    backbones: tuple[str, ...] = BACKBONES
    seed: int = 0


PASSES = (
    Pass(recipes=FROZEN, lengths=(0.0,)),
    Pass(recipes=TUNED, lengths=(LENGTH,), backbones=tuple(name for name in BACKBONES if name != CONTINUED)),
    Pass(recipes=TUNED, lengths=(LENGTH, LONGER), backbones=(CONTINUED,)),
    *(Pass(recipes=TUNED, lengths=(LENGTH,), backbones=(CONTINUED,), seed=seed) for seed in (1, 2)),
)


@dataclass(slots=True, kw_only=True)
class Session:
    """A data set that is open, and what recording it needs."""

    data: Dataset
    split: Split
    recorded: grid.Recorded
    engine: Engine
    folder: Path
    specs: dict[str, BackboneSpec]
    plugins: Plugins
    strategies: dict[str, Strategy] = field(
        default_factory=lambda: {strategy.name: strategy for strategy in (*STRATEGIES, SCRATCH)}
    )
    reference: float = 0.0  # seconds of the reference step, as last measured

    @property
    def train(self) -> np.ndarray:
        """Return the rows that trainings fit on, in the order whose prefixes are subsamples."""
        order = self.split.order
        return np.asarray(order[self.split.part[order] == 0])


def record(
    sets: Path,
    weights: Sequence[str],
    out: Path,
    work: Path,
    names: Sequence[str] = SETS,
    passes: Sequence[Pass] = PASSES,
) -> None:
    """Record what is missing: features, scores and linear probes of all sets, then fine-tunings pass after pass."""
    plugins = load_plugins()
    specs = plugins.backbones(None, Settings(weights=tuple(weights), offline=True))
    grid.write_specs(out, [specs[name] for name in BACKBONES])
    scores = {score.name for score in plugins.scores().values() if not score.needs_logits}
    for wanted, name in ((wanted, name) for wanted in passes for name in names):
        if complete(out / name, wanted, scores):
            continue
        with opened(sets, name, out, work, specs, plugins) as session:
            for backbone in wanted.backbones:
                measure_reference(session)
                if wanted.recipes == FROZEN:
                    embed(session, backbone)
                if backbone == wanted.backbones[0]:
                    warm(session, backbone, *wanted.recipes[0], wanted.lengths[0])
                for strategy, depth in recipes_of(wanted, backbone):
                    train(session, backbone, strategy, depth, wanted.lengths, wanted.seed)


def recipes_of(wanted: Pass, backbone: str) -> list[tuple[str, Depth]]:
    """Return a pass's recipes of a backbone; one is trained without pretraining too."""
    fresh = backbone == BACKBONES[0] and wanted.recipes == TUNED and not wanted.seed
    scratch: tuple[str, Depth] = (SCRATCH.name, "all")
    return [*wanted.recipes, scratch] if fresh else list(wanted.recipes)


def complete(folder: Path, wanted: Pass, scores: set[str]) -> bool:
    """Return whether a set's folder has a pass's trainings, and each backbone's cost of features and all scores."""
    if not (folder / "rows.npz").exists():
        return False
    recorded = grid.read_set(folder)
    have = {
        (line.backbone, line.strategy, line.unfreeze, line.epochs)
        for line in recorded.lines
        if isinstance(line, grid.Trained) and line.seed == wanted.seed
    }
    return all(
        recorded.embedded(backbone) is not None
        and all(scores <= line.values.keys() for line in recorded.scored(backbone).values())
        and all(
            (backbone, *recipe, length) in have
            for recipe in recipes_of(wanted, backbone)
            for length in wanted.lengths
        )
        for backbone in wanted.backbones
    )


@contextmanager
def opened(
    sets: Path, name: str, out: Path, work: Path, specs: dict[str, BackboneSpec], plugins: Plugins
) -> Iterator[Session]:
    """Open a set, decoded, in a worker, cut to so many images of each part."""
    from autotl.engine.client import connect

    options = {"test": str(sets / name / "test")}
    if name in GROUPS:
        options["group"] = GROUPS[name]
    data = load.load(str(sets / name / "train"), options, plugins)
    parts = smaller(data_split.split(data), MOST)
    folder = work / name
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / ".pixels" / "pixels.npz").exists():
        image_store.decode(list(data.files), folder / ".pixels", side=256, allowance=far())
    store = image_store.Pixels.open(folder / ".pixels")
    judged = np.flatnonzero(np.isin(parts.part, (1, 2)))
    about = grid.Set(
        name=name,
        classes=len(data.classes),
        train=int((parts.part == 0).sum()),
        side=int(np.median(np.minimum(store.height, store.width))),
        counts=np.bincount(data.labels[parts.part == 0], minlength=len(data.classes)),
        rows=judged,
        labels=data.labels[judged],
        part=parts.part[judged],
        group=None if data.group is None else data.group[judged],
    )
    recorded = grid.write_set(out / name, about)
    with connect(folder=folder, cache=work / "cache", device="cpu", precision="fp32", offline=True) as engine:
        columns = Columns(
            labels=data.labels,
            part=parts.part,
            fold=parts.fold,
            group=data.group,
            order=parts.order,
            classes=data.classes,
        )
        digests = None if data.digests is None else data.digests.tolist()
        engine.open(folder / ".pixels", columns, metric="accuracy", digests=digests)
        engine.started(far())
        yield Session(
            data=data,
            split=parts,
            recorded=recorded,
            engine=engine,
            folder=folder,
            specs=specs,
            plugins=plugins,
        )


def smaller(parts: Split, most: dict[str, int]) -> Split:
    """Return the split with at most so many rows of each part, the first of its order; the rest is of no part."""
    part = parts.part.copy()
    for code, limit in enumerate(most.values()):
        rows = parts.order[parts.part[parts.order] == code]
        part[rows[limit:]] = -1
    return replace(parts, part=part)


def size_of(session: Session, backbone: str) -> int:
    """Return the input size a backbone is recorded at."""
    spec = session.specs[backbone]
    tried = sizes(spec, session.recorded.about.side)
    return max([size for size in tried if size <= LARGEST] or [min(tried)])


def processor_seconds() -> float:
    """Return the processor time that the worker has used so far."""
    times = [child.cpu_times() for child in psutil.Process().children()]
    return float(sum(spent.user + spent.system for spent in times))


def measure_reference(session: Session) -> None:
    """Return the seconds of the reference step: the least of nine, since others may use the machine."""
    candidate = Candidate(backbone=REFERENCE, input_size=REFERENCE_SIZE, strategy="fine_tune", unfreeze="all")
    found = [
        session.engine.measure(candidate, session.specs[REFERENCE], far()).seconds_per_image for _ in range(3)
    ]
    session.reference = round(16 * min(found), 5)


def machine() -> str:
    """Return what kind of processor this is, and how many threads a training uses."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    lines = dict(line.split(":", 1) for line in text.split("\n\n")[0].splitlines() if ":" in line)
    facts = {name.strip(): value.strip() for name, value in lines.items()}
    model = f"{facts.get('model name', platform.machine())} {facts.get('cpu family', '')}".strip()
    return f"{model}, {hardware.cores()} thread, fp32"


def embed(session: Session, backbone: str) -> None:
    """Return the features of all images, what they cost, and their scores on growing subsamples."""
    recorded, spec, size = session.recorded, session.specs[backbone], size_of(session, backbone)
    scores = list(session.plugins.scores().values())
    train = session.train
    classes = recorded.about.classes
    least, some, few, several = SCREEN
    wanted = {*SUBSAMPLES, max(least, few * classes), max(some, several * classes), len(train)}
    known = recorded.scored(backbone)
    names = {score.name for score in scores if not score.needs_logits}
    missing = [
        n for n in sorted(wanted) if n <= len(train) and not (n in known and names <= set(known[n].values))
    ]
    if recorded.embedded(backbone) and not missing:
        return
    rows = np.concatenate([train, recorded.about.rows])
    before = processor_seconds()
    embedding = session.engine.embed(spec, size, rows, far())
    seconds = processor_seconds() - before
    if recorded.embedded(backbone) is None:
        if embedding.cached:  # cut before it was written down
            candidate = Candidate(backbone=backbone, input_size=size, strategy="fine_tune", unfreeze="all")
            seconds = session.engine.measure(candidate, spec, far()).latency * len(rows)
        recorded.append(
            grid.Embedded(
                backbone=backbone,
                input_size=size,
                images=len(rows),
                seconds=round(seconds, 4),
                reference=session.reference,
                machine=machine(),
            )
        )
    with np.load(session.folder / embedding.path, allow_pickle=False) as stored:
        have, features, logits = stored["rows"], stored[f"g{embedding.groups - 1}"], stored.get("logits")
    place = {row: index for index, row in enumerate(have.tolist())}
    for count in missing:
        record_scores(session, backbone, size, scores, train[:count], features, logits, place)


def record_scores(
    session: Session,
    backbone: str,
    size: int,
    scores: Sequence[Score],
    rows: np.ndarray,
    features: np.ndarray,
    logits: np.ndarray | None,
    place: dict[int, int],
) -> None:
    """Return every score of a backbone's features of `rows`."""
    at = np.array([place[row] for row in rows.tolist()])
    labels, group = session.data.labels[rows], session.data.group
    folds = folds_for(labels, None if group is None else group[rows])
    begun = time.process_time()
    call = ScoreCall(
        features=features[at], labels=labels, folds=folds, logits=None if logits is None else logits[at]
    )
    values, _ = screening.score_features(scores, call, session.plugins.compute)
    session.recorded.append(
        grid.Scored(
            backbone=backbone,
            input_size=size,
            rows=len(rows),
            values={name: round(value, 5) for name, value in values.items()},
            seconds=round(time.process_time() - begun, 4),
            reference=session.reference,
            machine=machine(),
        )
    )


def warm(session: Session, backbone: str, strategy: str, depth: Depth, epochs: float) -> None:
    """Train once and discard the result: this loads libraries and settles whether the set is mirrored."""
    trial, spec, way = order(session, backbone, strategy, depth, min(epochs, 1.0), 0)
    session.engine.submit(replace(trial, rows=64), spec, way, far()).result()


def order(
    session: Session, backbone: str, strategy: str, depth: Depth, epochs: float, seed: int
) -> tuple[Trial, BackboneSpec, Strategy]:
    """Return what the engine is asked for to train a cell."""
    fresh = strategy == SCRATCH.name
    spec = session.specs[backbone]
    candidate = Candidate(
        backbone=backbone, input_size=size_of(session, backbone), strategy=strategy, unfreeze=depth
    )
    trial = Trial(
        id="cell",
        candidate=candidate,
        epochs=epochs,
        seed=seed,
        evaluate_on=("select", "test"),
        control="scratch" if fresh else "",
    )
    return trial, replace(spec, init="random", weights=None) if fresh else spec, session.strategies[strategy]


def train(
    session: Session, backbone: str, strategy: str, depth: Depth, lengths: Sequence[float], seed: int
) -> None:
    """Train a cell for so many epochs, then continue it to each longer length, and record what was not recorded."""
    recorded = session.recorded
    trained: TrialResult | None = None
    lines = [described(session, backbone, strategy, depth, epochs, seed) for epochs in lengths]
    for number, line in enumerate(lines):
        if all(recorded.has(later) for later in lines[number:]):
            return
        trial, spec, way = order(session, backbone, strategy, depth, line.epochs, seed)
        trial = replace(trial, keep_model=len(lines) > 1)
        if trained is not None:
            trial = replace(
                trial, id=f"cell{number}", resume_from=trained.model, resumed_epochs=trained.epochs_done
            )
        before, begun = processor_seconds(), time.monotonic()
        trained = session.engine.submit(trial, spec, way, far()).result()
        if recorded.has(line):
            continue
        done = replace(
            line,
            status=trained.status,
            resumed=trial.resumed_epochs,
            steps=trained.steps_done,
            seconds=round(processor_seconds() - before, 3),
            wall=round(time.monotonic() - begun, 3),
            parameters=trained.parameters,
            macs=trained.macs,
            precision=trained.precision,
            note="; ".join(sentences(trained.notes)) or trained.error or "",
        )
        table = None if trained.predictions is None else of_rows(session, trained)
        recorded.append(done, table)
        right = "" if table is None else accuracies(recorded.about, table)
        said = (
            f"{recorded.about.name} {done.candidate.id} {done.epochs:g} epochs: {done.seconds:.1f} s{right}"
        )
        print(said, flush=True)


def described(
    session: Session, backbone: str, strategy: str, depth: Depth, epochs: float, seed: int
) -> grid.Trained:
    """Return the line of a training that is not made yet."""
    trial, spec, _ = order(session, backbone, strategy, depth, epochs, seed)
    return grid.Trained(
        backbone=backbone,
        input_size=trial.candidate.input_size,
        strategy=strategy,
        unfreeze=depth,
        epochs=epochs,
        rows=session.recorded.about.train,
        seed=seed,
        init=spec.init,
        reference=session.reference,
        machine=machine(),
    )


def of_rows(session: Session, done: TrialResult) -> np.ndarray:
    """Return the probabilities (n, classes) of the judged images, in the grid's order."""
    assert done.predictions is not None
    found = evidence.probabilities_of(session.folder / done.predictions, session.recorded.about.rows)
    assert found is not None, "the engine left rows out"
    return found


def accuracies(about: grid.Set, table: np.ndarray) -> str:
    """Return the accuracy on select and test, for the log."""
    right = table.argmax(1) == about.labels
    return f", select {right[about.part == 1].mean():.3f}, test {right[about.part == 2].mean():.3f}"
