"""What strategies gain over plain fine-tuning on the same images, for the same number of passes.

    python -m benchmarks.strategies measure SET/train STRATEGIES --share 0.15 --out strategies.jsonl
    python -m benchmarks.strategies table strategies.jsonl
    python -m benchmarks.strategies over_sets strategies.jsonl --of lp_ft

Each split draws train and test images of a folder and trains every strategy with the same seed from the same backbone.
STRATEGIES are separated by commas; ``fine_tune:1`` is one at another depth. `--elsewhere` is another domain, whose
images test, too; `--source` another one, whose images train beside the others in strategies for them; `--teacher` a
backbone that is fine-tuned first, for `distilled` to learn from. Scores are balanced accuracy, the mean recall of
classes. Intervals are paired over the test images of all splits; an image that several splits test, and images of a
group, count as one.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

from autotl.builtin.fine_tuning import FINE_TUNING
from autotl.builtin.strategies import FROZEN, INSTANCES, STRATEGIES
from autotl.data import load
from autotl.data.related import matched
from autotl.modality import image_store
from autotl.plugins.manager import load_plugins
from autotl.records import BackboneSpec, Candidate, Columns, Dataset, Depth, Parent, Settings, Strategy, Trial
from autotl.stats import metrics
from benchmarks.heads import interval_over_sets
from benchmarks.probes import far

BY_NAME = {s.name: s for s in (*STRATEGIES, *FROZEN, *FINE_TUNING, *INSTANCES)}
PLACES = ("score", "elsewhere")  # where the images of a split are from: the folder itself, or another domain
TRAINED, TESTED = 0, 1
OWN, ELSEWHERE, RELATED = 0, 1, 2


@click.group()
def main() -> None:
    """Measure strategies against a plain one."""


@dataclass(frozen=True, kw_only=True)
class Images:
    """The images of a comparison."""

    files: list[str]
    labels: np.ndarray
    place: np.ndarray  # OWN, ELSEWHERE or RELATED
    group: np.ndarray  # what stays in one part


@main.command()
@click.argument("source", type=click.Path(exists=True, file_okay=False))
@click.argument("strategies")
@click.option("--elsewhere", default=None, help="Folder of another domain, whose images test, too.")
@click.option("--source", "related", default=None, help="Folder of another source, whose images train, too.")
@click.option("--group", default=None, help="Regular expression of what stays in one part.")
@click.option("--share", default=0.5, help="Of the images that train; the rest tests.")
@click.option("--most", default=240, show_default=True, help="Images of a class.")
@click.option("--backbone", default="autotl:mobilenetv3_small_050", show_default=True)
@click.option("--teacher", default=None, help="Backbone that is fine-tuned on each split, to teach.")
@click.option("--weights", default=None, help="Folder of checkpoints.")
@click.option("--side", default=64, show_default=True, help="Input size in pixels.")
@click.option("--epochs", default=8.0, show_default=True)
@click.option("--first", default=0, show_default=True, help="Number of the first split.")
@click.option("--splits", default=5, show_default=True)
@click.option("--seconds", default=0.0, help="After so many no split is begun; 0: no limit.")
@click.option("--out", type=click.Path(path_type=Path), required=True)
def measure(  # noqa: PLR0913, PLR0917 (options of a command)
    source: str, strategies: str, elsewhere: str | None, related: str | None, group: str | None, share: float,
    most: int, backbone: str, teacher: str | None, weights: str | None, side: int, epochs: float, first: int,
    splits: int, seconds: float, out: Path,
) -> None:  # fmt: skip
    """Train STRATEGIES, separated by commas, on splits of SOURCE and append their predictions to a file."""
    from autotl.engine import trial
    from autotl.engine.images import Squares
    from autotl.engine.session import Data

    begun = time.monotonic()
    plugins = load_plugins(installed=False)
    settings = Settings(
        offline=True, wanted=(backbone, *filter(None, [teacher])), weights=(weights,) if weights else ()
    )
    specs = plugins.backbones(None, settings)
    own = load.load(source, {"group": group} if group else {}, plugins)
    beside = {
        place: load.load(folder, {}, plugins)
        for place, folder in ((ELSEWHERE, elsewhere), (RELATED, related))
        if folder is not None
    }
    images = _images(own, beside, most)
    with tempfile.TemporaryDirectory() as folder:
        decoded = image_store.decode(
            images.files, Path(folder) / ".pixels", side=side + side // 4, allowance=far()
        )
        squares = Squares(image_store.Pixels.open(Path(folder) / ".pixels"))
        session = _session(folder)
        for split in range(first, first + splits):
            if seconds and time.monotonic() - begun > seconds:
                break
            columns = _columns(images, own, decoded.present, share, split)
            digests = np.arange(len(images.files)).astype(str)
            session.open(Data(columns=columns, digests=digests, metric="accuracy", squares=squares))
            parents = () if teacher is None else _taught(session, specs[teacher], side, epochs, split)
            for name in strategies.split(","):
                strategy, depth = _named(name)
                asked = _asked(strategy, backbone, side, epochs, depth, split, parents)
                result = trial.attempt(session, asked, specs[backbone], strategy, far())
                row: dict[str, Any] = {"set": _title(source, elsewhere, related), "share": share}
                row |= {"strategy": name, "split": split, "error": result.error or ""}
                row |= {"seconds": round(result.cost.seconds, 2), "parameters": result.parameters}
                row |= {"latency": result.latency}
                if result.predictions is not None:
                    row |= _predictions(Path(folder) / result.predictions, images)
                with out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
                print({key: value for key, value in row.items() if not isinstance(value, list)}, flush=True)


def _title(source: str, elsewhere: str | None, related: str | None) -> str:
    path = Path(source)
    name = path.parent.name if path.name == "train" else path.name
    more = [f"+ {Path(related).name}"] if related else []
    return " ".join([name, *more, *([f"→ {Path(elsewhere).name}"] if elsewhere else [])])


def _session(folder: str) -> Any:
    from autotl.engine import messages
    from autotl.engine.session import Session

    start = messages.Start(
        folder=folder, cache=None, device="cpu", precision="fp32", seed=0, offline=True, sys_path=()
    )
    return Session(start)


def _images(own: Dataset, beside: dict[int, Dataset], most: int) -> Images:
    """Return at most `most` images of a class of each place, those of another source last; classes match by name."""
    files, labels, places, groups = [], [], [], []
    for place, data in ({OWN: own} | beside).items():
        generator = np.random.default_rng(0)
        match = matched(data.classes, own.classes)
        group = np.arange(len(data.files)) if data.group is None else data.group
        for label in match:
            rows = generator.permutation(np.flatnonzero(data.labels == label))[:most]
            files += [str(file) for file in data.files[rows]]
            labels += [match[label]] * len(rows)
            places += [place] * len(rows)
            groups += [f"{place} {number}" for number in group[rows]]
    return Images(
        files=files,
        labels=np.array(labels),
        place=np.array(places),
        group=np.unique(groups, return_inverse=True)[1],
    )


def _columns(images: Images, own: Dataset, present: np.ndarray, share: float, split: int) -> Columns:
    """Return the columns of a split; images of another source lie behind those that have a part."""
    part = _parts(images, share, split)
    part[~present] = -1
    count = int((images.place != RELATED).sum())
    behind = np.flatnonzero((images.place == RELATED) & present)
    return Columns(
        labels=images.labels[:count], part=part[:count], fold=np.full(count, -1, np.int8),
        group=images.group[:count], order=np.random.default_rng(split).permutation(count), classes=own.classes,
        related=behind if len(behind) else None, related_labels=images.labels[behind] if len(behind) else None,
    )  # fmt: skip


def _parts(images: Images, share: float, split: int) -> np.ndarray:
    """Return the part of each image: a share of each class trains, groups whole; the rest and all elsewhere tests."""
    part = np.full(len(images.labels), TESTED, np.int8)
    generator = np.random.default_rng(1000 + split)
    for label in np.unique(images.labels):
        rows = np.flatnonzero((images.labels == label) & (images.place == OWN))
        groups = generator.permutation(np.unique(images.group[rows]))
        wanted = max(2, round(share * len(rows)))
        for group in groups[: max(1, len(groups) - 1)]:
            if (part[rows] == TRAINED).sum() >= wanted:
                break
            part[rows[images.group[rows] == group]] = TRAINED
    return part


def _named(name: str) -> tuple[Strategy, Depth]:
    """Return the strategy and the depth of ``fine_tune:1`` or ``fine_tune``."""
    base, _, depth = name.partition(":")
    strategy = BY_NAME[base]
    return strategy, 0 if strategy.head_only else int(depth) if depth else "all"


def _asked(
    strategy: Strategy, backbone: str, side: int, epochs: float, depth: Depth, split: int, parents: tuple[Parent, ...]
) -> Trial:  # fmt: skip
    candidate = Candidate(backbone=backbone, input_size=side, strategy=strategy.name, unfreeze=depth)
    return Trial(
        id=f"s{split}", candidate=candidate, epochs=epochs if strategy.phases else 0.0, seed=split,
        parents=parents if strategy.parents else (),
    )  # fmt: skip


def _taught(session: Any, spec: BackboneSpec, side: int, epochs: float, split: int) -> tuple[Parent, ...]:
    """Fine-tune the teacher on the images that train, and return it."""
    from dataclasses import replace

    from autotl.engine import trial

    strategy = BY_NAME["fine_tune"]
    asked = replace(
        _asked(strategy, spec.name, side, epochs, "all", split, ()), id=f"teacher{split}", keep_model=True
    )
    result = trial.run(session, asked, spec, strategy, far())
    return (Parent(strategy=strategy.name, model=str(result.model), score=0.0, epochs=epochs),)


def _predictions(path: Path, images: Images) -> dict[str, Any]:
    with np.load(path) as stored:
        rows, predicted = stored["rows"], stored["proba"].argmax(1)
    return {
        "group": images.group[rows].tolist(),
        "place": images.place[rows].tolist(),
        "labels": images.labels[rows].tolist(),
        "predicted": predicted.tolist(),
    }


@main.command()
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@click.option("--of", "base", default="fine_tune", show_default=True)
def table(file: Path, base: str) -> None:
    """Print what each strategy gains over one on the same splits, in points with a 95% interval."""
    rows = _read(file)
    for name, share in dict.fromkeys((row["set"], row["share"]) for row in rows):
        here = [row for row in rows if (row["set"], row["share"]) == (name, share)]
        for strategy in dict.fromkeys(row["strategy"] for row in here):
            pairs = [
                (row, other)
                for row in here
                for other in here
                if (row["strategy"], other["strategy"], row["split"]) == (strategy, base, other["split"])
            ]
            if pairs:
                print(_line(f"{name}, {share:g}", strategy, pairs, base))


def _read(file: Path) -> list[dict[str, Any]]:
    """Return the trainings that made predictions."""
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [row for row in rows if "predicted" in row]


@main.command(name="over_sets")
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@click.option("--of", "base", default="fine_tune", show_default=True)
def over_sets(file: Path, base: str) -> None:
    """Print which strategies ever win: the mean gain over one, with its interval over sets, and where it is the best."""
    rows = _read(file)
    cells = pd.DataFrame([{**row, **_beside(row, rows, base)} for row in rows])
    wide = cells.pivot_table(index=["set", "split"], columns="strategy", values="score")
    best, seconds = wide.max(axis=1), cells.groupby("strategy")["ratio"].median()
    clearly = cells.groupby("strategy")[["above", "below"]].sum()
    print(
        "| strategy | sets | score | gain | best | above | below | seconds |\n|---|---|---|---|---|---|---|---|"
    )
    for name in (wide.sub(wide[base], axis=0)).mean().sort_values(ascending=False).index:
        gain = (wide[name] - wide[base]).dropna()
        low, high = interval_over_sets(gain)
        print(
            f"| `{name}` | {len(gain)} | {wide[name].mean():.1f} | {gain.mean():+.1f} [{low:+.1f}, {high:+.1f}] | "
            f"{int((wide[name] == best).sum())} | {clearly['above'][name]} | {clearly['below'][name]} | "
            f"{seconds[name]:.1f} |".replace("-", "−")
        )


def _beside(row: dict[str, Any], rows: Sequence[dict[str, Any]], base: str) -> dict[str, Any]:
    """Return the score of a training in percent, and whether it is significantly above or below the one it is held to."""
    key = (row["set"], row["split"], base)
    other = next(each for each in rows if (each["set"], each["split"], each["strategy"]) == key)
    labels, predicted, held = (
        np.array(each) for each in (row["labels"], row["predicted"], other["predicted"])
    )
    classes = int(labels.max()) + 1
    gain = metrics.paired_difference(
        "balanced_accuracy", labels, predicted, held, classes, np.array(row["group"])
    )
    return {
        "score": 100 * metrics.score("balanced_accuracy", labels, predicted, classes),
        "above": int(gain.low > 0),
        "below": int(gain.high < 0),
        "ratio": row["seconds"] / max(other["seconds"], 1e-9),
    }


def _line(
    title: str, strategy: str, pairs: Sequence[tuple[dict[str, Any], dict[str, Any]]], base: str
) -> str:
    """Return a line of the table: score and gain in each place, the number of splits and the seconds as a ratio."""
    cells = [title, f"`{strategy}`"]
    for place in (OWN, ELSEWHERE):
        columns = {
            key: np.concatenate([np.array(row[key])[np.array(row["place"]) == place] for row, _ in pairs])
            for key in ("labels", "predicted", "group")
        }
        if not len(columns["labels"]):
            continue
        other = np.concatenate(
            [np.array(row["predicted"])[np.array(row["place"]) == place] for _, row in pairs]
        )
        classes = int(columns["labels"].max()) + 1
        score = metrics.score("balanced_accuracy", columns["labels"], columns["predicted"], classes)
        gain = metrics.paired_difference(
            "balanced_accuracy", columns["labels"], columns["predicted"], other, classes, columns["group"]
        )
        of, low, high = (f"{100 * end:+.1f}".replace("-", "−") for end in (gain.value, gain.low, gain.high))
        cells += [
            f"{100 * score:.1f}",
            "" if strategy == base else f"{of} [{low}, {high}]",
        ]
    ratio = np.median([row["seconds"] / max(other["seconds"], 1e-9) for row, other in pairs])
    return f"| {' | '.join([*cells, str(len(pairs)), f'{ratio:.1f}'])} |"


if __name__ == "__main__":
    main()
