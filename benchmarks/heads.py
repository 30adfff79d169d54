"""Which head on frozen features ever wins, by how much, and what it costs.

    python -m benchmarks.heads embed SETS --weights WEIGHTS --out FEATURES
    python -m benchmarks.heads measure FEATURES --out heads.csv
    python -m benchmarks.heads table heads.csv

Train parts alone are used. `embed` writes the pooled features of every layer group. `measure` fits each head on a half
of a set's rows, or on some of them, and tests it on the other half; groups stay whole. `table` compares with the linear
probe on the same rows; its intervals are over sets, which are drawn again with replacement.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pandas as pd

from autotl import hardware
from autotl.builtin.backbones import discover
from autotl.builtin.strategies import FROZEN, IN_CONTEXT, STRATEGIES
from autotl.cache import cache_folder
from autotl.data import load
from autotl.modality import image_store
from autotl.plugins.manager import load_plugins
from autotl.protocols import HeadCall
from autotl.records import Columns
from autotl.records.head import Head
from autotl.stats.folds import folds_for
from autotl.testing.contract import resolve
from benchmarks.probes import far
from benchmarks.sets import GROUPS, TEN

MOST = 500  # images of a set
FITTED = (100, 250)  # rows of the first half that a head is fitted on, at most
BACKBONES = ("mobilenetv3_small_100_tf", "mobilenetv1_025_128", "regnetx_002")
BASE = "linear_probe"
HEADS = {s.name: s for s in (*STRATEGIES, *FROZEN, *IN_CONTEXT) if s.head is not None and not s.phases}
DEFAULT = ",".join(name for name in HEADS if name != "tabicl")  # it needs weights that the package has not


@click.group()
def main() -> None:
    """Measure the heads on frozen features."""


@main.command()
@click.argument("sets", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--weights", required=True, help="folder with the checkpoints of the backbones")
@click.option(
    "--backbones", default=",".join(BACKBONES), help="names, separated by commas; all: every checkpoint"
)
@click.option("--out", type=click.Path(path_type=Path), required=True)
def embed(sets: Path, weights: str, backbones: str, out: Path) -> None:
    """Write FEATURES/<set>/<backbone>.npz: labels, groups, pooled features of every layer group and their widths."""
    from autotl.engine.client import connect

    specs = [s for s in discover(weights)[0] if backbones == "all" or s.name in backbones.split(",")]
    for name in TEN:
        missing = [spec for spec in specs if not (out / name / f"{spec.name}.npz").exists()]
        if not missing:
            continue
        options = {"group": GROUPS[name]} if name in GROUPS else {}
        data = load.load(str(sets / name / "train"), options, load_plugins())
        chosen = np.sort(np.random.default_rng(0).permutation(len(data.files))[:MOST])
        work = out / name
        work.mkdir(parents=True, exist_ok=True)
        decoded = image_store.decode(list(data.files[chosen]), work / ".pixels", side=256, allowance=far())
        rows = np.flatnonzero(decoded.present)
        group = None if data.group is None else data.group[chosen]
        own: dict[str, np.ndarray] = {"labels": data.labels[chosen][rows]}
        if group is not None:
            own["group"] = group[rows]
        opened = Columns(
            labels=data.labels[chosen],
            part=np.zeros(len(chosen), np.int8),
            fold=np.full(len(chosen), -1, np.int8),
            group=group,
            order=np.arange(len(chosen)),
            classes=data.classes,
        )
        with connect(folder=work, cache=cache_folder(), precision="fp32", offline=True) as engine:
            engine.open(work / ".pixels", opened, metric="accuracy", digests=decoded.digests.tolist())
            for spec in missing:
                found = engine.embed(spec, spec.input_size, rows, far())
                with np.load(work / found.path, allow_pickle=False) as stored:
                    groups = [stored[f"g{depth}"] for depth in range(found.groups)]
                widths = np.array([table.shape[1] for table in groups])
                features = np.concatenate(groups, 1).astype(np.float16)
                np.savez_compressed(work / f"{spec.name}.npz", features=features, widths=widths, **own)
                print(name, spec.name, len(rows), f"{found.seconds_per_image:.4f} s an image", flush=True)


@main.command()
@click.argument("features", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="CSV file; cells in it are kept")
@click.option("--heads", "names", default=DEFAULT, help="names, separated by commas")
def measure(features: Path, out: Path, names: str) -> None:
    """Write a line a set, backbone, number of rows and head: accuracy on the other half, log loss and CPU seconds."""
    known = pd.read_csv(out) if out.exists() else pd.DataFrame({"set": [], "backbone": [], "head": []})
    have = set(zip(known["set"], known["backbone"], known["head"], strict=True))
    for path in sorted(features.glob("*/*.npz")):
        wanted = [name for name in names.split(",") if (path.parent.name, path.stem, name) not in have]
        lines = list(_cell(path, wanted))
        if lines:
            known = pd.concat([known, pd.DataFrame(lines)])
            known.to_csv(out, index=False, float_format="%.5g")
            print(path.parent.name, path.stem, flush=True)


def _cell(path: Path, names: list[str]) -> Iterator[dict[str, str | float]]:
    with np.load(path, allow_pickle=False) as stored:
        table, widths = stored["features"].astype(np.float32), tuple(stored["widths"].tolist())
        labels, group = stored["labels"], stored.get("group")
    first = _half(labels, group)
    other = np.setdiff1d(np.arange(len(labels)), first)
    classes = int(labels.max()) + 1
    for most in FITTED:
        rows = first[:most]
        folds = folds_for(labels[rows], None if group is None else group[rows])
        for name in names:
            strategy = HEADS[name]
            seen = table if strategy.layers == "all" else table[:, -widths[-1] :]
            begun = time.process_time()
            with hardware.one_thread():  # as in the engine
                head: Head = resolve(str(strategy.head))(
                    HeadCall(
                        features=seen[rows],
                        labels=labels[rows],
                        classes=classes,
                        folds=folds,
                        seed=0,
                        widths=widths if strategy.layers == "all" else (),
                    )
                )
            seconds = time.process_time() - begun
            logits = _logits(head, seen[other], classes, strategy.predict)
            yield {
                "set": path.parent.name,
                "backbone": path.stem,
                "rows": most,
                "head": name,
                "accuracy": float((logits.argmax(1) == labels[other]).mean()),
                "tested": len(other),
                "seconds": seconds,
                "method": head.method,
            }


def _half(labels: np.ndarray, group: np.ndarray | None) -> np.ndarray:
    """Return about half of the rows, shuffled, groups whole."""
    rng = np.random.default_rng(0)
    unit = np.arange(len(labels)) if group is None else np.unique(group, return_inverse=True)[1]
    own = rng.permutation(int(unit.max()) + 1)[unit]
    return rng.permutation(np.flatnonzero(own < (int(unit.max()) + 1) / 2))


def _logits(head: Head, features: np.ndarray, classes: int, predict: str | None) -> np.ndarray:
    if head.kind == "linear":
        return np.asarray(features @ head.arrays["weight"].T + head.arrays["bias"])
    from autotl.engine.check_support import probabilities

    return probabilities(head, classes, features, predict)


@main.command()
@click.argument("measured", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def table(measured: Path) -> None:
    """Print how each head compares with the linear probe, over backbones and sets, by number of rows."""
    cells = pd.read_csv(measured)
    for rows, part in cells.groupby("rows"):
        wide = part.pivot_table(index=["set", "backbone"], columns="head", values="accuracy")
        seconds = part.groupby("head")["seconds"].median()
        best = wide.max(axis=1)
        print(f"\n{rows} rows, {len(wide)} cells of {wide.index.get_level_values('set').nunique()} sets\n")
        print(
            "| head | accuracy | − linear probe, points (95%) | best, tied or not | best alone | > 1 SE above | CPU s |"
        )
        print("|---|---|---|---|---|---|---|")
        tested = part.pivot_table(index=["set", "backbone"], values="tested")["tested"]
        for name in wide.columns:
            gain = 100 * (wide[name] - wide[BASE])
            low, high = interval_over_sets(gain)
            alone = (wide[name] == best) & ((wide.eq(best, axis=0)).sum(axis=1) == 1)
            error = 100 * np.sqrt(wide[BASE] * (1 - wide[BASE]) / tested)
            print(
                f"| `{name}` | {100 * wide[name].mean():.1f} | {gain.mean():+.1f} [{low:+.1f}, {high:+.1f}] | "
                f"{int((wide[name] == best).sum())} | {int(alone.sum())} | {int((gain > error).sum())} | "
                f"{seconds[name]:.2f} |"
            )
        print(f"\nBest of all heads by hindsight: {100 * best.mean():.1f} %")


def interval_over_sets(gain: pd.Series[float]) -> tuple[float, float]:
    """Return the 95 % interval of the mean gain, sets drawn again with replacement."""
    by_set = gain.groupby(level="set").mean().to_numpy()
    rng = np.random.default_rng(0)
    means = by_set[rng.integers(0, len(by_set), (4000, len(by_set)))].mean(1)
    return float(np.percentile(means, 2.5)), float(np.percentile(means, 97.5))


if __name__ == "__main__":
    main()
