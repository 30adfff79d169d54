"""Overlap of images with a source domain, measured on the features of one fixed reference backbone.

Each image is paired with a source image of like content, one of its nearest neighbours in the deepest
features, and a linear classifier trained on fifty such pairs predicts for other pairs which of the two is whose, from
the features of all depths (a classifier two-sample test, Lopez-Paz & Oquab, ICLR 2017, against a matched
sample). The value is the sum of its two error rates, the share that the two kinds have in common: 1 when it
can only guess, 0 when it is never wrong. Because the source is matched to the images, a narrow subject costs
nothing; because it always learns from as many pairs, a hundred images and a thousand agree.
docs/measurements/similarity.md has the measures it was chosen from. numpy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from safetensors import safe_open

from autotl.records import Similarity

NEAR, MIDDLING = 0.5, 0.2
MOST_IMAGES = 1000
FEWEST_IMAGES = 20
PAIRS = 50  # that a classifier learns from; fewer images leave a quarter to be judged
JUDGED = 200  # pairs, at most, that each classifier judges
ROUNDS = 20  # classifiers, each from other pairs
NEIGHBOURS = 5  # source images of like content, of which one is drawn
PENALTY = 1.0  # of the ridge regression, for each feature, which are whitened
AXES = 16  # of each depth


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """A sample of a source domain in the features of one backbone."""

    domain: str
    backbone: str  # name of the embedded backbone whose features it holds
    weights: str  # sha256 of that backbone's file
    input_size: int
    means: tuple[np.ndarray, ...]  # (d_i,) float32, one a layer group, shallow to deep
    axes: tuple[np.ndarray, ...]  # (d_i, AXES) float32: onto whitened principal axes
    samples: dict[int, np.ndarray]  # resolution in pixels → source images on those axes (m, AXES · groups)

    def place(self, groups: Sequence[np.ndarray]) -> np.ndarray:
        """Return pooled features (n, d_i) of every layer group on the axes, (n, AXES · groups) float32."""
        placed = [
            (group.astype(np.float32) - mean) @ axes
            for group, mean, axes in zip(groups, self.means, self.axes, strict=True)
        ]
        return np.concatenate(placed, axis=1)


def references() -> list[Reference]:
    """Return the references that ship with autotl, one a source domain."""
    folder = Path(__file__).parents[1] / "embedded"
    return [load_reference(path) for path in sorted(folder.glob("*.reference.safetensors"))]


def load_reference(path: Path) -> Reference:
    """Read a reference file. Raises `FileNotFoundError` where there is none."""
    with safe_open(path, framework="numpy") as file:
        about = file.metadata()
        arrays = {name: file.get_tensor(name).astype(np.float32) for name in file.keys()}  # noqa: SIM118
    count = sum(name.startswith("mean.") for name in arrays)
    return Reference(
        domain=about["domain"],
        backbone=about["backbone"],
        weights=about["sha256"],
        input_size=int(about["input_size"]),
        means=tuple(arrays[f"mean.{i}"] for i in range(count)),
        axes=tuple(arrays[f"axes.{i}"] for i in range(count)),
        samples={
            int(name.removeprefix("sample.")): array
            for name, array in arrays.items()
            if name.startswith("sample.")
        },
    )


def principal_axes(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean (d,) and whitened leading principal axes (d, AXES) of features (n, d)."""
    values, vectors = np.linalg.eigh(np.cov(features.astype(np.float64).T))
    leading = slice(None, -AXES - 1, -1)
    return features.mean(axis=0), vectors[:, leading] / np.sqrt(values[leading] + 1e-9)


def similarity(
    groups: Sequence[np.ndarray], reference: Reference, side: int | None = None, seed: int = 0
) -> Similarity:
    """Return the similarity of images to a source domain, with a 95% interval.

    `groups` are the pooled features (n, d_i) of the reference's backbone at the reference's input size, one
    array a layer group, shallow to deep; more than a thousand rows are sampled. `side` is the images' own
    resolution in pixels, where it may be below the reference's: they are held against source images as coarse,
    since what was enlarged is soft whatever it shows. Raises `ValueError` for
    features of other widths, for fewer than twenty images, and for values that are not finite.
    """
    shapes = [group.shape for group in groups]
    expected = [(shapes[0][0] if shapes else 0, len(mean)) for mean in reference.means]
    if shapes != expected:
        raise ValueError(f"features of shapes {shapes} given, {expected} of {reference.backbone} expected")
    if shapes[0][0] < FEWEST_IMAGES:
        raise ValueError(f"features of {shapes[0][0]} images are too few, {FEWEST_IMAGES} are needed")
    if not all(np.isfinite(group).all() for group in groups):
        raise ValueError(
            "features hold values that are not finite: leave out the images that could not be read"
        )
    rng = np.random.default_rng(seed)
    if len(groups[0]) > MOST_IMAGES:
        kept = rng.choice(len(groups[0]), MOST_IMAGES, replace=False)
        groups = [group[kept] for group in groups]
    like = min(reference.samples, key=lambda pixels: abs(np.log(pixels / (side or reference.input_size))))
    value, error = overlap(reference.place(groups), reference.samples[like], rng)
    low, high = (float(np.clip(value + sign * 1.96 * error, 0.0, 1.0)) for sign in (-1, 1))
    value = min(1.0, value)
    return Similarity(
        domain=reference.domain,
        value=round(value, 6),
        low=round(low, 6),
        high=round(high, 6),
        level=level(value),
    )


def overlap(points: np.ndarray, sample: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """Return the sum of error rates of classifiers between `points` (n, a) and matched rows of `sample` (m, a).

    With its standard error, over the points and over the classifiers.
    """
    distance = _squared_distances(points[:, -AXES:], sample[:, -AXES:])
    fitted = min(PAIRS, 3 * len(points) // 4)
    mistakes, judged = np.zeros(len(points)), np.zeros(len(points))
    rates = []

    def match(rows: np.ndarray, pool: np.ndarray) -> np.ndarray:
        among = distance[np.ix_(rows, pool)]
        near = np.argpartition(among, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
        return np.asarray(sample[pool[near[np.arange(len(rows)), rng.integers(0, NEIGHBOURS, len(rows))]]])

    for _ in range(ROUNDS):
        order = rng.permutation(len(points))
        train, test = order[:fitted], order[fitted : fitted + JUDGED]
        # No source image is in both halves: the same one may be the match of many.
        one, other = np.array_split(rng.permutation(len(sample)), 2)
        weight, bias = _ridge(points[train], match(train, one))
        wrong = (points[test] @ weight + bias < 0).astype(float)
        wrong += match(test, other) @ weight + bias >= 0
        mistakes[test] += wrong
        judged[test] += 1
        rates.append(wrong.mean())
    rate = mistakes[judged > 0] / judged[judged > 0]
    variance = rate.var(ddof=1) / len(rate) + np.var(rates, ddof=1) / ROUNDS
    return float(np.mean(rates)), float(np.sqrt(variance))


def _squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray((a**2).sum(1)[:, None] - 2 * a @ b.T + (b**2).sum(1))


def _ridge(ours: np.ndarray, theirs: np.ndarray) -> tuple[np.ndarray, float]:
    """Return weight (a,) and bias of a ridge regression that is positive on `ours` and negative on `theirs`."""
    both = np.concatenate([ours, theirs]).astype(np.float64)
    side = np.repeat([1.0, -1.0], [len(ours), len(theirs)])
    mean = both.mean(axis=0)
    centred = both - mean
    gram = centred @ centred.T + PENALTY * centred.shape[1] * np.eye(len(both))
    weight = centred.T @ np.linalg.solve(gram, side)
    return weight, -float(mean @ weight)


def level(value: float) -> Literal["near", "middling", "far"]:
    """Return the level of a value."""
    if value >= NEAR:
        return "near"
    return "middling" if value >= MIDDLING else "far"
