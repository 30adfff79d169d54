"""Undeclared groups: images that belong together by names, camera or time, as features show. numpy only.

A key of the names (`autotl.data.name_keys`) or of EXIF (`autotl.data.capture_keys`) is a group when the nearest image of
the same class has the same key far more often than chance would have it, and when a classifier loses more by whole keys
left out than by as many images drawn at random: what it had learned of them was one person, one object or one film.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autotl.data.name_keys import Key, keyed, name_keys, numbered, simplest

MOST_IMAGES = 1000  # that keys are judged on
BLOCK = 20  # neighbours in the order of names, so that a sample holds what belongs together
FEWEST = 60  # images, below which nothing is concluded
FOLDS = 10
DRAWS = 5  # partitions at random, beside the one by keys
SHARE = 0.1  # of the images that must have another of their key and class
CERTAIN = 6.0  # standard errors of the share of neighbours with the same key, above chance
NEARER = 1.5  # times chance, and so
MUCH_NEARER = 3.0  # that they are held together even where no accuracy is lost
LOSS = 0.01  # of the accuracy, and
LOSS_ERRORS = 3.0  # standard errors, by which whole keys must lower it
SAFE_GROUPS = 5  # groups of a class, with fewer of which it is hard to select or test by whole groups
SAFE_SHARE = 0.9  # of the images that must lie in such classes
PENALTY = 1e-2  # of the ridge regression, relative to the mean variance of a feature
PAIRS = 6  # that are shown
NUMBER = re.compile(r"^(.*?)(\d+)\D*$", re.DOTALL)  # what stands before the last number, and the number
REACH = 2  # numbers from one frame to the next
FRAMES = 0.25  # of the images whose nearest image is the next by number, at least


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Suspected:
    """A partition of the images that is likely to be one of persons, objects or films."""

    key: Key  # over all images
    groups: int  # of two images or more
    images: int  # in them
    nearest: float  # share of images whose nearest image of the class has the same key
    chance: float  # that share, if keys were drawn at random
    random: float  # accuracy of a linear classifier on images left out at random
    whole: float  # and on whole groups left out
    safe: bool  # enough groups of each class
    pairs: tuple[tuple[int, int], ...]  # rows of the nearest images of one key


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judge:
    """The features of some images, prepared for judging many partitions of them."""

    labels: np.ndarray  # (m,)
    nearest: np.ndarray  # (m,) position of the nearest image of the same class
    likeness: np.ndarray  # (m,) cosine with it
    elsewhere: np.ndarray  # (m,) position of the nearest image of another class
    hat: np.ndarray  # (m, m) of a ridge regression on the features
    target: np.ndarray  # (m, classes) ±1


def sample(names: np.ndarray, candidates: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return at most `MOST_IMAGES` of the candidate rows: blocks of neighbours in the order of names."""
    if len(candidates) <= MOST_IMAGES:
        return candidates
    ordered = candidates[np.argsort(names[candidates].astype(str), kind="stable")]
    blocks = np.array_split(ordered, len(ordered) // BLOCK)
    chosen = generator.permutation(len(blocks))[: MOST_IMAGES // BLOCK]
    return np.concatenate([blocks[number] for number in np.sort(chosen)])[:MOST_IMAGES]


def judge(features: np.ndarray, labels: np.ndarray) -> Judge:
    """Return what all partitions are judged by. `features` (m, d) are of length 1, layer groups side by side."""
    cosine = features @ features.T
    np.fill_diagonal(cosine, -np.inf)
    same = labels[:, None] == labels
    within = np.where(same, cosine, -np.inf)
    nearest = within.argmax(1)
    centred = np.hstack([features - features.mean(0), np.ones((len(features), 1), features.dtype)])
    gram = centred.T @ centred
    gram += PENALTY * float(np.trace(gram)) / len(gram) * np.eye(len(gram), dtype=gram.dtype)
    return Judge(
        labels=labels,
        nearest=nearest,
        likeness=within[np.arange(len(labels)), nearest],
        elsewhere=np.where(same, -np.inf, cosine).argmax(1),
        hat=centred @ np.linalg.solve(gram, centred.T),
        target=2.0 * (labels[:, None] == np.unique(labels)) - 1.0,
    )


def accuracy(judged: Judge, group: np.ndarray) -> float:
    """Return the accuracy of the ridge regression on folds that it was not fitted on, whole groups in each.

    What a linear smoother predicts without a fold follows from what it predicts with all of them; nothing is
    fitted again.
    """
    fold = _folds(group)
    residual = judged.target - judged.hat @ judged.target
    hits = 0
    for number in range(int(fold.max()) + 1):
        rows = np.flatnonzero(fold == number)
        inner = np.eye(len(rows)) - judged.hat[np.ix_(rows, rows)]
        predicted = judged.target[rows] - np.linalg.solve(inner + 1e-6 * np.eye(len(rows)), residual[rows])
        hits += int((predicted.argmax(1) == judged.target[rows].argmax(1)).sum())
    return hits / len(judged.labels)


def suspected(
    names: Sequence[str],
    labels: np.ndarray,
    rows: np.ndarray,
    features: np.ndarray,
    *,
    others: Sequence[Key] = (),
    seed: int = 0,
) -> Suspected | None:
    """Return the groups that names, or the `others` keys, and features of `rows` agree on, or None.

    `names`, `labels` and `others` are of all images. A key that says something across classes goes before one that is
    counted within each. Of several the one is taken that costs most accuracy; of those that cost as much, one of names,
    which `--group` can declare, and the one that makes most groups.
    """
    if len(rows) < FEWEST or len(np.unique(labels[rows])) < 2:
        return None
    generator = np.random.default_rng(seed)
    named = [names[row] for row in rows]
    judged = judge(features, labels[rows])
    keys = [*name_keys(named), *(of for key in others if (of := _among(key, rows)) is not None)]
    found = [candidate for key in keys if (candidate := _measured(judged, key, generator)) is not None]
    if not found:
        return None
    found = [candidate for candidate in found if candidate.crossing] or found
    most = max(candidate.random - candidate.whole for candidate in found)
    costly = [candidate for candidate in found if candidate.random - candidate.whole >= most - LOSS]
    chosen = max(costly, key=lambda candidate: (candidate.key.by == "names", candidate.groups))
    of_sample = key = chosen.key
    if key.by == "names":
        of_sample = keyed(numbered(keyed(key.expression, names), names).expression, named)
        key = keyed(simplest(of_sample, named).expression, names)
    else:
        key = next(whole for whole in others if whole.by == key.by)
    return Suspected(
        key=key,
        groups=int((np.bincount(key.group) > 1).sum()),
        images=int((np.bincount(key.group)[key.group] > 1).sum()),
        nearest=round(chosen.nearest, 6),
        chance=round(chosen.chance, 6),
        random=round(chosen.random, 6),
        whole=round(chosen.whole, 6),
        safe=safe(labels, key.group),
        pairs=_pairs(judged, of_sample.group, rows),
    )


def _among(key: Key, rows: np.ndarray) -> Key | None:
    """Return the partition of some rows alone, or None where it is none."""
    present, group = np.unique(key.group[rows], return_inverse=True)
    if not 1 < len(present) < len(rows):
        return None
    return Key(by=key.by, group=group.astype(np.int64), keys=tuple(key.keys[number] for number in present))


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """Images whose numbers in the names follow each other, and which look alike as frames of a film do."""

    images: int
    nearest: float  # share of images whose nearest image of the class is one of the next by number
    chance: float
    pairs: tuple[tuple[int, int], ...]  # rows


def frames(names: Sequence[str], labels: np.ndarray, rows: np.ndarray, features: np.ndarray) -> Frames | None:
    """Return the frames among `rows` (m,) by their last number, or None; `features` (m, d) are of length 1."""
    found = [NUMBER.search(names[row].rpartition(".")[0] or names[row]) for row in rows]
    kept = np.array([place for place, match in enumerate(found) if match is not None], np.int64)
    matches = [match for match in found if match is not None]
    if len(kept) < FEWEST:
        return None
    number = np.array([min(int(match[2]), 2**62) for match in matches])
    film = np.unique([match[1] for match in matches], return_inverse=True)[1]
    label, values = labels[rows[kept]], features[kept]
    same = label[:, None] == label
    cosine = np.where(same, values @ values.T, -np.inf)
    np.fill_diagonal(cosine, -np.inf)
    alone = same.sum(1) < 2
    nearest = cosine.argmax(1)
    following = same & (film[:, None] == film) & (np.abs(number[:, None] - number) <= REACH)
    np.fill_diagonal(following, False)
    expected = following.sum(1) / np.maximum(same.sum(1) - 1, 1)
    hits = following[np.arange(len(kept)), nearest] & ~alone
    share, chance, errors = _above_chance(hits, expected)
    if errors < CERTAIN or share < MUCH_NEARER * chance or share < FRAMES:
        return None
    alike = cosine[np.arange(len(kept)), nearest]
    first = np.flatnonzero(hits)[np.argsort(-alike[hits], kind="stable")][: 2 * PAIRS]
    pairs = dict.fromkeys(tuple(sorted((int(rows[kept[i]]), int(rows[kept[nearest[i]]])))) for i in first)
    return Frames(
        images=len(kept),
        nearest=round(share, 6),
        chance=round(chance, 6),
        pairs=tuple((one, other) for one, other in list(pairs)[:PAIRS]),
    )


def safe(labels: np.ndarray, group: np.ndarray) -> bool:
    """Return whether classes have groups enough for training, selection and test by whole groups."""
    rows = np.unique(np.stack([labels, group]), axis=1)
    groups = np.bincount(rows[0], minlength=int(labels.max()) + 1)
    return bool((groups[labels] >= SAFE_GROUPS).mean() >= SAFE_SHARE and groups[np.unique(labels)].min() > 1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Measured:
    key: Key
    groups: int
    nearest: float
    chance: float
    random: float
    whole: float
    crossing: bool  # a key of one class says something of the same key in another


def _measured(judged: Judge, key: Key, generator: np.random.Generator) -> _Measured | None:
    """Return what features show of a key, or None where it is no partition within classes, or no group.

    It is one where whole keys left out cost accuracy, in all classes together or in one at a time, or where images of
    a key are nearest far too often to be anything else.
    """
    group, labels = key.group, judged.labels
    sizes, together = np.bincount(group), _together(group, labels)
    of_class = np.bincount(labels)[labels]
    if (together > 1).mean() < SHARE or (together == of_class).mean() > 1 - SHARE:
        return None
    nearest, chance, errors = _above_chance(
        group[judged.nearest] == group, (together - 1) / np.maximum(of_class - 1, 1)
    )
    if errors < CERTAIN or nearest < NEARER * chance:
        return None
    others = (sizes[group] - together) / np.maximum(len(labels) - of_class, 1)
    _, _, crossing = _above_chance(group[judged.elsewhere] == group, others)
    much_nearer = nearest >= MUCH_NEARER * chance and nearest - chance >= SHARE
    cells = np.unique(np.stack([group, labels]), axis=1, return_inverse=True)[1].ravel()
    random, whole, costly = _cost(judged, group, generator)
    if not (much_nearer or costly or _cost(judged, cells, generator)[2]):
        return None
    return _Measured(
        key=key,
        groups=len(sizes),
        nearest=nearest,
        chance=chance,
        random=random,
        whole=whole,
        crossing=crossing >= CERTAIN,
    )


def _cost(judged: Judge, group: np.ndarray, generator: np.random.Generator) -> tuple[float, float, bool]:
    """Return the accuracy on keys drawn at random and on whole keys left out, and whether the second is lower."""
    drawn = [accuracy(judged, _redrawn(group, judged.labels, generator)) for _ in range(DRAWS)]
    random, whole = float(np.mean(drawn)), accuracy(judged, group)
    error = max(float(np.std(drawn, ddof=1)), float(np.sqrt(random * (1 - random) / len(group))) / 2)
    return random, whole, random - whole >= max(LOSS, LOSS_ERRORS * error)


def _above_chance(hits: np.ndarray, chance: np.ndarray) -> tuple[float, float, float]:
    error = float(np.sqrt((chance * (1 - chance)).sum()))
    return float(hits.mean()), float(chance.mean()), float((hits - chance).sum()) / (error + 1e-9)


def _together(group: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return for each row how many rows have its key and its class."""
    _, cell, counts = np.unique(np.stack([group, labels]), axis=1, return_inverse=True, return_counts=True)
    return np.asarray(counts[cell.ravel()])


def _redrawn(group: np.ndarray, labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return the keys drawn at random within each class: as many groups, as large."""
    drawn = group.copy()
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        drawn[rows] = group[generator.permutation(rows)]
    return drawn


def _folds(group: np.ndarray) -> np.ndarray:
    """Return folds (m,) of about equal size with whole groups in each."""
    _, group, sizes = np.unique(group, return_inverse=True, return_counts=True)
    of_group, load = np.zeros(len(sizes), np.int64), np.zeros(min(FOLDS, len(sizes)))
    for number in np.argsort(-sizes, kind="stable"):
        of_group[number] = load.argmin()
        load[of_group[number]] += sizes[number]
    return np.asarray(of_group[group])


def _pairs(judged: Judge, group: np.ndarray, rows: np.ndarray) -> tuple[tuple[int, int], ...]:
    """Return the nearest images of one key and class, one pair a key."""
    own = np.flatnonzero(group[judged.nearest] == group)
    own = own[np.argsort(-judged.likeness[own], kind="stable")]
    _, first = np.unique(group[own], return_index=True)
    return tuple(
        (int(rows[place]), int(rows[judged.nearest[place]])) for place in own[np.sort(first)[:PAIRS]]
    )
