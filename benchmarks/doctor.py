"""Measure what the doctor finds: on real sets as they are, and copies and wrong labels that were planted into them.

    python -m benchmarks.doctor SETS --out OUT

SETS holds `<set>/train/<class>/` and `<set>/test/<class>/`, or `<set>/<class>/`. The first table lists what is found
in each set, with the processor seconds that it takes beyond the embedding. For the second, some images of each set are
saved again, resized, mirrored, turned, padded or cropped. A planted copy is found if it is in one family with its
original; it is a false alarm if it is in a family with another image that is no copy of it. Groups that were found in
the set are kept, as a run keeps them. For the third, five percent
of the labels are replaced by another class.
"""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import click
import numpy as np
from PIL import Image, ImageOps

from autotl import hardware
from autotl.budget import Allowance
from autotl.data import copies, crops, doctor, duplicates
from autotl.data import labels as data_labels
from autotl.data import load as data_load
from autotl.engine import client
from autotl.modality import image, image_store
from autotl.plugins.manager import load_plugins
from autotl.ranking import similarity
from autotl.records import Columns, Dataset, Finding, Kind, Settings
from autotl.stages.doctor import DEEPEST, MOST_TESTS

AMONG = 600  # images of a set, at most, that copies are planted among
PLANTED = 20  # images of each set and kind, at most; each original has one copy
EMPTY = 2.0  # deviation in grey levels, below which an image has nothing to be recognised by
UNLIMITED = Allowance(deadline=float("inf"))

FOUND = (
    "| set | images | equal | nearly | turned | parts | conflicts | leaks | groups | shift | shortcut | s |",
    "|---|--:|--:|--:|--:|--:|--:|--:|---|--:|--:|--:|",
)
COPIES = ("| planted | copies | by thumbnails | found | with a wrong image |", "|---|--:|--:|--:|--:|")
BY_SET = (
    "| set | saved, resized | mirrored, turned | padded | cropped by 5 and 10% | 20% |",
    "|---|--:|--:|--:|--:|--:|",
)
LABELS = (
    "| set | planted | precision | recall | right class | named as it is | s |",
    "|---|--:|--:|--:|--:|--:|--:|",
)

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
    "padded by 5%": lambda made, _: _saved(
        ImageOps.expand(made, int(0.05 * min(made.size)), (255, 255, 255))
    ),
    **{f"{c:.0%} cropped": lambda made, g, c=c: _saved(_cropped(made, c, g)) for c in (0.05, 0.1, 0.2)},  # type: ignore[misc]
}


# --------------------------------------------------------------------------- as they are


def features(labels: np.ndarray, pixels: Path, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that were embedded, and their features by the reference backbone."""
    reference = similarity.references()[0]
    spec = load_plugins().backbones(None, Settings(offline=True))[f"autotl:{reference.backbone}"]
    count = len(labels)
    columns = Columns(
        labels=labels,
        part=np.zeros(count, np.int8),
        fold=np.full(count, -1, np.int8),
        group=None,
        order=np.arange(count),
        classes=tuple(map(str, range(int(labels.max()) + 1))),
    )
    with tempfile.TemporaryDirectory() as work:
        engine = client.connect(folder=work, cache=None, offline=True)
        try:
            engine.open(pixels, columns, metric="accuracy", digests=None)
            embedding = engine.embed(spec, reference.input_size, rows, UNLIMITED)
            with np.load(Path(work) / embedding.path, allow_pickle=False) as stored:
                layers = [stored[f"g{depth}"] for depth in range(embedding.groups)][-DEEPEST:]
                return stored["rows"], doctor.together(layers)
        finally:
            engine.close()


def _pictures(pixels: Path, decoded: image_store.Decoded) -> crops.Pictures:
    gray = partial(image.gray, image.open(pixels))
    return crops.Pictures(gray=gray, thumbnails=decoded.inner)


def as_it_is(
    name: str, data: Dataset, decoded: image_store.Decoded, pixels: Path
) -> tuple[str, str, np.ndarray | None]:
    """Return the lines of a set in the tables of what is found in it and of planted wrong labels, and its groups."""
    begun = time.process_time()
    with hardware.one_thread():
        equal = copies.copies(data, decoded)
    spent = time.process_time() - begun
    rows, values = features(
        data.labels, pixels, doctor.rows_to_examine(data, decoded.present, most_tests=MOST_TESTS)
    )
    held = copies.held_together(data, equal)
    pictures = _pictures(pixels, decoded)
    begun = time.process_time()
    with hardware.one_thread():
        diagnosis = doctor.diagnose(held, rows, values, pictures=pictures, metadata=decoded.metadata)
        group = held.group if diagnosis.group is None else diagnosis.group
        made = doctor.of_metadata(data, decoded.metadata, decoded.present, group)
    spent += time.process_time() - begun
    conflicts = sum(f.count for f in copies.findings(data, equal) if f.kind is Kind.CONFLICT)
    leaks = sum(f.count for f in copies.findings(data, equal) if f.kind is Kind.LEAK)
    cells = [
        name,
        f"{len(data.files):,}",
        *(str(len(families)) for families in (equal.exact, equal.near, equal.turned, diagnosis.parts)),
        str(conflicts),
        str(leaks),
        next((_group(f) for f in diagnosis.findings if f.kind is Kind.GROUPS), ""),
        next(
            (f"{f.values['area']:.2f}" for f in diagnosis.findings if f.kind is Kind.TEST_IMAGES_DIFFER), ""
        ),
        next((f"{f.values['score']:.0%} ({f.values['chance']:.0%})" for f in made), ""),
        f"{spent:.2f}",
    ]
    whole = held if diagnosis.group is None else copies.with_found(held, diagnosis.group)
    of_rows = None if whole.group is None else whole.group[rows]
    return (
        f"| {' | '.join(cells)} |",
        _wrong_labels(name, values, data.labels[rows], of_rows),
        diagnosis.group,
    )


def _wrong_labels(name: str, values: np.ndarray, labels: np.ndarray, group: np.ndarray | None) -> str:
    """Return a line of the table of wrong labels: 5% of them are replaced by another class."""
    generator = np.random.default_rng(0)
    wrong = generator.permutation(len(labels))[: len(labels) // 20]
    classes = int(labels.max()) + 1
    given = labels.copy()
    given[wrong] = (labels[wrong] + generator.integers(1, classes, len(wrong))) % classes
    begun = time.process_time()
    with hardware.one_thread():
        found = data_labels.suspects(values, given, group)
        spent = time.process_time() - begun
        as_is = data_labels.suspects(values, labels, group)
    cells = [name, str(len(wrong))]
    if found is None:
        cells += ["none named", "", ""]
    else:
        hits = np.isin(found.places, wrong)
        right = found.likelier[hits] == labels[found.places[hits]]
        cells += [f"{hits.mean():.2f}", f"{hits.sum() / len(wrong):.2f}", f"{right.mean():.2f}"]
    cells += ["none named" if as_is is None else str(len(as_is.places)), f"{spent:.2f}"]
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
    data: Dataset, decoded: image_store.Decoded, store: image_store.Pixels, group: np.ndarray | None
) -> dict[str, np.ndarray]:
    """Return by kind how many copies were planted, found by thumbnails, found at all, and put with a wrong image.

    `group` (n,) are the groups that were found in the set as it is; a copy's name says nothing of them.
    """
    generator = np.random.default_rng(0)
    present = np.flatnonzero(decoded.present)
    present = np.sort(generator.permutation(present)[:AMONG])
    flat = decoded.thumbnails[present].reshape(len(present), -1).std(1) < EMPTY
    candidates = generator.permutation(np.flatnonzero(~flat))
    each = min(PLANTED, len(candidates) // len(CHANGES))
    originals = candidates[: each * len(CHANGES)]
    kinds = [kind for kind in CHANGES for _ in range(each)]
    count = len(present)
    with tempfile.TemporaryDirectory() as work:
        files = [str(data.files[row]) for row in present]
        for number, (kind, place) in enumerate(zip(kinds, originals, strict=True)):
            made = CHANGES[kind](Image.fromarray(store.image(int(present[place]))), generator)
            files.append(str(Path(work) / f"{number}.png"))
            made.save(files[-1])
        folder = Path(work) / "store"
        both = image.decode(files, folder, allowance=UNLIMITED)
        rows, values = features(np.arange(len(files)) % 2, folder, np.flatnonzero(both.present))
        pictures = _pictures(folder, both)
        was = both.present & (np.arange(len(files)) < count)
        before = _plain(data, len(files), None if group is None else group[present])
        thumbnails = [copies.copies(before, replace(both, present=mask)) for mask in (was, both.present)]
        groups = [copies.held_together(before, found).group for found in thumbnails]
        with hardware.one_thread():
            old, new = (
                crops.families(
                    rows[some], values[some], pictures, group=None if group is None else group[rows[some]]
                )
                for some, group in zip((rows < count, rows >= 0), groups, strict=True)
            )
    together = [] if before.group is None else duplicates.members(before.group)
    known = _families([*thumbnails[0].families, *old, *together])
    stages = [
        _families([*families, *together])
        for families in (thumbnails[1].families, (*thumbnails[1].families, *new))
    ]
    totals = {kind: np.zeros(4, np.int64) for kind in CHANGES}
    for number, (kind, place) in enumerate(zip(kinds, originals.tolist(), strict=True)):
        of_row = [stage.get(count + number, set()) for stage in stages]
        own = {place, *known.get(place, set())}
        false = any(other < count and other not in own for other in of_row[1])
        totals[kind] += (1, place in of_row[0], place in of_row[1], false)
    return totals


def by_set(name: str, found: Mapping[str, np.ndarray]) -> str:
    """Return a line of the table of copies by set: the share that is found of those of like kinds."""
    likes = (
        [kind for kind in found if kind.startswith("saved") or kind.endswith("the size")],
        [kind for kind in found if kind.startswith(("mirrored", "upside", "turned"))],
        [kind for kind in found if kind.startswith("padded")],
        [kind for kind in found if kind in ("5% cropped", "10% cropped")],
        [kind for kind in found if kind == "20% cropped"],
    )
    totals = [np.sum([found[kind] for kind in kinds], axis=0) for kinds in likes]
    return f"| {name} | {' | '.join(f'{total[2] / max(total[0], 1):.1%}' for total in totals)} |"


def _families(families: Sequence[np.ndarray]) -> dict[int, set[int]]:
    """Return by row the rows that it is in a family with; families that share one are one."""
    one = np.concatenate(
        [np.zeros(0, np.int64), *(family[:1].repeat(len(family) - 1) for family in families)]
    )
    other = np.concatenate([np.zeros(0, np.int64), *(family[1:] for family in families)])
    count = int(max(one.max(initial=0), other.max(initial=0))) + 1
    return {
        row: set(family.tolist())
        for family in duplicates.joined(count, one, other)
        for row in family.tolist()
    }


def _plain(data: Dataset, count: int, group: np.ndarray | None) -> Dataset:
    """Return a stand-in with as many rows, the first of them in groups, and nothing else known of their files."""
    if group is not None:
        group = np.concatenate([group, group.max() + 1 + np.arange(count - len(group))])
    names = np.arange(count).astype(str).astype(object)
    return Dataset(
        source=data.source,
        modality=data.modality,
        files=names,
        names=names,
        targets=data.targets,
        given=np.full(count, -1, np.int8),
        group=group,
        group_from="names",
    )


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
    """Write the tables."""
    plugins = load_plugins()
    found, labelled, sets_found = [], [], []
    totals = {kind: np.zeros(4, np.int64) for kind in CHANGES}
    for path in sets_in(sets, only):
        data = data_load.load(str(path), {}, plugins)
        with tempfile.TemporaryDirectory() as work:
            decoded = image.decode(list(data.files), work, allowance=UNLIMITED)
            line, of_labels, group = as_it_is(path.name, data, decoded, Path(work))
            found.append(line)
            labelled.append(of_labels)
            click.echo(f"{line}\n{of_labels}")
            of_set = planted(data, decoded, image.open(work), group)
            sets_found.append(by_set(path.name, of_set))
            click.echo(sets_found[-1])
            for kind, counts in of_set.items():
                totals[kind] += counts
        rows = [
            f"| {kind} | {number} | {' | '.join(f'{share / number:.1%}' for share in shares)} |"
            for kind, (number, *shares) in totals.items()
        ]
        lines = [*FOUND, *found, "", *COPIES, *rows, "", *BY_SET, *sets_found, "", *LABELS, *labelled]
        out.write_text("\n".join(lines) + "\n", encoding="utf-8")  # after each set: all of them take long


if __name__ == "__main__":
    main()
