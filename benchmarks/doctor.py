"""What the doctor finds: on real sets as they are, and copies that were planted into them.

    python -m benchmarks.doctor SETS --out OUT

SETS holds `<set>/train/<class>/` and `<set>/test/<class>/`, or `<set>/<class>/`. The first table lists what is found
in each set, with the processor seconds that it takes beyond the embedding. For the second, some images of each set are
saved again, resized, mirrored, turned, padded or cropped. A planted copy is found if it is in one family with its
original; it is a false alarm if it is in a family with another image that is no copy of it.
"""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import click
import numpy as np
from PIL import Image, ImageOps

from autotl.budget import Allowance
from autotl.cache import cache_folder
from autotl.data import copies, doctor
from autotl.data import load as data_load
from autotl.engine import client
from autotl.modality import image, image_store
from autotl.plugins.manager import load_plugins
from autotl.ranking import similarity
from autotl.records import Columns, Dataset, Finding, Kind, Settings
from autotl.stages.doctor import DEEPEST, MOST_TESTS

PLANTED = 40  # images of each set and kind, at most; each original has one copy
EMPTY = 2.0  # deviation in grey levels, below which an image has nothing to be recognised by
UNLIMITED = Allowance(deadline=float("inf"))

Change = Callable[[Image.Image, np.random.Generator], Image.Image]


def _saved(made: Image.Image, quality: int = 85) -> Image.Image:
    stream = io.BytesIO()
    made.save(stream, "JPEG", quality=quality)
    return Image.open(stream).convert("RGB")


def _resized(made: Image.Image, factor: float) -> Image.Image:
    size = (max(8, int(made.width * factor)), max(8, int(made.height * factor)))
    return made.resize(size, Image.Resampling.BICUBIC)


def _cropped(made: Image.Image, share: float, generator: np.random.Generator) -> Image.Image:
    width, height = int(made.width * (1 - share)), int(made.height * (1 - share))
    left, top = generator.integers(made.width - width + 1), generator.integers(made.height - height + 1)
    return made.crop((int(left), int(top), int(left) + width, int(top) + height))


CHANGES: Mapping[str, Change] = {
    **{f"saved at quality {q}": lambda made, _, q=q: _saved(made, q) for q in (90, 70, 50, 30)},  # type: ignore[misc]
    "half the size": lambda made, _: _saved(_resized(made, 0.5)),
    "twice the size": lambda made, _: _saved(_resized(made, 2.0)),
    "mirrored": lambda made, _: _saved(ImageOps.mirror(made)),
    "upside down": lambda made, _: _saved(ImageOps.flip(made)),
    "turned by 90°": lambda made, _: _saved(made.transpose(Image.Transpose.ROTATE_90)),
    "turned by 180°": lambda made, _: _saved(made.transpose(Image.Transpose.ROTATE_180)),
    "padded by 5 %": lambda made, _: _saved(
        ImageOps.expand(made, int(0.05 * min(made.size)), (255, 255, 255))
    ),
    **{f"{c:.0%} cropped": lambda made, g, c=c: _saved(_cropped(made, c, g)) for c in (0.05, 0.1, 0.2)},  # type: ignore[misc]
}


# --------------------------------------------------------------------------- as they are


def features(data: Dataset, pixels: Path, present: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that a run examines, and their features by the reference backbone."""
    reference = similarity.references()[0]
    spec = load_plugins().backbones(None, Settings(offline=True))[f"autotl:{reference.backbone}"]
    count = len(data.files)
    columns = Columns(
        labels=data.labels,
        part=np.zeros(count, np.int8),
        fold=np.full(count, -1, np.int8),
        group=None,
        order=np.arange(count),
        classes=data.classes,
    )
    with tempfile.TemporaryDirectory() as work:
        engine = client.connect(folder=work, cache=cache_folder(), offline=True)
        try:
            digests = None if data.digests is None else data.digests.tolist()
            engine.open(pixels, columns, metric="accuracy", digests=digests)
            rows = doctor.rows_to_examine(data, present, most_tests=MOST_TESTS)
            embedding = engine.embed(spec, reference.input_size, rows, UNLIMITED)
            with np.load(Path(work) / embedding.path, allow_pickle=False) as stored:
                layers = [stored[f"g{depth}"] for depth in range(embedding.groups)][-DEEPEST:]
                return stored["rows"], doctor.together(layers)
        finally:
            engine.close()


def as_it_is(name: str, data: Dataset, decoded: image_store.Decoded, pixels: Path) -> str:
    """Return a line of the table of what is found in a set."""
    begun = time.process_time()
    equal = copies.copies(data, decoded.thumbnails, decoded.present)
    spent = time.process_time() - begun
    rows, values = features(data, pixels, decoded.present)
    begun = time.process_time()
    diagnosis = doctor.diagnose(copies.held_together(data, equal), rows, values)
    spent += time.process_time() - begun
    conflicts = sum(f.count for f in copies.findings(data, equal) if f.kind is Kind.CONFLICT)
    leaks = sum(f.count for f in copies.findings(data, equal) if f.kind is Kind.LEAK)
    cells = [
        name,
        f"{len(data.files):,}",
        *(str(len(families)) for families in (equal.exact, equal.near, equal.turned)),
        str(conflicts),
        str(leaks),
        next((_group(f) for f in diagnosis.findings if f.kind is Kind.GROUPS), ""),
        next(
            (f"{f.values['area']:.2f}" for f in diagnosis.findings if f.kind is Kind.TEST_IMAGES_DIFFER), ""
        ),
        f"{spent:.2f}",
    ]
    return f"| {' | '.join(cells)} |"


def _group(found: Finding) -> str:
    measured = found.values["measured"]
    return (
        f"`{found.values['expression'].replace('|', chr(92) + '|')}`: {found.count}, nearest {measured['nearest']:.0%}"
        f" ({measured['chance']:.0%}), {measured['random']:.1%} → {measured['whole']:.1%},"
        f" {'held' if found.values['held'] else 'too few to hold'}"
    )


# --------------------------------------------------------------------------- planted


def planted(
    data: Dataset, decoded: image_store.Decoded, store: image_store.Pixels
) -> dict[str, tuple[int, int, int]]:
    """Return by kind how many copies were planted, found, and put together with an image that they are no copy of."""
    generator = np.random.default_rng(0)
    present = np.flatnonzero(decoded.present)
    flat = decoded.thumbnails[present].reshape(len(present), -1).std(1) < EMPTY
    candidates = generator.permutation(present[~flat])
    each = min(PLANTED, len(candidates) // len(CHANGES))
    originals = candidates[: each * len(CHANGES)]
    kinds = [kind for kind in CHANGES for _ in range(each)]
    made = [
        CHANGES[kind](Image.fromarray(store.image(int(row))), generator)
        for kind, row in zip(kinds, originals, strict=True)
    ]
    count = len(data.files)
    thumbnails = np.concatenate([decoded.thumbnails, np.stack([_thumbnail(each) for each in made])])
    mask = np.concatenate([decoded.present, np.ones(len(made), bool)])
    before = _families(copies.copies(_plain(data, count), decoded.thumbnails, decoded.present))
    after = _families(copies.copies(_plain(data, len(thumbnails)), thumbnails, mask))
    totals = dict.fromkeys(CHANGES, (0, 0, 0))
    for number, (kind, row) in enumerate(zip(kinds, originals.tolist(), strict=True)):
        family = after.get(count + number, set())
        known = {row, *before.get(row, set())}
        false = any(other < count and other not in known for other in family)
        planted_, found, wrong = totals[kind]
        totals[kind] = planted_ + 1, found + (row in family), wrong + false
    return totals


def _families(of: copies.Copies) -> dict[int, set[int]]:
    return {row: set(family.tolist()) for family in (*of.near, *of.turned) for row in family.tolist()}


def _plain(data: Dataset, count: int) -> Dataset:
    """Return a stand-in with as many rows, and nothing known of their files."""
    names = np.arange(count).astype(str).astype(object)
    return Dataset(
        source=data.source,
        modality=data.modality,
        files=names,
        names=names,
        targets=data.targets,
        given=np.full(count, -1, np.int8),
    )


def _thumbnail(made: Image.Image) -> np.ndarray:
    """Return the thumbnail that decoding would make of an image."""
    side = image_store.THUMBNAIL
    reduced = np.asarray(
        Image.fromarray(image_store.reduced(made, image.LARGEST_SIDE)).resize(
            (2 * side, 2 * side), Image.Resampling.BOX
        ),
        np.float32,
    )
    return reduced.reshape(side, 2, side, 2, 3).mean((1, 3)).round().astype(np.uint8)


def sets_in(folder: Path, only: tuple[str, ...]) -> Iterator[Path]:
    """Yield the sets of images in a folder."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and (not only or path.name in only) and not any(path.glob("*.csv")):
            yield path


@click.command()
@click.argument("sets", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Markdown file to write.")
@click.option("--only", multiple=True, help="A set; may be repeated.")
def main(sets: Path, out: Path, only: tuple[str, ...]) -> None:
    """Write both tables."""
    plugins = load_plugins()
    lines = [
        "| set | images | equal | nearly | turned | conflicts | leaks | groups | shift | s |",
        "|---|--:|--:|--:|--:|--:|--:|---|--:|--:|",
    ]
    totals = {kind: np.zeros(3, np.int64) for kind in CHANGES}
    for path in sets_in(sets, only):
        data = data_load.load(str(path), {}, plugins)
        with tempfile.TemporaryDirectory() as work:
            decoded = image.decode(list(data.files), work, allowance=UNLIMITED)
            lines.append(as_it_is(path.name, data, decoded, Path(work)))
            click.echo(lines[-1])
            store = image.open(work)
            for kind, counts in planted(data, decoded, store).items():
                totals[kind] += counts
    lines += ["", "| planted | copies | found | with a wrong image |", "|---|--:|--:|--:|"]
    for kind, (number, found, false) in totals.items():
        lines.append(f"| {kind} | {number} | {found / number:.1%} | {false / number:.1%} |")
    out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
