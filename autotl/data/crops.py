"""Copies that show a part of another image: crops, paddings, and small images that were saved again. numpy only.

Candidates are nearest neighbours: by the features of a reference backbone, which hardly change with a crop, and by
thumbnails without their rims, which hardly change with a frame or a strong compression. The images of a pair are laid
on each other: one at several sizes and places inside the other, by the cross-correlation of their fine structure. Two
photos of one thing share its shape; only copies share edges and grain. How much by chance is measured on farther
neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from autotl.data import duplicates

NEIGHBOURS = 2  # of an image by features that are looked at, beside the nearest by thumbnails;
SMALL_NEIGHBOURS = 6  # of small images, whose features change more with a crop, and which
SMALL_SIDE = (
    32  # pixels a side are laid on each other in a fourth of the time: so many times more pairs of them
)
SMALL_FACTOR = 3
FARTHER = 12  # the place of the neighbour that is no copy, by which chance is measured
LEAST_COSINE = 0.6  # of features: less alike are no candidates
MOST_PAIRS = 2400  # nearest neighbours first, then the most alike
CHANCE = 150  # pairs that chance is measured on
USUAL = (0.5, 0.9)  # quantiles of them: what lies above the second by more than
SPREADS = 2.0  # times their distance is no chance, but another picture of the same object
STEP = 2  # pixels between the sides of the first look
MOST_FINE = 1000  # pairs of the second look, those that the first one finds most alike
LEAST_COARSE = 0.4  # correlation of the first look, below which there is no second
SMALLEST = 0.8  # of the side of the larger image that the smaller one covers, at least
LEAST = 0.6  # correlation of a copy, and above that of
QUANTILE = 0.99  # pairs by chance by
MARGIN = 0.1
TINT = 24.0  # grey levels by which the mean colours of two copies differ at most, beside their light,
LIGHTER = 40.0  # and by which their light does: a part is seldom lighter than the whole by more
RIM = 2  # pixels, by which fine structure is separated, and which are left out at the edges
FLATTEST = 2.0  # deviation in grey levels: below it noise would decide
BLOCK = 128  # pairs at once

Gray = Callable[[np.ndarray], np.ndarray]  # rows (m,) → gray images (m, S, S), S even


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pictures:
    """The images that are compared."""

    gray: Gray
    thumbnails: np.ndarray  # (n, T, T, 3) uint8 of all images, without a frame of one colour
    most_pairs: int = MOST_PAIRS  # time and memory grow with them


def families(
    rows: np.ndarray,
    features: np.ndarray,
    pictures: Pictures,
    *,
    group: np.ndarray | None = None,
    seed: int = 0,
) -> list[np.ndarray]:
    """Return the rows (m,) of each family of images that show parts of one picture, two or more, among `rows`.

    `features` (n, d) are those of the rows, of length 1. Rows of one `group` (n,) are together already: they are not
    compared with each other.
    """
    if len(rows) <= FARTHER + 1:
        return []
    images = pictures.gray(rows).astype(np.float32)
    small = images.shape[1] <= SMALL_SIDE
    order = _nearest(features, FARTHER + 1)
    group = np.arange(len(rows)) if group is None else group
    thumbnails = pictures.thumbnails[rows]
    one, other = _candidates(
        features,
        np.hstack([order[:, :1], _nearest(_middles(thumbnails), 1), order[:, 1:]]),
        group,
        neighbours=1 + (SMALL_NEIGHBOURS if small else NEIGHBOURS),
        most=pictures.most_pairs * (SMALL_FACTOR if small else 1),
    )
    generator = np.random.default_rng(seed)
    drawn = generator.permutation(len(rows))
    drawn = drawn[group[drawn] != group[order[drawn, FARTHER]]][:CHANCE]
    if not len(drawn):
        return []
    far = order[drawn, FARTHER]
    flat = images.std((1, 2)) < FLATTEST
    colours = thumbnails.mean((1, 2), dtype=np.float32)
    light = colours.mean(1, keepdims=True)
    kept = ~(flat[one] | flat[other]) & (np.abs(light[one] - light[other])[:, 0] <= LIGHTER)
    kept &= np.abs((colours - light)[one] - (colours - light)[other]).max(1) <= TINT
    one, other = one[kept], other[kept]
    chance = _by_chance(correlation(images, drawn, far))
    copies = correlation(images, one, other) >= max(LEAST, chance + MARGIN)
    return [rows[family] for family in duplicates.joined(len(rows), one[copies], other[copies])]


def _by_chance(farther: np.ndarray) -> float:
    """Return the highest correlation that chance explains, from those of farther neighbours.

    Among these may be further pictures of the same object, such as exposures of one tile: they lie far above the others.
    """
    middle, usual, highest = (float(np.quantile(farther, share)) for share in (*USUAL, QUANTILE))
    return min(highest, usual + SPREADS * (usual - middle))


def _middles(thumbnails: np.ndarray) -> np.ndarray:
    """Return the light of thumbnails without their rims, as rows (m, d) of mean 0 and length 1."""
    light = (thumbnails[:, 1:-1, 1:-1].astype(np.float32) @ duplicates.LIGHT).reshape(len(thumbnails), -1)
    light -= light.mean(1, keepdims=True)
    return np.asarray(light / np.maximum(np.linalg.norm(light, axis=1, keepdims=True), 1e-6))


def _nearest(rows: np.ndarray, count: int) -> np.ndarray:
    """Return the places (n, count) of the nearest neighbours of each of some rows of length 1, the nearest first."""
    nearest = np.empty((len(rows), count), np.int64)
    for at in _blocks(len(rows)):
        cosine = rows[at] @ rows.T
        cosine[np.arange(len(cosine)), np.arange(at.start, at.stop)] = -np.inf
        some = np.argpartition(-cosine, count - 1, axis=1)[:, :count]
        alike = np.take_along_axis(cosine, some, 1)
        nearest[at] = np.take_along_axis(some, np.argsort(-alike, axis=1, kind="stable"), 1)
    return nearest


def _candidates(
    features: np.ndarray, nearest: np.ndarray, group: np.ndarray, *, neighbours: int, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return places (k,) and (k,) of pairs that are nearest neighbours, each once: first those of each image's first.

    Column 1 of `nearest` is by thumbnails, the others are by features. In a set of images that are all alike the most
    alike of all would be pairs of a few of them.
    """
    nearest = nearest[:, :neighbours]
    one, place = (each.ravel() for each in np.indices(nearest.shape))
    order = np.argsort(place, kind="stable")
    pairs = np.sort(np.stack([one, nearest.ravel()]), axis=0)[:, order]
    (one, other), first = np.unique(pairs, axis=1, return_index=True)
    place = place[order][first]
    alike = (features[one] * features[other]).sum(1)
    alike[place == 1] = np.maximum(alike[place == 1], LEAST_COSINE)  # thumbnails vouch for these
    kept = np.lexsort((-alike, place))
    kept = kept[(alike[kept] >= LEAST_COSINE) & (group[one[kept]] != group[other[kept]])][:most]
    return one[kept], other[kept]


def correlation(images: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the correlation (k,) of the fine structure of pairs of images (n, S, S) where they fit best.

    A first look is at half the size.
    """
    coarse = images.shape[1] // 2
    small = images.reshape(len(images), coarse, 2, coarse, 2).mean((2, 4))
    first, side = np.zeros((2, len(one)), np.float32), np.zeros((2, len(one)), np.int64)
    sides = np.arange(coarse, int(SMALLEST * coarse), -STEP)[:, None]
    for at in _blocks(len(one)):
        for way, (whole, part) in enumerate(((one[at], other[at]), (other[at], one[at]))):
            each = sides.repeat(len(whole), 1)
            first[way, at], side[way, at] = _fitted(small[whole], small[part], each)
    way, value = first.argmax(0), first.max(0)
    most = MOST_FINE * (SMALL_FACTOR if images.shape[1] <= SMALL_SIDE else 1)
    worth = np.argsort(-value, kind="stable")[:most]
    worth = worth[value[worth] >= LEAST_COARSE]
    whole, part = np.where(way == 0, one, other)[worth], np.where(way == 0, other, one)[worth]
    steps = np.arange(1 - 2 * STEP, 2 * STEP)[:, None]
    wanted = np.clip(2 * side[way[worth], worth] + steps, int(SMALLEST * 2 * coarse), 2 * coarse)
    best = np.zeros(len(one), np.float32)
    for at in _blocks(len(worth)):
        best[worth[at]] = _fitted(images[whole[at]], images[part[at]], wanted[:, at])[0]
    return best


def _fitted(whole: np.ndarray, part: np.ndarray, sides: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the best correlation (k,) of `part` inside `whole` (k, S, S), and its side.

    `sides` (steps, k) are those that `part` is reduced to, in pixels.
    """
    from scipy.fft import irfft2, rfft2  # a quarter of a second, which would delay the start of the worker

    count, size = whole.shape[:2]
    best, at_side = np.full(count, -1.0, np.float32), np.full(count, size)
    structure = _fine(whole)
    spectrum, energies = rfft2(structure), _integral(structure**2)
    for side in np.unique(sides).tolist():
        rows = np.flatnonzero((sides == side).any(0))
        weights = _reduction(size, side)
        pattern = np.zeros((len(rows), size, size), np.float32)
        inner = slice(RIM, side - RIM)
        pattern[:, inner, inner] = _fine(weights @ part[rows] @ weights.T)[:, inner, inner]
        across = irfft2(spectrum[rows] * np.conj(rfft2(pattern)), (size, size))
        places = size - side + 1
        energy = _windows(energies[rows], side - 2 * RIM)[:, RIM : RIM + places, RIM : RIM + places]
        own = (pattern**2).sum((1, 2))[:, None, None]
        value = (across[:, :places, :places] / np.sqrt(np.maximum(energy * own, 1e-6))).max((1, 2))
        better = value > best[rows]
        best[rows[better]], at_side[rows[better]] = value[better], side
    return best, at_side


def _fine(images: np.ndarray) -> np.ndarray:
    """Return the fine structure of images (k, s, s), of about equal contrast everywhere: a frame weighs little."""
    structure = images - _around(images)
    return np.asarray(structure / (np.sqrt(np.maximum(_around(structure**2), 0.0)) + FLATTEST), np.float32)


def _around(images: np.ndarray) -> np.ndarray:
    """Return the mean around each pixel of images (k, s, s)."""
    count, width = images.shape[1], 2 * RIM + 1
    padded = np.pad(images, ((0, 0), (RIM, RIM), (RIM, RIM)), mode="edge")
    down, across = padded[:, :count].copy(), np.zeros(images.shape, images.dtype)
    for at in range(1, width):
        down += padded[:, at : at + count]
    for at in range(width):
        across += down[:, :, at : at + count]
    return across / width**2


def _integral(images: np.ndarray) -> np.ndarray:
    """Return the sums of images (k, s, s) from their first corner on, (k, s + 1, s + 1)."""
    total = np.zeros((len(images), images.shape[1] + 1, images.shape[2] + 1), np.float32)
    np.cumsum(images, axis=2, out=total[:, 1:, 1:])
    np.cumsum(total[:, 1:, 1:], axis=1, out=total[:, 1:, 1:])
    return total


def _windows(total: np.ndarray, side: int) -> np.ndarray:
    """Return the sums of all squares of `side` pixels, from sums of `_integral`."""
    return np.asarray(
        total[:, side:, side:] - total[:, :-side, side:] - total[:, side:, :-side] + total[:, :-side, :-side]
    )


def _reduction(size: int, side: int) -> np.ndarray:
    """Return the matrix (side, size) that reduces a row of `size` pixels to `side` by areas."""
    edges, pixel = np.linspace(0, size, side + 1), np.arange(size)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return np.asarray(np.maximum(overlap, 0) * side / size, np.float32)


def _blocks(count: int) -> Iterator[slice]:
    return (slice(first, min(first + BLOCK, count)) for first in range(0, count, BLOCK))
