"""What strategies gain over plain fine-tuning on the same images, for the same number of passes.

    python -m benchmarks.strategies SET STRATEGIES --of BASE --share 0.15 --out strategies.csv
    python -m benchmarks.strategies table strategies.csv

Each split draws train and test images of a set's train folder (or of TRAIN and TEST folders: another domain) and trains
every strategy with the same seed from the same backbone. Scores are balanced accuracy, the mean recall of classes; the
interval is over splits, by Student's t.
"""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path

import click
import numpy as np
import pandas as pd

from autotl.builtin.fine_tuning import FINE_TUNING
from autotl.builtin.strategies import FROZEN, STRATEGIES
from autotl.data import load
from autotl.modality import image_store
from autotl.plugins.manager import load_plugins
from autotl.records import Candidate, Columns, Dataset, Settings, Strategy, Trial
from autotl.stats import metrics
from benchmarks.probes import far

BY_NAME = {s.name: s for s in (*STRATEGIES, *FROZEN, *FINE_TUNING)}


@click.group()
def main() -> None:
    """Measure strategies against a plain one."""


@main.command()
@click.argument("source", type=click.Path(exists=True, file_okay=False))
@click.argument("strategies")
@click.option("--elsewhere", default=None, help="Folder of another domain, whose images test, too.")
@click.option("--share", default=0.5, help="Of the images that train; the rest tests.")
@click.option("--most", default=240, show_default=True, help="Images of a class.")
@click.option("--backbone", default="autotl:mobilenetv3_small_050", show_default=True)
@click.option("--side", default=64, show_default=True, help="Input size in pixels.")
@click.option("--epochs", default=8.0, show_default=True)
@click.option("--first", default=0, show_default=True, help="Number of the first split.")
@click.option("--splits", default=5, show_default=True)
@click.option("--depth", default="all", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
def measure(  # noqa: PLR0913, PLR0917 (options of a command)
    source: str, strategies: str, elsewhere: str | None, share: float, backbone: str, side: int, epochs: float,
    first: int, splits: int, depth: str, most: int, out: Path,
) -> None:  # fmt: skip
    """Train STRATEGIES, separated by commas, on splits of SOURCE and append their scores to a table."""
    from autotl.engine import messages, trial
    from autotl.engine.images import Squares
    from autotl.engine.session import Data, Session

    plugins = load_plugins(installed=False)
    spec = plugins.backbones(None, Settings(offline=True, wanted=(backbone,)))[backbone]
    own = load.load(source, {}, plugins)
    other = None if elsewhere is None else load.load(elsewhere, {}, plugins)
    with tempfile.TemporaryDirectory() as folder:
        files, labels, places = _columns(own, other, most)
        decoded = image_store.decode(files, Path(folder) / ".pixels", side=side + side // 4, allowance=far())
        squares = Squares(image_store.Pixels.open(Path(folder) / ".pixels"))
        start = messages.Start(
            folder=folder, cache=None, device="cpu", precision="fp32", seed=0, offline=True, sys_path=()
        )
        session = Session(start)
        for split in range(first, first + splits):
            part = _parts(labels, places, share, split)
            part[~decoded.present] = -1
            columns = Columns(
                labels=labels, part=part, fold=np.full(len(labels), -1, np.int8), group=None,
                order=np.random.default_rng(split).permutation(len(labels)), classes=own.classes,
            )  # fmt: skip
            digests = np.arange(len(labels)).astype(str)
            session.open(Data(columns=columns, digests=digests, metric="accuracy", squares=squares))
            for name in strategies.split(","):
                strategy = BY_NAME[name]
                asked = _asked(strategy, spec.name, side, epochs, depth, split)
                result = trial.attempt(session, asked, spec, strategy, far())
                row = {"set": Path(source).parent.name, "share": share, "strategy": name, "split": split}
                row |= {"seconds": round(result.cost.seconds, 2), "error": result.error or ""}
                if result.predictions is not None:
                    with np.load(Path(folder) / result.predictions) as stored:
                        row |= _scores(stored["rows"], stored["proba"].argmax(1), labels, places, own)
                _append(out, row)
                print(row, flush=True)


def _columns(own: Dataset, other: Dataset | None, most: int) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return files, labels and places (0: own, 1: elsewhere), at most `most` images of a class in each place."""
    files, labels, places = [], [], []
    for place, data in enumerate([own] if other is None else [own, other]):
        generator = np.random.default_rng(0)
        for label in range(len(data.classes)):
            rows = generator.permutation(np.flatnonzero(data.labels == label))[:most]
            files += [str(file) for file in data.files[rows]]
            labels += [label] * len(rows)
            places += [place] * len(rows)
    return files, np.array(labels), np.array(places)


def _parts(labels: np.ndarray, places: np.ndarray, share: float, split: int) -> np.ndarray:
    """Return the part of each row: a share of each class trains, what is left and all from elsewhere is judged."""
    part = np.ones(len(labels), np.int8)
    generator = np.random.default_rng(1000 + split)
    for label in np.unique(labels):
        rows = generator.permutation(np.flatnonzero((labels == label) & (places == 0)))
        part[rows[: max(2, round(share * len(rows)))]] = 0
    return part


def _asked(strategy: Strategy, backbone: str, side: int, epochs: float, depth: str, split: int) -> Trial:
    unfreeze = 0 if strategy.head_only else int(depth) if strategy.depths and depth != "all" else "all"
    candidate = Candidate(backbone=backbone, input_size=side, strategy=strategy.name, unfreeze=unfreeze)
    return Trial(id=f"s{split}", candidate=candidate, epochs=epochs if strategy.phases else 0.0, seed=split)


def _scores(
    rows: np.ndarray, predicted: np.ndarray, labels: np.ndarray, places: np.ndarray, own: Dataset
) -> dict[str, float]:
    result: dict[str, float] = {}
    for place, name in enumerate(("score", "elsewhere")):
        at = places[rows] == place
        if at.any():
            of = metrics.score("balanced_accuracy", labels[rows[at]], predicted[at], len(own.classes))
            result[name] = round(of, 4)
    return result


def _append(out: Path, row: dict[str, object]) -> None:
    fields = ("set", "share", "strategy", "split", "score", "elsewhere", "seconds", "error")
    fresh = not out.exists()
    with out.open("a", newline="") as file:
        writer = csv.DictWriter(file, fields)
        if fresh:
            writer.writeheader()
        writer.writerow(row)


@main.command()
@click.argument("table", type=click.Path(exists=True, path_type=Path))
@click.option("--of", "base", default="fine_tune", show_default=True)
@click.option("--column", default="score", show_default=True)
def table(table: Path, base: str, column: str) -> None:
    """Print what each strategy gains over one on the same splits, in points with a 95 % interval."""
    from scipy.stats import t

    rows = pd.read_csv(table)
    for (name, share), group in rows.groupby(["set", "share"]):
        scores = group.pivot_table(index="split", columns="strategy", values=column)
        seconds = group.groupby("strategy")["seconds"].median()
        for strategy in scores.columns:
            gains = 100 * (scores[strategy] - scores[base]).dropna()
            half = t.ppf(0.975, max(len(gains) - 1, 1)) * gains.std() / len(gains) ** 0.5
            gain = (
                ""
                if strategy == base
                else f"{gains.mean():+.1f} ({gains.mean() - half:+.1f} to {gains.mean() + half:+.1f})"
            )
            cost = seconds[strategy] / seconds[base]
            mean = 100 * scores[strategy].mean()
            print(f"| {name} | {share:g} | `{strategy}` | {mean:.1f} | {gain} | {len(gains)} | {cost:.1f} |")


if __name__ == "__main__":
    main()
