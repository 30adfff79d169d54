"""Which score, and which mixture with a prior, orders backbones as their linear probes turn out.

    python -m benchmarks.ranking teach TINY_IMAGENET_ZIP SETS --out TEACHING
    python -m benchmarks.ranking embed SETS --weights WEIGHTS --out FEATURES
    python -m benchmarks.ranking table FEATURES --out OUT

`teach` makes the sets that weights are learnt on; none of them is among the ten that figures are reported
on. `embed` pools features of at most 300 images of each set with every backbone, once for the ten sets and
once for the others. `table` needs neither torch nor images: it scores features of some rows, fits linear
probes on half of the rows, tests them on the other half and compares the orders.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
from PIL import Image, ImageFilter

from autotl import dataset, pixels
from autotl.builtin.backbones import discover
from autotl.cache import cache_folder
from autotl.plugins import load_plugins
from benchmarks.embedded import embedded
from benchmarks.probes import far
from benchmarks.sets import GROUPS, TEN

MOST = 300  # images of a set
PACS = ("art_painting", "cartoon", "photo", "sketch")
PLANTS = "house_plants_dirty"


@click.group()
def main() -> None:
    """Measures the ranking of backbones."""


# --------------------------------------------------------------------------- sets to learn on


@main.command()
@click.argument("tiny", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("sets", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True)
def teach(tiny: Path, sets: Path, out: Path) -> None:
    """Writes TEACHING/<set>/<class>/: Tiny ImageNet classes, plain and altered, four domains, plants, digits."""
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(tiny) as archive:
        by_class: dict[str, list[str]] = {}
        for name in sorted(archive.namelist()):
            if name.endswith(".webp"):
                by_class.setdefault(name.split("/")[-2], []).append(name)
        classes = rng.permutation(sorted(by_class)).tolist()
        alterations: dict[str, tuple[int, Callable[[Image.Image], Image.Image]]] = {
            "tiny_40_classes": (40, lambda image: image),
            "tiny_10_classes": (10, lambda image: image),
            "tiny_edges": (8, lambda image: image.convert("L").filter(ImageFilter.FIND_EDGES).convert("RGB")),
            "tiny_patches": (8, _patches),
        }
        for name, (count, alter) in alterations.items():
            chosen, classes = classes[:count], classes[count:]
            for label in chosen:
                for member in by_class[label][: MOST // count]:
                    picture = Image.open(io.BytesIO(archive.read(member))).convert("RGB")
                    _save(alter(picture), out / name / label, Path(member).stem)
    for domain in PACS:
        _copy(sets / "pacs_domains" / domain, out / f"pacs_{domain}")
    _copy(sets / PLANTS, out / PLANTS)
    _digits(out / "digits")


def _patches(image: Image.Image) -> Image.Image:
    """Sixteen parts of a picture in another order: texture without shape."""
    side = image.width // 4
    tiles = [
        image.crop((x * side, y * side, (x + 1) * side, (y + 1) * side)) for y in range(4) for x in range(4)
    ]
    shuffled = Image.new("RGB", image.size)
    for place, tile in enumerate(np.random.default_rng(0).permutation(16)):
        shuffled.paste(tiles[tile], (place % 4 * side, place // 4 * side))
    return shuffled


def _digits(folder: Path) -> None:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    for number, (image, label) in enumerate(zip(images[:MOST], labels[:MOST], strict=True)):
        picture = Image.fromarray((image.reshape(8, 8) * 15.9).astype(np.uint8))
        _save(picture.resize((64, 64), Image.Resampling.BICUBIC), folder / str(label), f"{number:04d}")


def _copy(source: Path, folder: Path) -> None:
    for path in sorted(source.rglob("*")):
        if path.is_file():
            target = folder / path.parent.name / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())


def _save(image: Image.Image, folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    image.save(folder / f"{name}.png")


# --------------------------------------------------------------------------- features


@main.command()
@click.argument("sets", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--weights", required=True, help="folder with the checkpoints of the backbones")
@click.option("--out", type=click.Path(path_type=Path), required=True)
def embed(sets: Path, weights: str, out: Path) -> None:
    """Writes FEATURES/<set>.npz: labels, groups, and pooled features of every backbone at its own input size.

    SETS holds the ten sets, of which the train parts are used, or what `teach` wrote.
    """
    from autotl.engine.client import connect

    specs = [*discover(weights)[0], *embedded()]
    ten = [name for name in TEN if (sets / name).is_dir()]
    for name in ten or sorted(path.name for path in sets.iterdir() if path.is_dir()):
        if (out / f"{name}.npz").exists():
            continue
        options = {"group": GROUPS[name]} if name in GROUPS else {}
        data = dataset.load(str(sets / name / "train" if ten else sets / name), options, load_plugins())
        chosen = np.sort(np.random.default_rng(0).permutation(len(data.files))[:MOST])
        work = out / "work" / name
        work.mkdir(parents=True, exist_ok=True)
        decoded = pixels.decode(list(data.files[chosen]), work / ".pixels", side=256, allowance=far())
        rows = np.flatnonzero(decoded.present)
        group = None if data.group is None else data.group[chosen]
        columns: dict[str, np.ndarray] = {"labels": data.labels[chosen][rows]}
        if group is not None:
            columns["group"] = group[rows]
        with connect(folder=work, cache=cache_folder(), offline=True) as engine:
            engine.open(
                work / ".pixels",
                labels=data.labels[chosen],
                classes=data.classes,
                part=np.zeros(len(chosen), np.int8),
                fold=np.full(len(chosen), -1, np.int8),
                order=np.arange(len(chosen)),
                groups=group,
                digests=None if data.digests is None else data.digests[chosen].tolist(),
            )
            for spec in specs:
                found = engine.embed(spec, spec.input_size, rows, far())
                with np.load(work / found.path, allow_pickle=False) as stored:
                    columns[spec.name] = stored[f"g{found.groups - 1}"].astype(np.float16)
                    if "logits" in stored:
                        columns[f"{spec.name} logits"] = stored["logits"].astype(np.float16)
        np.savez_compressed(out / f"{name}.npz", **columns)
        print(name, len(rows), flush=True)


if __name__ == "__main__":
    main()
