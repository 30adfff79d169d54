"""Measures of similarity to the source domain: chosen on the source and its shifts, then checked on real sets.

    python -m benchmarks.similarity VALIDATION SETS --out OUT

VALIDATION is the packed Tiny ImageNet validation part (`python -m tools.pretrain pack`). Everything is seen
by the reference's backbone at the reference's resolution; the last column of the second table shows images
at their own. The choice rests on the first table alone.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
from PIL import Image, ImageFilter

from autotl.modality.image_store import load_image, square_image
from autotl.ranking import similarity
from benchmarks.embedded import embedded
from tools.pretrain.reference import coarse
from tools.pretrain.source import open_packed

AXES = 64
NEIGHBOUR = 5
STRENGTHS = (1, 2, 3, 4)
NATIVE = 224  # pixels, at most, at which images are seen at their own resolution
SEED = 0

Features = np.ndarray
Groups = list[Features]  # pooled features of every layer group, shallow to deep
Measure = Callable[[Features], Callable[[Features], float]]  # source features → (features → 0..1)


# --------------------------------------------------------------------------- the measures


def _space(source: Features, axes: int | None) -> Callable[[Features], Features]:
    """Project onto whitened principal axes or, without a number, onto unit vectors about the source's mean."""
    mean = source.mean(0)
    if axes is None:
        return lambda x: (x - mean) / (np.linalg.norm(x - mean, axis=1, keepdims=True) + 1e-9)
    values, vectors = np.linalg.eigh(np.cov(source.T))
    onto = vectors[:, ::-1][:, :axes] / np.sqrt(values[::-1][:axes] + 1e-6)
    return lambda x: (x - mean) @ onto


def _kth(points: Features, sample: Features) -> np.ndarray:
    squared = (points**2).sum(1)[:, None] - 2 * points @ sample.T + (sample**2).sum(1)
    return np.sqrt(np.maximum(np.partition(squared, NEIGHBOUR - 1, axis=1)[:, NEIGHBOUR - 1], 0))


def _ranked(usual: np.ndarray, found: np.ndarray) -> float:
    """Return twice the mean share of fresh source images that are farther out: 1 is like the source."""
    usual = np.sort(usual)
    farther = 1 - np.searchsorted(usual, found) / len(usual)
    return float(min(1.0, 2 * farther.mean()))


def neighbours(axes: int | None) -> Measure:
    """Return the distance to the fifth neighbour in the source, by rank among fresh source images."""

    def fit(source: Features) -> Callable[[Features], float]:
        half = len(source) // 4
        place = _space(source[half:], axes)
        sample, usual = place(source[half:]), _kth(place(source[:half]), place(source[half:]))
        return lambda x: _ranked(usual, _kth(place(x), sample))

    return fit


def mahalanobis(source: Features) -> Callable[[Features], float]:
    """Return the Mahalanobis distance of each image, by rank."""
    half = len(source) // 4
    place = _space(source[half:], source.shape[1] // 2)
    usual = np.linalg.norm(place(source[:half]), axis=1)
    return lambda x: _ranked(usual, np.linalg.norm(place(x), axis=1))


def every_depth(join: Callable[[np.ndarray], np.ndarray]) -> Callable[[Groups], Callable[[Groups], float]]:
    """Return the Mahalanobis distance at every layer group by rank, joined over groups, and ranked once more."""

    def fit(source: Groups) -> Callable[[Groups], float]:
        quarter = len(source[0]) // 4
        places = [_space(group[2 * quarter :], group.shape[1] // 2) for group in source]
        usual = [
            np.sort(np.linalg.norm(place(group[quarter : 2 * quarter]), axis=1))
            for place, group in zip(places, source, strict=True)
        ]

        def shares(groups: Groups) -> np.ndarray:
            columns = [
                1 - np.searchsorted(known, np.linalg.norm(place(group), axis=1)) / len(known)
                for place, known, group in zip(places, usual, groups, strict=True)
            ]
            return join(np.stack(columns))

        own = np.sort(shares([group[:quarter] for group in source]))
        return lambda groups: float(
            min(1.0, 2 * np.mean(np.searchsorted(own, shares(groups), side="right") / len(own)))
        )

    return fit


def matched(source: Groups, seen: Groups | None = None) -> Callable[[Groups], float]:
    """Return the measure that autotl uses: a classifier against source images of like content, at every depth.

    `seen` are those source images as the others are seen, where that is coarser than `source`.
    """
    means, axes = zip(*(similarity.principal_axes(group) for group in source), strict=True)
    known = similarity.Reference("", "", "", 0, means, axes, {})
    sample = known.place(seen or source)

    def value(groups: Groups) -> float:
        return min(1.0, similarity.overlap(known.place(groups), sample, np.random.default_rng(SEED))[0])

    return value


def _of_the_last(measure: Measure) -> Callable[[Groups], Callable[[Groups], float]]:
    def fit(source: Groups) -> Callable[[Groups], float]:
        value = measure(source[-1])
        return lambda groups: value(groups[-1])

    return fit


def classifier(source: Features) -> Callable[[Features], float]:
    """Return 1 minus the excess of a cross-validated domain classifier over guessing, against a sample of equal size."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict

    place = _space(source, AXES)

    def value(x: Features) -> float:
        count = min(len(x), len(source), 500)
        rng = np.random.default_rng(SEED)
        one = place(x)[rng.choice(len(x), count, replace=False)]
        other = place(source)[rng.choice(len(source), count, replace=False)]
        labels = np.repeat([0, 1], count)
        model = LogisticRegression(C=0.1, max_iter=200)
        right = cross_val_predict(model, np.concatenate([one, other]), labels, cv=4) == labels
        return float(np.clip(2 * (1 - right.mean()), 0, 1))

    return value


def kernel(source: Features) -> Callable[[Features], float]:
    """Return exp(-MMD² / s) with a Gaussian kernel at the median distance; s is the source's own halves' scale."""
    place = _space(source, AXES)
    rng = np.random.default_rng(SEED)
    base = place(source)[rng.choice(len(source), min(1000, len(source)), replace=False)]
    width = np.median(_pairs(base[:300], base[300:600]))

    def gram(a: Features, b: Features) -> np.ndarray:
        return np.exp(-_pairs(a, b) / width)

    def value(x: Features) -> float:
        points = place(x)[:1000]
        n, m = len(points), len(base)
        own, theirs = gram(points, points), gram(base, base)
        mmd = (
            (own.sum() - np.trace(own)) / (n * (n - 1))
            + (theirs.sum() - np.trace(theirs)) / (m * (m - 1))
            - 2 * gram(points, base).mean()
        )
        return float(np.exp(-max(mmd, 0.0) / 0.05))

    return value


def _pairs(a: Features, b: Features) -> np.ndarray:
    return np.maximum((a**2).sum(1)[:, None] - 2 * a @ b.T + (b**2).sum(1), 0)


def frechet(source: Features) -> Callable[[Features], float]:
    """Return exp(-Fréchet distance of Gaussians / its own dimension) on the leading axes: the known yardstick."""
    place = _space(source, AXES)

    def value(x: Features) -> float:
        points = place(x)
        mean = points.mean(0)
        cov = np.cov(points.T) + 1e-6 * np.eye(AXES)
        roots = np.sqrt(np.maximum(np.linalg.eigvalsh(cov), 0))  # the source's own covariance is the identity
        return float(np.exp(-(mean @ mean + np.trace(cov) + AXES - 2 * roots.sum()) / AXES))

    return value


LAST: dict[str, Measure] = {
    "neighbours, 16 axes": neighbours(16),
    "neighbours, 64 axes": neighbours(64),
    "neighbours, 256 axes": neighbours(256),
    "neighbours, angle": neighbours(None),
    "mahalanobis": mahalanobis,
    "classifier": classifier,
    "kernel (MMD)": kernel,
    "Fréchet": frechet,
}
MEASURES = {name: _of_the_last(measure) for name, measure in LAST.items()} | {
    "mahalanobis, mean of depths": every_depth(lambda shares: shares.mean(0)),
    "mahalanobis, least of depths": every_depth(lambda shares: shares.min(0)),
    "matched classifier": matched,
}


# --------------------------------------------------------------------------- the shifts


def _each(change: Callable[[Image.Image], Image.Image], images: np.ndarray) -> np.ndarray:
    return np.stack([np.asarray(change(Image.fromarray(image)).convert("RGB")) for image in images])


def blur(images: np.ndarray, strength: int) -> np.ndarray:
    return _each(lambda image: image.filter(ImageFilter.GaussianBlur(0.7 * strength)), images)


def noise(images: np.ndarray, strength: int) -> np.ndarray:
    drawn = np.random.default_rng(SEED).normal(scale=18 * strength, size=images.shape)
    return np.clip(images + drawn, 0, 255).astype(np.uint8)


def colour(images: np.ndarray, strength: int) -> np.ndarray:
    """Return the picture with its hue turned by up to half a circle."""

    def turn(image: Image.Image) -> Image.Image:
        hsv = np.asarray(image.convert("HSV")).copy()
        hsv[..., 0] += np.uint8(32 * strength)
        return Image.fromarray(hsv, "HSV").convert("RGB")

    return _each(turn, images)


def edges(images: np.ndarray, strength: int) -> np.ndarray:
    """Return the picture blended with its own edges, black on white."""

    def draw(image: Image.Image) -> Image.Image:
        lines = image.convert("L").filter(ImageFilter.FIND_EDGES).point(lambda v: 255 - min(255, 3 * v))
        return Image.blend(image, lines.convert("RGB"), strength / 4)

    return _each(draw, images)


def patches(images: np.ndarray, strength: int) -> np.ndarray:
    """Cut into 2, 4, 8 or 16 patches a side, shuffled."""
    side, number = images.shape[1], 2**strength
    step = side // number
    rng = np.random.default_rng(SEED)
    out = images.copy()
    for index, image in enumerate(images):
        for target, origin in enumerate(rng.permutation(number * number)):
            (ty, tx), (oy, ox) = divmod(target, number), divmod(int(origin), number)
            out[index, ty * step : (ty + 1) * step, tx * step : (tx + 1) * step] = image[
                oy * step : (oy + 1) * step, ox * step : (ox + 1) * step
            ]
    return out


SHIFTS = {"blur": blur, "noise": noise, "colour": colour, "edges": edges, "patches": patches}


def recoded(images: np.ndarray) -> np.ndarray:
    """Return the picture after a JPEG of medium quality: another format, the same content."""

    def through(image: Image.Image) -> Image.Image:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=85)
        return Image.open(buffer)

    return _each(through, images)


# --------------------------------------------------------------------------- the real sets


def real_sets(sets: Path) -> dict[str, list[Path]]:
    """Return up to 300 training images of every set, and of each domain of the set of domains."""
    folders = {path.name: path / "train" for path in sorted(sets.iterdir()) if (path / "train").is_dir()}
    domains = sets / "pacs_domains"
    folders |= {f"pacs {path.name}": path for path in sorted(domains.iterdir()) if path.is_dir()}
    found = {}
    for name, folder in folders.items():
        files = sorted(
            p for p in folder.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp", ".ppm")
        )
        if files:
            found[name] = [files[i] for i in np.random.default_rng(SEED).permutation(len(files))[:300]]
    return found


@click.command()
@click.argument("validation", type=click.Path(exists=True, path_type=Path))
@click.argument("sets", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--student", default="resnet14t_small", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
def main(validation: Path, sets: Path, student: str, out: Path) -> None:
    """Print both tables and write them to OUT."""
    import torch

    from autotl.engine.backbone import build
    from autotl.engine.images import to_input

    spec = next(each for each in embedded() if each.name == f"autotl:{student}")
    source = open_packed(validation)
    side = source.images.shape[1]
    network = build(spec, side, offline=True).eval()

    def see(images: np.ndarray) -> Groups:
        batches = []
        with torch.inference_mode():
            for start in range(0, len(images), 250):
                part = images[start : start + 250]
                pixels = to_input(part, images.shape[1], spec.preprocess, torch.device("cpu"))
                batches.append([group.numpy().astype(np.float64) for group in network.forward_groups(pixels)])
        return [np.concatenate(parts) for parts in zip(*batches, strict=True)]

    def some(groups: Groups, first: int, last: int) -> Groups:
        return [group[first:last] for group in groups]

    rng = np.random.default_rng(SEED)
    held_out = np.isin(source.labels, rng.permutation(len(source.classes))[: len(source.classes) // 4])
    inside = source.images[~held_out]
    outside = source.images[held_out]
    base = see(inside[rng.permutation(len(inside))])
    fresh = see(outside)
    shifted = {
        name: [see(change(outside[:400], strength)) for strength in STRENGTHS]
        for name, change in SHIFTS.items()
    }
    other_format = see(recoded(outside[:400]))
    lines = [
        f"| measure | held-out classes | four like classes | 100 − 1,000 images | recoded | {' | '.join(SHIFTS)} |",
        "|---" * (5 + len(SHIFTS)) + "|",
    ]
    fitted = {name: measure(base) for name, measure in MEASURES.items()}
    labels = source.labels[held_out]
    names = np.unique(labels)
    centres = np.stack([fresh[-1][labels == name].mean(0) for name in names])
    centres -= centres.mean(0)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    related = [names[np.argsort(-(centres @ centre))[:4]] for centre in centres[::4]]
    narrow = [[group[np.isin(labels, four)] for group in fresh] for four in related]
    for name, value in fitted.items():
        few = np.mean([value(some(fresh, i * 100, (i + 1) * 100)) for i in range(10)])
        cells = [
            f"{value(fresh):.2f}",
            f"{np.mean([value(points) for points in narrow]):.2f}",
            f"{few - value(some(fresh, 0, 1000)):+.2f}",
            f"{value(other_format):.2f}",
        ]
        cells += [" ".join(f"{value(points):.2f}" for points in points_by) for points_by in shifted.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    print("\n".join(lines), flush=True)
    table = [
        f"| set | {' | '.join(fitted)} | against a source as coarse (used) | native |",
        "|---" * (3 + len(fitted)) + "|",
    ]
    seen: dict[str, Groups] = {"Tiny ImageNet validation": fresh}
    used = fitted["matched classifier"]
    shuffled = inside[np.random.default_rng(SEED).permutation(len(inside))]
    used_if_coarse = matched(base, see(coarse(shuffled, side // 2)))
    as_coarse: dict[str, float] = {}
    native: dict[str, float] = {}
    for name, files in real_sets(sets).items():
        loaded = [load_image(file, 256)[0] for file in files]
        seen[name] = see(np.stack([square_image(image, side) for image in loaded]))
        edge = float(np.median([min(image.shape[:2]) for image in loaded]))
        if edge < side / np.sqrt(2):  # nearer to half the reference's resolution
            as_coarse[name] = used_if_coarse(seen[name])
        own = 32 * max(1, round(min(NATIVE, edge) / 32))
        native[name] = used(see(np.stack([square_image(image, own) for image in loaded])))
    generator = np.random.default_rng(SEED)
    seen["noise"] = see(generator.integers(0, 256, (200, side, side, 3), dtype=np.uint8))
    flat = np.repeat(generator.integers(0, 256, (200, 1, 1, 3), dtype=np.uint8), side, 1)
    seen["flat colours"] = see(np.repeat(flat, side, 2))
    for name, points in seen.items():
        cells = [f"{value(points):.2f}" for value in fitted.values()]
        cells.append(f"{as_coarse.get(name, used(points)):.2f}")
        cells.append(f"{native[name]:.2f}" if name in native else "")
        table.append(f"| {name} | {' | '.join(cells)} |")
    print("\n".join(table))
    out.mkdir(parents=True, exist_ok=True)
    (out / "similarity.md").write_text("\n".join([*lines, "", *table]) + "\n")


if __name__ == "__main__":
    main()
