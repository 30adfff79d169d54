"""The embedded backbones beside random twins, pixels and real checkpoints, by linear probe on the ten sets.

    python -m benchmarks.embedded SETS --weights WEIGHTS --out OUT

Every backbone gets the same head (`linear_probe`) with the same folds, fitted on the train part and tested
once on the test part, at its own input size. The last figure, seconds to decode and embed 1,000 images of
500×375, is measured in one run for both backbones; nothing else should run meanwhile.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
from PIL import Image

from autotl.builtin.backbones import discover
from autotl.decision import controls
from autotl.modality import image, image_store
from autotl.plugins.manager import load_plugins
from autotl.records import BackboneSpec, Columns, Settings
from benchmarks.probes import Opened, far, opened
from benchmarks.sets import TEN

SMALLEST = ("mobilenetv1_025_128", "mobilenetv1_025_224_keras", "mobilenetv2_035_imagenet_frozen")
BEST = "mobilenetv1_100_224"
YARDSTICK = "mobilenetv2_100_tf2"
PIXELS = "16×16 pixels and colour histogram, random forest"


def embedded() -> list[BackboneSpec]:
    """Return the backbones that ship with autotl."""
    offered = load_plugins().backbones(None, Settings(offline=True))
    return [spec for name, spec in offered.items() if name.startswith("autotl:")]


def forest(them: Opened) -> float:
    """Return the accuracy of the control without a network."""
    store = image_store.Pixels.open(them.folder / ".pixels")
    train, test = them.rows("train"), them.rows("test")
    labels, classes = them.data.labels, len(them.data.classes)
    features = {part: image.by_hand(store, rows)["pixels"] for part, rows in (("fit", train), ("test", test))}
    how = controls.Fitting(metric="accuracy", classes=classes)
    table = controls.forest(features["fit"], labels[train], features["test"], how)
    return them.accuracy(table.argmax(1))


def seconds_to_embed(specs: list[BackboneSpec], sets: Path, work: Path, images: int = 1000) -> list[float]:
    """Return the seconds to decode and embed so many photographs of 500×375 with each; the better of two turns."""
    from autotl.engine.client import connect

    photos = sorted((sets / "hymenoptera" / "train").rglob("*.jpg"))
    folder = work / "photos"
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for number in range(images):
        path = folder / f"{number:04d}.jpg"
        if not path.exists():
            with Image.open(photos[number % len(photos)]) as photo:
                photo.convert("RGB").resize((500, 375)).save(path, quality=90)
        files.append(str(path))
    best = [float("inf")] * len(specs)
    for turn in range(2):
        for index, spec in enumerate(specs):
            place = work / f"turn-{turn}-{index}"
            place.mkdir(parents=True, exist_ok=True)
            with connect(folder=place, cache=None, offline=True) as engine:
                engine.started(far())
                begun = time.perf_counter()
                image_store.decode(files, place / ".pixels", side=256, allowance=far())
                columns = Columns(
                    labels=np.arange(images) % 2,
                    part=np.zeros(images, np.int8),
                    fold=np.full(images, -1, np.int8),
                    group=None,
                    order=np.arange(images),
                    classes=("a", "b"),
                )
                engine.open(place / ".pixels", columns, metric="accuracy", digests=None)
                engine.embed(spec, spec.input_size, np.arange(images), far())
                best[index] = min(best[index], time.perf_counter() - begun)
    return best


@click.command()
@click.argument("sets", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--weights", required=True, help="folder with the real checkpoints")
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--only", multiple=True, help="some of the sets")
@click.option("--timing/--no-timing", default=True)
def main(sets: Path, weights: str, out: Path, only: tuple[str, ...], timing: bool) -> None:
    """Print a Markdown table, a row a backbone, and write it with its figures to OUT."""
    real = {spec.name: spec for spec in discover(weights)[0]}
    ours = embedded()
    twins = [replace(spec, name=f"{spec.name} at random", init="random", weights=None) for spec in ours]
    specs = [*ours, *twins, *(real[name] for name in (*SMALLEST, BEST))]
    names = only or TEN
    accuracy: dict[str, dict[str, float]] = {spec.name: {} for spec in specs} | {PIXELS: {}}
    for name in names:
        with opened(sets, name, out / name) as them:
            for spec in specs:
                predicted = them.predict(spec, spec.input_size, ("train",))
                accuracy[spec.name][name] = them.accuracy(predicted)
            accuracy[PIXELS][name] = forest(them)
        print(name, {spec: round(100 * row[name], 1) for spec, row in accuracy.items()}, flush=True)
        (out / "embedded.json").write_text(json.dumps(accuracy, indent=1))
    lines = [
        f"| backbone | {' | '.join(name[:3] for name in names)} | mean |",
        "|---" * (len(names) + 2) + "|",
    ]
    for spec, row in accuracy.items():
        figures = " | ".join(f"{100 * row[name]:.1f}" for name in names)
        lines.append(f"| {spec} | {figures} | {100 * np.mean(list(row.values())):.1f} |")
    if timing:
        best = max(ours, key=lambda spec: float(np.mean(list(accuracy[spec.name].values()))))
        own, other = seconds_to_embed([best, real[YARDSTICK]], sets, out)
        lines += [
            "",
            f"1,000 images of 500×375, decoded and embedded: {best.name} {own:.1f} s, {YARDSTICK} {other:.1f} s",
        ]
    print("\n".join(lines))
    (out / "table.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
