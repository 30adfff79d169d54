"""What strategies gain from images without a label, of the same kind or of another domain, and how to choose among them.

    python -m benchmarks.unlabelled measure SET/photo fine_tune,mcc --to SET/sketch --share 0.8 --out adapt.csv
    python -m benchmarks.unlabelled measure SET/train fine_tune,fixmatch --share 0.1 --out same.csv
    python -m benchmarks.unlabelled table adapt.csv --column elsewhere
    python -m benchmarks.unlabelled choice adapt.csv

With --to, a share of SOURCE trains, the rest of it gives `score`, and all images of the other folder are learned from
without their labels, which are read for `elsewhere` alone. Without, a share trains, half of the rest is learned from
without its labels, and the other half gives `score`. Both are the mean recall of classes. `choice` compares what a
strategy reaches elsewhere when it is chosen by its score, or by what its answers to the unlabelled images look like.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import pandas as pd

from autotl.builtin.adaptation import ADAPTATION
from autotl.builtin.fine_tuning import FINE_TUNING
from autotl.builtin.strategies import FROZEN, STRATEGIES
from autotl.data import load
from autotl.modality import image_store
from autotl.plugins.manager import load_plugins
from autotl.records import Candidate, Columns, Dataset, Settings, Strategy, Trial
from autotl.stats import metrics
from benchmarks.probes import far

BY_NAME = {s.name: s for s in (*STRATEGIES, *FROZEN, *FINE_TUNING, *ADAPTATION)}
FIELDS = (
    "set", "to", "share", "strategy", "split", "score", "elsewhere",
    "infomax", "nuclear", "threshold", "seconds", "error",
)  # fmt: skip
TRAIN, JUDGED = 0, 1  # indices into PARTS


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """The rows of a split: own ones, then those elsewhere, which are read a second time without their labels."""

    files: list[str]
    labels: np.ndarray  # (n,) of the rows with a label
    part: np.ndarray  # (n,)
    elsewhere: np.ndarray  # (n,) bool
    unlabelled: np.ndarray  # (m,) rows of `files`


@click.group()
def main() -> None:
    """Measure strategies that learn from images without a label."""


@main.command()
@click.argument("source", type=click.Path(exists=True, file_okay=False))
@click.argument("strategies")
@click.option("--to", default=None, help="Folder of another domain with the same classes.")
@click.option("--share", default=0.8, help="Of SOURCE that trains.")
@click.option("--most", default=200, show_default=True, help="Images of a class.")
@click.option("--backbone", default="autotl:mobilenetv3_small_050", show_default=True)
@click.option("--weights", default=None, help="Folder of checkpoints that has the backbone.")
@click.option("--side", default=64, show_default=True, help="Input size in pixels.")
@click.option("--epochs", default=8.0, show_default=True)
@click.option("--first", default=0, show_default=True, help="Number of the first split.")
@click.option("--splits", default=3, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
def measure(  # noqa: PLR0913, PLR0917 (options of a command)
    source: str, strategies: str, to: str | None, share: float, most: int, backbone: str, weights: str | None,
    side: int, epochs: float, first: int, splits: int, out: Path,
) -> None:  # fmt: skip
    """Train STRATEGIES, separated by commas, on splits of SOURCE and append their scores to a table."""
    from autotl.engine import messages, trial
    from autotl.engine.images import Squares
    from autotl.engine.session import Data, Session

    plugins = load_plugins(installed=False)
    settings = Settings(offline=True, wanted=(backbone,), weights=() if weights is None else (weights,))
    spec = plugins.backbones(None, settings)[backbone]
    own = load.load(source, {}, plugins)
    other = None if to is None else load.load(to, {}, plugins)
    for split in range(first, first + splits):
        case = _case(own, other, most, share, split)
        with tempfile.TemporaryDirectory() as folder:
            image_store.decode(case.files, Path(folder) / ".pixels", side=side + side // 4, allowance=far())
            start = messages.Start(
                folder=folder, cache=None, device="cpu", precision="fp32", seed=0, offline=True, sys_path=()
            )
            session = Session(start)
            rows = len(case.labels)
            columns = Columns(
                labels=case.labels, part=case.part, fold=np.full(rows, -1, np.int8), group=None,
                order=np.random.default_rng(split).permutation(rows), classes=own.classes, unlabelled=case.unlabelled,
            )  # fmt: skip
            squares = Squares(image_store.Pixels.open(Path(folder) / ".pixels"))
            digests = np.arange(len(case.files)).astype(str)
            session.open(Data(columns=columns, digests=digests, metric="accuracy", squares=squares))
            for name in strategies.split(","):
                asked = _asked(BY_NAME[name], spec.name, side, epochs, split)
                result = trial.attempt(session, asked, spec, BY_NAME[name], far())
                row = {"set": _set(source), "to": "" if to is None else Path(to).name, "share": share}
                row |= {"strategy": name, "split": split, "seconds": round(result.cost.seconds, 2)}
                row |= {"error": result.error or ""}
                if result.predictions is not None:
                    with np.load(Path(folder) / result.predictions) as stored:
                        row |= _scores(case, stored["rows"], stored["proba"])
                _append(out, row)
                print(row, flush=True)


def _set(source: str) -> str:
    """Return the name of a set by its folder, such as pacs_domains/photo or cifar10."""
    path = Path(source).resolve()
    return path.parent.name if path.name == "train" else f"{path.parent.name}/{path.name}"


def _case(own: Dataset, other: Dataset | None, most: int, share: float, split: int) -> Case:
    """Return the rows of a split."""
    generator = np.random.default_rng(1000 + split)
    files, labels, part, elsewhere, without = [], [], [], [], []
    for label in range(len(own.classes)):
        rows = generator.permutation(np.flatnonzero(own.labels == label))[:most]
        trains = max(2, round(share * len(rows)))
        half = trains + (len(rows) - trains) // 2 if other is None else trains
        without += [str(file) for file in own.files[rows[trains:half]]]
        used = [*rows[:trains], *rows[half:]]
        files += [str(own.files[row]) for row in used]
        labels += [label] * len(used)
        part += [TRAIN] * trains + [JUDGED] * (len(used) - trains)
        elsewhere += [False] * len(used)
    if other is not None:
        assert other.classes == own.classes
        files += [str(file) for file in other.files]
        labels += other.labels.tolist()
        part += [JUDGED] * len(other.files)
        elsewhere += [True] * len(other.files)
        without += [str(file) for file in other.files]
    return Case(
        files=files + without,
        labels=np.array(labels),
        part=np.array(part, np.int8),
        elsewhere=np.array(elsewhere),
        unlabelled=len(files) + np.arange(len(without)),
    )


def _asked(strategy: Strategy, backbone: str, side: int, epochs: float, split: int) -> Trial:
    unfreeze = 0 if strategy.head_only else "all"
    candidate = Candidate(backbone=backbone, input_size=side, strategy=strategy.name, unfreeze=unfreeze)
    return Trial(id=f"s{split}", candidate=candidate, epochs=epochs if strategy.phases else 0.0, seed=split)


def _scores(case: Case, rows: np.ndarray, table: np.ndarray) -> dict[str, float]:
    """Return scores here and elsewhere, and what the answers elsewhere look like without their labels."""
    away, classes, answers = case.elsewhere[rows], table.shape[1], table.argmax(1)
    truth = case.labels[rows]

    def recall(some: np.ndarray) -> float:
        return round(metrics.score("balanced_accuracy", truth[some], answers[some], classes), 4)

    found = {"score": recall(~away)}
    if away.any():
        shares, mean = table[away], table[away].mean(0)
        entropy = -(shares * np.log(shares + 1e-9)).sum(1)
        # InfoMax (Krause et al., 2010), BNM (Cui et al., 2020), average thresholded confidence (Garg et al., 2022)
        found |= {"elsewhere": recall(away)}
        found |= {"infomax": round(float(-(mean * np.log(mean + 1e-9)).sum() - entropy.mean()), 4)}
        found |= {"nuclear": round(float(np.linalg.norm(shares, "nuc") / np.sqrt(len(shares) * classes)), 4)}
        sure, right = table[~away].max(1), answers[~away] == truth[~away]
        least = np.quantile(sure, 1 - right.mean())
        found |= {"threshold": round(float((shares.max(1) >= least).mean()), 4)}
    return found


def _append(out: Path, row: dict[str, object]) -> None:
    fresh = not out.exists()
    with out.open("a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        if fresh:
            writer.writeheader()
        writer.writerow(row)


@main.command()
@click.argument("table", type=click.Path(exists=True, path_type=Path))
@click.option("--of", "base", default="fine_tune", show_default=True)
@click.option("--column", default="score", show_default=True)
def table(table: Path, base: str, column: str) -> None:
    """Print what each strategy gains over one on the same splits, in points with a 95 % interval by Student's t."""
    rows = pd.read_csv(table, keep_default_na=False, na_values={column: [""]})
    for (name, to), group in [*rows.groupby(["set", "to"]), *_all_of_them(rows)]:
        scores = group.pivot_table(index=["to", "split"], columns="strategy", values=column)
        seconds = group.groupby("strategy")["seconds"].median()
        for strategy in scores.columns:
            gains = 100 * (scores[strategy] - scores[base]).dropna()
            mean = 100 * scores[strategy].mean()
            cost = seconds[strategy] / seconds[base]
            gain = "" if strategy == base else _interval(gains)
            print(f"| {name} | {to} | `{strategy}` | {mean:.1f} | {gain} | {len(gains)} | {cost:.1f} |")


def _all_of_them(rows: pd.DataFrame) -> list[tuple[tuple[str, str], pd.DataFrame]]:
    """Return all rows as one group, where they are of several targets."""
    return [(("all", ""), rows)] if len(set(rows["to"])) > 1 else []


def _interval(gains: pd.Series) -> str:
    from scipy.stats import t

    half = t.ppf(0.975, max(len(gains) - 1, 1)) * gains.std() / len(gains) ** 0.5
    return f"{gains.mean():+.1f} ({gains.mean() - half:+.1f} to {gains.mean() + half:+.1f})"


@main.command()
@click.argument("table", type=click.Path(exists=True, path_type=Path))
@click.option("--of", "base", default="fine_tune", show_default=True)
@click.option(
    "--leeway", default=0.02, show_default=True, help="Of the score that a choice elsewhere may cost."
)
def choice(table: Path, base: str, leeway: float) -> None:
    """Print the accuracy elsewhere of the strategies that each way of choosing picks."""
    rows = pd.read_csv(table).dropna(subset=["elsewhere"])

    def near(group: pd.DataFrame) -> pd.DataFrame:
        return group[group["score"] >= group["score"].max() - leeway]

    ways: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
        base: lambda group: group[group["strategy"] == base].iloc[0],
        "score": lambda group: group.loc[group["score"].idxmax()],
    }
    for column in ("infomax", "nuclear", "threshold"):
        ways[column] = lambda group, column=column: group.loc[group[column].idxmax()]
        ways[f"{column} near the best score"] = lambda group, column=column: near(group).loc[
            near(group)[column].idxmax()
        ]
    ways["hindsight"] = lambda group: group.loc[group["elsewhere"].idxmax()]
    for name, choose in ways.items():
        chosen = pd.DataFrame([choose(group) for _, group in rows.groupby(["set", "to", "split"])])
        names = chosen["strategy"].value_counts().to_dict()
        base_of = rows[rows["strategy"] == base].set_index(["set", "to", "split"])["elsewhere"]
        gains = 100 * (chosen.set_index(["set", "to", "split"])["elsewhere"] - base_of)
        picked = ", ".join(f"`{strategy}` {count}" for strategy, count in names.items())
        print(f"| {name} | {100 * chosen['elsewhere'].mean():.1f} | {_interval(gains)} | {picked} |")


if __name__ == "__main__":
    main()
