"""Measure which groups and shortcuts the doctor finds that were planted into real images, and what it claims without.

    python -m benchmarks.planted SETS --out OUT

Groups are planted in two ways, and named by a prefix of the files: *views* are crops of one photograph, moved, turned a
little and under other light; *sessions* hold images of all classes, each before the same background and under the same
cast. A group is found if the doctor's groups are the planted ones. For comparison the images get prefixes at random:
whatever is claimed is a false alarm.

A shortcut is planted into four files in five of one class; for comparison, into as many files of any class.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import click
import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from autotl.data import copies, doctor
from autotl.data import load as data_load
from autotl.modality import image
from autotl.plugins.manager import load_plugins
from autotl.records import Dataset, Kind, Target
from benchmarks.doctor import UNLIMITED, features, sets_in

IMAGES = 400  # of a set, at most
VIEWS = 8  # of a photograph
SESSIONS = 20
OBJECT = 0.65  # of the sides of an image that its object takes, before the background of a session
SHORTCUT = 0.8  # of the files of a class that are changed

GROUPS = (
    "| set | views | nearest (by chance) | sessions | nearest (by chance) | prefixes at random |",
    "|---|---|---|---|---|---|",
)

File = tuple[Image.Image, str, dict[str, object]]  # image, suffix, how it is saved
Look = Callable[[Image.Image], Image.Image]


# --------------------------------------------------------------------------- groups


def _view(photo: Image.Image, generator: np.random.Generator) -> Image.Image:
    """Return a photograph as another shot of the same object would show it."""
    made = photo.rotate(float(generator.uniform(-8, 8)), Image.Resampling.BICUBIC, expand=False)
    share = float(generator.uniform(0.7, 0.85))
    width, height = (max(8, int(share * side)) for side in made.size)
    left, top = (int(generator.uniform(0.05, 0.95 - share) * side) for side in made.size)
    made = made.crop((left, top, left + width, top + height))
    return ImageEnhance.Brightness(made).enhance(float(generator.uniform(0.7, 1.3)))


def _session(background: Image.Image, generator: np.random.Generator) -> Look:
    """Return how all photographs of one session look: before one background, under one cast."""
    cast = generator.uniform(0.85, 1.15, 3)

    def look(photo: Image.Image) -> Image.Image:
        made = background.resize(photo.size)
        inner = photo.resize(tuple(max(8, int(OBJECT * side)) for side in photo.size))  # type: ignore[arg-type]
        room = [a - b for a, b in zip(made.size, inner.size, strict=True)]
        made.paste(inner, (int(generator.uniform(0, room[0])), int(generator.uniform(0, room[1]))))
        return Image.fromarray((np.asarray(made, np.float32) * cast).clip(0, 255).astype(np.uint8))

    return look


def _claimed(
    data: Dataset, photos: Sequence[Image.Image], labels: np.ndarray, prefixes: np.ndarray
) -> tuple[np.ndarray | None, Mapping[str, float]]:
    """Return the groups that are claimed of images whose names begin with a prefix each, and what was measured."""
    with tempfile.TemporaryDirectory() as work:
        names = [f"{prefix}_{number:04d}.jpg" for number, prefix in enumerate(prefixes)]
        files = [str(Path(work) / name) for name in names]
        for photo, file in zip(photos, files, strict=True):
            photo.save(file, quality=90)
        folder = Path(work) / "store"
        decoded = image.decode(files, folder, allowance=UNLIMITED)
        rows, values = features(labels, folder, np.arange(len(files)))
        made = Dataset(
            source=data.source,
            modality=data.modality,
            files=np.array(files, object),
            names=np.array(
                [f"{data.classes[label]}/{name}" for label, name in zip(labels, names, strict=True)], object
            ),
            targets=(Target(name="label", kind="multiclass", classes=data.classes, values=labels),),
            given=np.full(len(files), -1, np.int8),
        )
        held = copies.held_together(made, copies.copies(made, decoded))
        diagnosis = doctor.diagnose(held, rows, values, metadata=decoded.metadata)
    measured: Mapping[str, float] = next(
        (f.values["measured"] for f in diagnosis.findings if f.kind is Kind.GROUPS), {}
    )
    claimed = next((f for f in diagnosis.findings if f.kind is Kind.GROUPS), None)
    return (None if claimed is None else _partition(made.names, claimed.values["expression"])), measured


def _partition(names: np.ndarray, expression: str) -> np.ndarray:
    keys = ["".join(match.groups()) if (match := re.search(expression, name)) else name for name in names]
    return np.unique(np.array(keys), return_inverse=True)[1]


def groups(data: Dataset, photos: Sequence[Image.Image], labels: np.ndarray) -> list[str]:
    """Return the cells of a set: views and sessions found or not, and what is claimed of prefixes at random."""
    generator = np.random.default_rng(0)
    cells = []
    originals = np.arange(len(photos))[: len(photos) // VIEWS].repeat(VIEWS)
    views = [_view(photos[int(row)], generator) for row in originals]
    of_views = np.array([f"o{row:03d}" for row in originals])
    sessions = generator.permutation(np.arange(len(photos)) % SESSIONS)
    looks = [_session(photos[row], generator) for row in range(SESSIONS)]
    as_taken = [looks[session](photo) for session, photo in zip(sessions.tolist(), photos, strict=True)]
    of_sessions = np.array([f"day{session:02d}" for session in sessions])
    for made, own, prefixes in ((views, labels[originals], of_views), (as_taken, labels, of_sessions)):
        claimed, measured = _claimed(data, made, own, prefixes)
        planted = np.unique(prefixes, return_inverse=True)[1]
        found = claimed is not None and len(np.unique(np.stack([claimed, planted]), axis=1).T) == len(
            np.unique(planted)
        )
        cells.append("found" if found else "no" if claimed is None else "others claimed")
        cells.append(f"{measured['nearest']:.0%} ({measured['chance']:.0%})" if measured else "")
    claimed, _ = _claimed(
        data, photos, labels, np.array([f"day{s:02d}" for s in generator.permutation(sessions)])
    )
    return [*cells, "none claimed" if claimed is None else "claimed"]


# --------------------------------------------------------------------------- shortcuts

CHANGES: Mapping[str, Callable[[Image.Image], File]] = {
    "quality 60, others 90": lambda photo: (photo, ".jpg", {"quality": 60}),
    "PNG, others JPEG": lambda photo: (photo, ".png", {}),
    "gray, others colour": lambda photo: (photo.convert("L"), ".jpg", {"quality": 90}),
    "a tenth smaller": lambda photo: (
        photo.resize((photo.width * 9 // 10, photo.height * 9 // 10)),
        ".jpg",
        {"quality": 90},
    ),
    "a border of 4 pixels": lambda photo: (
        ImageOps.expand(photo, 4, (255, 255, 255)),
        ".jpg",
        {"quality": 90},
    ),
    "written a week later": lambda photo: (photo, ".jpg", {"quality": 90, "later": 7 * 86400}),
}
PLAIN: Callable[[Image.Image], File] = lambda photo: (photo, ".jpg", {"quality": 90})  # noqa: E731
SHORTCUTS = (
    f"| set | {' | '.join(CHANGES)} | of any class |",
    "|---|" + "---|" * (len(CHANGES) + 1),
)


def _is_claimed(
    data: Dataset,
    photos: Sequence[Image.Image],
    labels: np.ndarray,
    changed: np.ndarray,
    change: Callable[[Image.Image], File],
) -> bool:
    """Return whether a shortcut is claimed where some files were changed."""
    with tempfile.TemporaryDirectory() as work:
        files = []
        for number, (photo, is_changed) in enumerate(zip(photos, changed, strict=True)):
            made, suffix, how = (change if is_changed else PLAIN)(photo)
            later = how.pop("later", 0)
            files.append(str(Path(work) / f"{number}{suffix}"))
            made.save(files[-1], **how)  # type: ignore[arg-type]
            written = 1_700_000_000 + 60 * number + int(str(later))
            os.utime(files[-1], (written, written))
        decoded = image.decode(files, Path(work) / "store", allowance=UNLIMITED)
        made_data = Dataset(
            source=data.source,
            modality=data.modality,
            files=np.array(files, object),
            names=np.arange(len(files)).astype(str).astype(object),
            targets=(Target(name="label", kind="multiclass", classes=data.classes, values=labels),),
            given=np.full(len(files), -1, np.int8),
        )
        return bool(doctor.of_metadata(made_data, decoded.metadata, decoded.present, None))


def shortcuts(data: Dataset, photos: Sequence[Image.Image], labels: np.ndarray) -> list[str]:
    """Return the cells of a set: whether each planted shortcut is claimed, and how many of those at random are."""
    generator = np.random.default_rng(0)
    own = np.flatnonzero(labels == np.bincount(labels).argmax())
    changed = np.isin(np.arange(len(photos)), generator.permutation(own)[: round(SHORTCUT * len(own))])
    cells = ["found" if _is_claimed(data, photos, labels, changed, how) else "no" for how in CHANGES.values()]
    false = sum(
        _is_claimed(data, photos, labels, generator.permutation(changed), how) for how in CHANGES.values()
    )
    return [*cells, f"{false} of {len(CHANGES)} claimed"]


@click.command()
@click.argument("sets", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Markdown file to write.")
@click.option("--only", multiple=True, help="A set; may be repeated.")
def main(sets: Path, out: Path, only: tuple[str, ...]) -> None:
    """Write the tables."""
    plugins = load_plugins()
    of_groups, of_shortcuts = [], []
    for path in sets_in(sets, only):
        data = data_load.load(str(path), {}, plugins)
        with tempfile.TemporaryDirectory() as work:
            decoded = image.decode(list(data.files), work, allowance=UNLIMITED)
            rows = np.random.default_rng(0).permutation(np.flatnonzero(decoded.present))[:IMAGES]
            store = image.open(work)
            photos = [Image.fromarray(store.image(int(row))) for row in rows]
        labels = data.labels[rows]
        of_groups.append(f"| {path.name} | {' | '.join(groups(data, photos, labels))} |")
        of_shortcuts.append(f"| {path.name} | {' | '.join(shortcuts(data, photos, labels))} |")
        click.echo(f"{of_groups[-1]}\n{of_shortcuts[-1]}")
        out.write_text(
            "\n".join([*GROUPS, *of_groups, "", *SHORTCUTS, *of_shortcuts]) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
