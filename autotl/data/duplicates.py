"""Families of nearly equal images: re-encoded, resized, mirrored or slightly brightened copies. numpy only.

Thumbnails are compared after their brightness and contrast are removed; the gap of two is one minus their
correlation. Saving a photo again moves it by about 0.001, and two photos are 0.1 and more apart. Images of
a narrow kind (digits, steel, signs) are all alike, so a copy must also be far closer than its neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.spatial import cKDTree

CLOSE = 0.004  # the widest gap of a copy,
CLOSER = 0.05  # and of the gap to the tenth nearest image
NEIGHBOUR = 10
MUTUAL = 0.05  # the widest gap of two images that are each other's nearest, and of which the next nearest
NEXT = 0.2  # are farther by this factor: small images, and those that were compressed strongly
NEARBY = 6  # images on the axes, among which the nearest are looked for
TREE_AXES = 10  # axes of that search
SAME = 1e-5  # a gap this small means a copy, however close the neighbours are
FLATTEST = 2.0  # deviation in grey levels: below it noise would decide
LIGHT = np.array([0.299, 0.587, 0.114], np.float32)  # of red, green and blue
COARSE = 4  # cells across, in which colour is compared
AXES = 16  # principal axes that separate most pairs
SAMPLE = 2000  # images from which the axes and usual gaps are computed
BLOCK = 512  # images at once: memory stays flat
MOST = 8  # neighbours of one image that are looked at, so that a film of one scene costs no more


def families(thumbnails: np.ndarray, rows: np.ndarray) -> list[np.ndarray]:
    """Return the rows (m,) of each family of nearly equal images, two or more, among `rows`.

    `thumbnails` is (n, S, S, 3) uint8. 50,000 images take some seconds.
    """
    flat = [thumbnails[rows[at]].reshape(-1, thumbnails[0].size).std(1) for at in _blocks(len(rows))]
    rows = rows[np.concatenate([*flat, np.zeros(0)]) >= FLATTEST]
    if len(rows) < 2:
        return []
    sample = unit_rows(thumbnails[rows[:: -(-len(rows) // SAMPLE)]])
    rows, one, other = _candidates(thumbnails, rows, sample)
    gaps = [
        1.0 - (unit_rows(thumbnails[rows[one[at]]]) * unit_rows(thumbnails[rows[other[at]]])).sum(1)
        for at in _blocks(len(one))
    ]
    gap = np.concatenate([*gaps, np.zeros(0, np.float32)])
    close = gap <= CLOSE
    one, other, gap = one[close], other[close], gap[close]
    usual = np.zeros(len(rows), np.float32)
    place = min(NEIGHBOUR, len(sample) - 1)
    members = np.union1d(one, other)
    for at in _blocks(len(members)):
        to_sample = 1.0 - unit_rows(thumbnails[rows[members[at]]]) @ sample.T
        usual[members[at]] = np.partition(to_sample, place, axis=1)[:, place]
    real = gap <= np.maximum(SAME, CLOSER * np.minimum(usual[one], usual[other]))
    first, second = _mutual(thumbnails, rows, sample)
    one, other = np.concatenate([one[real], first]), np.concatenate([other[real], second])
    return [rows[family] for family in joined(len(rows), one, other)]


def upright(thumbnails: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return thumbnails (n, S, S, 3) mirrored and turned so that their light lies to the lower right, and the way (n,).

    Whichever way an image was mirrored or turned by quarters, its thumbnail becomes the same. Two that were alike
    before went the same way.
    """
    light = thumbnails.astype(np.float32) @ LIGHT
    light -= light.mean((1, 2), keepdims=True)
    axis = np.linspace(-1, 1, thumbnails.shape[1], dtype=np.float32)
    across, down = (light @ axis).sum(1), (axis @ light).sum(1)
    placed = thumbnails.copy()
    steep = np.abs(across) < np.abs(down)
    placed[steep] = placed[steep].transpose(0, 2, 1, 3)
    across, down = np.where(steep, down, across), np.where(steep, across, down)
    placed[across < 0] = placed[across < 0][:, :, ::-1]
    placed[down < 0] = placed[down < 0][:, ::-1]
    return placed, 4 * steep + 2 * (across < 0) + (down < 0)


def unit_rows(thumbnails: np.ndarray) -> np.ndarray:
    """Return (m, S, S, 3) as rows of length 1, (m, d) float32: light without its mean, and colour.

    Colour counts half, and coarsely: it is what saving as JPEG spoils.
    """
    count, side = thumbnails.shape[:2]
    pixels = thumbnails.astype(np.float32)
    light = pixels @ LIGHT
    coarse = side // COARSE
    colour = (pixels[..., ::2] - light[..., None]).reshape(count, COARSE, coarse, COARSE, coarse, 2)
    light = light.reshape(count, -1)
    light -= light.mean(1, keepdims=True)
    parts = (light, 0.5 * coarse * colour.mean((2, 4)).reshape(count, -1))
    rows = np.concatenate(parts, axis=1)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def _candidates(
    thumbnails: np.ndarray, rows: np.ndarray, sample: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rows in another order, and positions in it of pairs: all that are close, and a few that are not.

    On any axis two images are no farther apart than they are altogether. So they are sorted along the
    principal axis, and only those within reach there are compared on the others.
    """
    middle = sample.mean(0)
    axes = np.linalg.eigh((sample - middle).T @ (sample - middle))[1][:, ::-1][:, :AXES]
    place = np.concatenate([(unit_rows(thumbnails[rows[at]]) - middle) @ axes for at in _blocks(len(rows))])
    order = np.argsort(place[:, 0], kind="stable")
    rows, place = rows[order], place[order]
    reach = 2 * CLOSE  # the squared distance of two unit vectors is twice their gap
    square, one = (place**2).sum(1, keepdims=True), np.ones((len(place), 1), np.float32)
    left, right = np.hstack([-2 * place, square, one]), np.hstack([place, one, square])
    ends = np.searchsorted(place[:, 0], place[:, 0] + reach**0.5, side="right")
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    for at in _blocks(len(rows)):
        end = int(ends[at.stop - 1])
        near = left[at] @ right[at.start : end].T <= reach + 1e-5  # squared distances
        near[:, : len(near)] = np.triu(near[:, : len(near)], 1)  # each pair once
        if near.sum() > MOST * len(near):
            near &= np.cumsum(near, axis=1, dtype=np.int32) <= MOST
        first, second = np.nonzero(near)
        pairs.append((first + at.start, second + at.start))
    return rows, np.concatenate([a for a, _ in pairs]), np.concatenate([b for _, b in pairs])


def _mutual(thumbnails: np.ndarray, rows: np.ndarray, sample: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return places (k,) and (k,) of images that are each other's nearest by far.

    Whatever is usual in a set, of two copies each is nearer to the other than to anything else. In a film or a stack of
    slices the next image is about as near.
    """
    middle = sample.mean(0)
    axes = np.linalg.eigh((sample - middle).T @ (sample - middle))[1][:, ::-1][:, :TREE_AXES]
    place = np.concatenate([(unit_rows(thumbnails[rows[at]]) - middle) @ axes for at in _blocks(len(rows))])
    count = len(rows)
    near = cKDTree(place).query(place, min(NEARBY, count), eps=0.1)[1]
    near = near.reshape(count, -1)
    gaps = np.full(near.shape, np.inf, np.float32)
    for at in _blocks(count):
        own = unit_rows(thumbnails[rows[at]])
        for column in range(near.shape[1]):
            others = near[at, column]
            there = np.flatnonzero((others < count) & (others != np.arange(at.start, at.start + len(own))))
            if len(there):
                gaps[at.start + there, column] = 1.0 - (
                    own[there] * unit_rows(thumbnails[rows[others[there]]])
                ).sum(1)
    order = np.argsort(gaps, axis=1, kind="stable")[:, :2]
    every = np.arange(count)
    nearest, gap = near[every, order[:, 0]], gaps[every, order[:, 0]]
    after = gaps[every, order[:, -1]]
    found = np.flatnonzero((gap <= MUTUAL) & (gap <= NEXT * after) & np.isfinite(after))
    found = found[nearest[nearest[found]] == found]
    found = found[(gap[nearest[found]] <= NEXT * after[nearest[found]]) & (found < nearest[found])]
    return found, nearest[found]


def joined(count: int, one: np.ndarray, other: np.ndarray) -> list[np.ndarray]:
    """Return positions of each connected family that the pairs make among `count`."""
    parent = list(range(count))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for a, b in zip(one.tolist(), other.tolist(), strict=True):
        parent[root(a)] = root(b)
    grouped: dict[int, list[int]] = {}
    for index in np.union1d(one, other).tolist():
        grouped.setdefault(root(index), []).append(index)
    return [np.array(family) for family in grouped.values()]


def members(keys: np.ndarray) -> list[np.ndarray]:
    """Return the rows of each key (n,) that two rows or more have."""
    _, inverse, sizes = np.unique(keys, return_inverse=True, return_counts=True)
    order = np.argsort(inverse, kind="stable")
    return [family for family in np.split(order, np.cumsum(sizes)[:-1]) if len(family) > 1]


def _blocks(count: int) -> Iterator[slice]:
    return (slice(first, min(first + BLOCK, count)) for first in range(0, count, BLOCK))
