"""What becomes of a fine-tuned probe: shipped as it is, continued on all images, or trained again from the start?

    python -m benchmarks.refits measure SETS --weights WEIGHTS --work WORK --out refits.csv
    python -m benchmarks.refits table refits.csv
    python -m benchmarks.refits rates SETS --weights WEIGHTS --work WORK --out rates.csv

A probe makes `PROBE` passes over the train part without the select part. *Continued* makes `MORE` further passes from
its weights over both; *fresh* starts again from the pretrained weights and makes as many passes as those two together
over both; *averaged* joins the weights of probe and continued training. All are tested on the same images.

`rates` asks at which learning rate a probe is continued for few passes and for many.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import pandas as pd

from autotl.builtin.fine_tuning import FINE_TUNING
from autotl.builtin.strategies import STRATEGIES
from autotl.plugins.manager import load_plugins
from autotl.records import PARTS, BackboneSpec, Candidate, Parent, Part, Settings, Trial, TrialResult
from autotl.stats.folds import folds_for
from benchmarks.heads import interval_over_sets
from benchmarks.probes import Opened, far, opened
from benchmarks.sets import TEN

PROBE, MORE = 6.0, 4.0  # passes
BY_NAME = {strategy.name: strategy for strategy in (*STRATEGIES, *FINE_TUNING)}
CELLS = (
    Candidate(backbone="mobilenetv3_small_100_tf", input_size=128, strategy="fine_tune", unfreeze="all"),
    Candidate(backbone="mobilenetv1_050_160", input_size=96, strategy="lp_ft", unfreeze=2),
    Candidate(backbone="mcunet_512kb_2mb", input_size=96, strategy="fine_tune", unfreeze=2),
)
WAYS = ("none", "continued", "fresh", "averaged")
# Passes that are added at each share of the usual rate, to few images, so that many trainings can be made.
ADDED, SHARES = (2.0, 6.0, 18.0), (1.0, 0.5, 0.25, 0.1)
FEW = {20: (48, 12), 10_000: (20, 5)}  # of a class, of train and select, by the number of classes below which


def on_sets(command: Callable[..., None]) -> Callable[..., None]:
    """Add what both measurements ask for: sets, weights, and where results go."""
    for option in (
        click.option("--set", "names", multiple=True, help="some of the sets"),
        click.option("--out", type=click.Path(path_type=Path), required=True),
        click.option(
            "--work", type=click.Path(path_type=Path), required=True, help="decoded images and models"
        ),
        click.option("--weights", required=True, help="folder with checkpoints, as for `autotl run`"),
        click.argument("sets", type=click.Path(exists=True, file_okay=False, path_type=Path)),
    ):
        command = option(command)
    return command


@click.group()
def main() -> None:
    """Measure what a final fit adds to a probe."""


@main.command()
@on_sets
@click.option("--precision", default="auto", show_default=True)
def measure(sets: Path, weights: str, work: Path, out: Path, names: tuple[str, ...], precision: str) -> None:
    """Train what is missing in OUT; it can be interrupted and started again."""
    specs = load_plugins().backbones(None, Settings(weights=(weights,), offline=True))
    for name in names or TEN:
        done = set() if not out.exists() else set(pd.read_csv(out).query("set == @name")["cell"])
        left = [cell for cell in CELLS if cell.id not in done]
        if not left:
            continue
        with opened(sets, name, work / name) as images:
            part = _with_select(images)
        with opened(sets, name, work / name, part, precision=precision) as images:
            for cell in left:
                rows = _trained(images, specs[cell.backbone], cell)
                table = pd.DataFrame([{"set": name, "cell": cell.id, **row} for row in rows])
                table.to_csv(out, mode="a", header=not out.exists(), index=False)
                print(table.to_string(index=False, header=False), flush=True)


@main.command()
@on_sets
def rates(sets: Path, weights: str, work: Path, out: Path, names: tuple[str, ...]) -> None:
    """Continue a probe on its own images, and on select images besides, at several rates."""
    specs = load_plugins().backbones(None, Settings(weights=(weights,), offline=True))
    for name in names or TEN:
        with opened(sets, name, work / name) as images:
            part = _few(images.data.labels, _with_select(images))
        with opened(sets, name, work / name, part, precision="fp32") as images:
            for cell in (CELLS[2], CELLS[1]):
                table = pd.DataFrame(_at_rates(images, specs[cell.backbone], cell))
                table = table.assign(set=name, cell=cell.id)
                table.to_csv(out, mode="a", header=not out.exists(), index=False)
    print(rate_table(pd.read_csv(out)))


def _few(labels: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Return the part of each image with so many images of a class as `FEW` says; the others have none."""
    classes = np.unique(labels)
    most = next(few for below, few in FEW.items() if len(classes) < below)
    generator, part = np.random.default_rng(0), part.copy()
    for code, limit in enumerate(most):
        for label in classes:
            rows = np.flatnonzero((part == code) & (labels == label))
            part[generator.permutation(rows)[limit:]] = -1
    return part


def _at_rates(images: Opened, spec: BackboneSpec, cell: Candidate) -> list[dict[str, float | str]]:
    """Return what a probe's test accuracy gains by being continued, at each share of the rate."""
    strategy = BY_NAME[cell.strategy]
    probe = Trial(id="probe", candidate=cell, epochs=PROBE, evaluate_on=("test",), keep_model=True)
    first = images.engine.submit(probe, spec, strategy, far()).result()
    found: list[dict[str, float | str]] = []
    for added in ADDED:
        for fit_on in (("train",), ("train", "select")) if added < max(ADDED) else (("train",),):
            for share in SHARES:
                rate = _asked(share * strategy.continued[0].lr, added)
                trial = replace(
                    probe,
                    id=f"{added:g}-{share:g}-{len(fit_on)}",
                    candidate=replace(cell, hyper=(("lr", rate),)),
                    epochs=PROBE + added,
                    fit_on=fit_on,
                    resume_from=first.model,
                    resumed_epochs=PROBE,
                    keep_model=False,
                )
                result = images.engine.submit(trial, spec, strategy, far()).result()
                gain = _accuracy(images, result) - _accuracy(images, first)
                found.append({"added": added, "share": share, "on": "+".join(fit_on), "gain": gain})
    return found


def _asked(rate: float, added: float) -> float:
    """Return the rate to ask for, so that the continuation is made at `rate`: the engine makes it lower by itself."""
    from autotl.engine.fine_tuning import CAREFUL, LEAST_RATE

    return rate if rate <= LEAST_RATE else rate * (added + CAREFUL * PROBE) / added


def rate_table(found: pd.DataFrame) -> str:
    """Return the mean gain in points by passes and images, at each share of the rate."""
    means = 100 * found.pivot_table(index=["added", "on"], columns="share", values="gain")[list(SHARES)]
    lines = [
        f"| passes | on | {' | '.join(f'{share:g}' for share in SHARES)} |",
        f"|---|---|{'---|' * len(SHARES)}",
    ]
    for (added, on), line in means.iterrows():
        lines.append(f"| {added:g} | {on} | {' | '.join(f'{line[share]:+.1f}' for share in SHARES)} |")
    return "\n".join(lines)


def _with_select(images: Opened) -> np.ndarray:
    """Return the part of each image, a fifth of the train images being the select part, groups whole."""
    train = images.rows("train")
    group = None if images.data.group is None else images.data.group[train]
    part = images.part.copy()
    part[train[folds_for(images.data.labels[train], group) == 0]] = PARTS.index("select")
    return part


def _trained(images: Opened, spec: BackboneSpec, cell: Candidate) -> list[dict[str, float | str]]:
    """Return accuracy on the test images and seconds of each way."""
    everything: tuple[Part, ...] = ("train", "select")

    def run(way: str, trial: Trial) -> TrialResult:
        result = images.engine.submit(trial, spec, BY_NAME[trial.candidate.strategy], far()).result()
        if result.predictions is None:
            raise click.ClickException(f"{way} of {cell.id}: {result.error}")
        return result

    probe = Trial(id="probe", candidate=cell, epochs=PROBE, evaluate_on=("test",), keep_model=True)
    longer = replace(probe, epochs=PROBE + MORE, fit_on=everything)
    results = {"none": run("none", probe)}
    resumed = replace(longer, id="continued", resume_from=results["none"].model, resumed_epochs=PROBE)
    results["continued"] = run("continued", resumed)
    results["fresh"] = run("fresh", replace(longer, id="fresh"))
    joined = tuple(
        Parent(
            strategy=cell.strategy, model=str(results[way].model), score=0.0, epochs=results[way].epochs_done
        )
        for way in ("continued", "none")
    )
    soup = Trial(
        id="averaged", candidate=replace(cell, strategy="soup"), evaluate_on=("test",), parents=joined
    )
    averaged = images.engine.submit(soup, spec, BY_NAME["soup"], far()).result()
    if averaged.predictions is not None:  # it declines where trainings measured batch norm in different ways
        results["averaged"] = averaged
    return [
        {"way": way, "accuracy": _accuracy(images, result), "seconds": round(result.cost.seconds, 2)}
        for way, result in results.items()
    ]


def _accuracy(images: Opened, result: TrialResult) -> float:
    with np.load(images.folder / str(result.predictions), allow_pickle=False) as stored:
        return float(np.mean(stored["proba"].argmax(1) == images.data.labels[stored["rows"]]))


@main.command()
@click.argument("measured", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def table(measured: Path) -> None:
    """Print the test accuracy of each way by set, and what it gains over the probe as it is."""
    cells = pd.read_csv(measured)
    wide = 100 * cells.pivot_table(index=["set", "cell"], columns="way", values="accuracy")[list(WAYS)]
    print(f"| set | {' | '.join(WAYS)} |\n|---|{'---|' * len(WAYS)}")
    for name, line in wide.groupby(level="set", sort=False).mean().iterrows():
        print(f"| {name} | {' | '.join(f'{line[way]:.1f}' for way in WAYS)} |")
    print(f"| mean | {' | '.join(f'{wide[way].mean():.1f}' for way in WAYS)} |")
    for way, other in (
        ("continued", "none"),
        ("fresh", "none"),
        ("continued", "fresh"),
        ("averaged", "continued"),
    ):
        gain = (wide[way] - wide[other]).dropna()
        low, high = interval_over_sets(gain)
        better, worse = int((gain > 0).sum()), int((gain < 0).sum())
        print(
            f"{way} − {other}: {gain.mean():+.1f} [{low:+.1f}, {high:+.1f}], {better} cells better, {worse} worse"
        )


if __name__ == "__main__":
    main()
