"""Images that are in the data more than once: byte-equal, saved again, resized, mirrored or turned. numpy only.

Copies on both sides of a split make scores too high, and copies under two labels contradict each other. Copies stay
on one side; contradictions take no part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from autotl.data import duplicates
from autotl.modality.image_store import Decoded
from autotl.records import PARTS, Action, Dataset, Fact, Finding, Kind, fact
from autotl.records.data import GroupFrom
from autotl.stats import values
from autotl.stats.sides import known_images, sides

SHOWN = 20  # names in a finding
PAIRS = 6  # that are shown as pictures
STAY = 3  # names of contradicted images that are not left out
CONTRADICTED = 0.05  # of a class: with more, two classes overlap, and leaving images out is no remedy


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Copies:
    """Families of equal images: rows of the data set."""

    exact: tuple[np.ndarray, ...]  # byte-equal files
    near: tuple[np.ndarray, ...] = ()  # nearly equal, and not all of them byte-equal
    turned: tuple[np.ndarray, ...] = ()  # nearly equal once they are mirrored or turned by quarters

    @property
    def families(self) -> tuple[np.ndarray, ...]:
        return (*self.exact, *self.near, *self.turned)


def copies(data: Dataset, decoded: Decoded) -> Copies:
    """Return the copies among the rows that are decoded; byte-equal files also among the others.

    A frame of one colour does not count: two images with the same frame would be alike by it.
    """
    rows, thumbnails = np.flatnonzero(decoded.present), decoded.inner
    near = duplicates.families(thumbnails, rows)
    if data.digests is not None:
        near = [family for family in near if len(set(data.digests[family].tolist())) > 1]
    exact = _equal_files(data)
    count = len(thumbnails)
    alike = np.arange(count) if not (exact or near) else joined(count, None, [*exact, *near])
    placed, way = duplicates.upright(thumbnails)
    found = outside(alike, duplicates.families(placed, rows))
    turned = [len(np.unique(way[family])) > 1 for family in found]
    near += [family for family, one in zip(found, turned, strict=True) if not one]
    return Copies(
        exact=tuple(exact),
        near=tuple(near),
        turned=tuple(family for family, one in zip(found, turned, strict=True) if one),
    )


def findings(data: Dataset, found: Copies) -> list[Finding]:
    """Return what copies mean for training and for scores."""
    out = np.array(sorted(contradictions(data, found)), np.int64)
    return [
        *_findings(data, found.exact, {"exact": True}, out),
        *_findings(data, found.near, {"exact": False}, out),
        *_findings(data, found.turned, {"exact": False, "turned": True}, out),
    ]


def of_parts(data: Dataset, families: Sequence[np.ndarray]) -> list[Finding]:
    """Return what images mean that show the same picture, or a part of it; a part may well have another label."""
    return _findings(data, families, {"exact": False, "cropped": True}, np.zeros(0, np.int64))


def outside(group: np.ndarray | None, families: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the families that are not in one group already."""
    return [family for family in families if group is None or len(np.unique(group[family])) > 1]


def unequal(data: Dataset, families: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the families that are not byte-equal files alone: those have a finding of their own."""
    return [
        family for family in families if data.digests is None or len(set(data.digests[family].tolist())) > 1
    ]


def with_parts(data: Dataset, families: Sequence[np.ndarray]) -> Dataset:
    """Return the data with groups in which images that show parts of one picture are together too."""
    group_from = "copies" if data.group is None else data.group_from
    return replace(data, group=joined(len(data.files), data.group, families), group_from=group_from)


def held_together(data: Dataset, found: Copies) -> Dataset:
    """Return the data with groups in which nearly equal images are together. Byte-equal files are so in any split."""
    if not found.near and not found.turned:
        return data
    group_from = "copies" if data.group is None else data.group_from
    return replace(data, group=joined(len(data.files), data.group, found.families), group_from=group_from)


def contradictions(data: Dataset, found: Copies) -> Mapping[int, Fact]:
    """Return the images under two labels that take no part: at least one label is wrong, and it is unknown which.

    Two numbers for one picture are two measurements, and both stay.

    Given test images stay, since they are the measure. Where much of a class is the same as another, all stay. An image
    that is another one mirrored or turned may well have another label: a 6 is a 9.
    """
    rows = [family for family in (*found.exact, *found.near) if _contradicts(data, family)]
    if not rows:
        return {}
    contradicted = np.unique(np.concatenate(rows))
    strata = values.of(data.labels).strata(data.labels)
    counts = np.bincount(strata)
    share = np.bincount(strata[contradicted], minlength=len(counts)) / np.maximum(counts, 1)
    out = contradicted[(share[strata[contradicted]] <= CONTRADICTED) & (data.given[contradicted] != 2)]
    return {int(row): fact(Kind.CONTRADICTED) for row in out}


def joined(count: int, group: np.ndarray | None, families: Sequence[np.ndarray]) -> np.ndarray:
    """Return groups (count,) int64 in which every family is whole: two groups with copies of each other become one."""
    group = np.arange(count) if group is None else np.unique(group, return_inverse=True)[1]
    of_family = [group[family] for family in families]
    one = np.concatenate([np.repeat(first[0], len(first) - 1) for first in of_family])
    other = np.concatenate([first[1:] for first in of_family])
    renamed = np.arange(count)
    for family in duplicates.joined(count, one, other):
        renamed[family] = family.min()
    return np.unique(renamed[group], return_inverse=True)[1].astype(np.int64)


def with_found(data: Dataset, group: np.ndarray, group_from: GroupFrom = "names") -> Dataset:
    """Return the data with groups that were found in names or EXIF; copies that were together stay so."""
    if data.group is not None:
        group = joined(len(group), group, duplicates.members(data.group))
    return replace(data, group=group, group_from=group_from)


def _equal_files(data: Dataset) -> list[np.ndarray]:
    """Return the rows of each family of byte-equal files."""
    if data.digests is None:
        return []
    return duplicates.members(data.digests.astype(str))


def _findings(
    data: Dataset, families: Sequence[np.ndarray], how: dict[str, Any], out: np.ndarray
) -> list[Finding]:
    """Return what was done with copies: those on one side, those on several given sides, those under two labels.

    A family on several sides is not on one, so that it is in the second finding alone, or in the third too. The rows
    `out` take no part, and are no copies of what tests.
    """
    if not families:
        return []
    turned = how.get("turned", False)
    side = sides(data.given)
    remaining = [family[~np.isin(family, out)] for family in families]
    in_several = [len(np.unique(side[family])) > 1 for family in remaining]
    unlike = [not turned and _contradicts(data, family) for family in families]
    leaks = [family for family, leak in zip(remaining, in_several, strict=True) if leak]
    conflicts = [family for family, conflict in zip(families, unlike, strict=True) if conflict]
    held = [
        f for f, leak, conflict in zip(families, in_several, unlike, strict=True) if not (leak or conflict)
    ]
    made = []
    if held:
        kind = Kind.DUPLICATE if how["exact"] else Kind.NEAR_DUPLICATE
        made.append(
            _finding(data, kind, held, how | {"sets": len(held)}, sum(map(len, held)), "held_together")
        )
    if leaks:
        shown = [_unlike(family, side) for family in leaks]
        about = {"images": sum(map(len, leaks)), "parts": _leaking(data.given, leaks)}
        made.append(_finding(data, Kind.LEAK, shown, how | about))
    if conflicts:
        made.append(_conflict(data, conflicts, how, out))
    return made


def _finding(
    data: Dataset,
    kind: Kind,
    families: Sequence[np.ndarray],
    about: dict[str, Any],
    count: int | None = None,
    action: Action = "kept",
) -> Finding:
    """Return the finding on families of copies; `count` is their number where it is None."""
    names = tuple(str(name) for name in data.names[np.concatenate(families)[:SHOWN]])  # side by side
    return Finding(
        kind=kind,
        values=about,
        count=len(families) if count is None else count,
        where=names,
        pairs=tuple(tuple(str(name) for name in data.names[family[:2]]) for family in families[:PAIRS]),
        certainty=1.0 if about["exact"] else 0.9,
        action=action,
    )


def _conflict(data: Dataset, families: Sequence[np.ndarray], how: dict[str, Any], out: np.ndarray) -> Finding:
    """Return the finding on one picture under different labels; where rows are left `out`, these are its names."""
    identity = values.of(data.labels).identity(data.labels)
    shown = [_unlike(family, identity) for family in families]
    about: dict[str, Any] = {"images": sum(map(len, families))}
    members = np.concatenate(shown)
    left_out = members[np.isin(members, out)]
    if not len(left_out):
        if not how.get("cropped", False):
            wrong = sum(_surely_wrong(identity[family]) for family in families)
            about["best"] = round(1 - wrong / len(identity), 6)
        return _finding(data, Kind.CONFLICT, shown, how | about)
    about |= {"left_out": len(left_out), **_staying(data, members[~np.isin(members, out)])}
    conflict = _finding(data, Kind.CONFLICT, shown, how | about, action="left_out")
    return replace(conflict, where=tuple(str(name) for name in data.names[left_out[:SHOWN]]))


def _staying(data: Dataset, rows: np.ndarray) -> dict[str, Any]:
    """Return which contradicted images are not left out: how many test, how many do not, and the first names."""
    tested = int((data.given[rows] == PARTS.index("test")).sum())
    names = [str(name) for name in data.names[rows[:STAY]]]
    return {"stay": {"test": tested, "train": len(rows) - tested}, "stay_names": names}


def _leaking(given: np.ndarray, leaks: Sequence[np.ndarray]) -> dict[str, list[int]]:
    """Return by given part how many images have a copy on a side before it, and how many images it has."""
    family_of = np.arange(len(given))
    for family in leaks:
        family_of[family] = family[0]
    return known_images(given, family_of)


def _surely_wrong(identity: np.ndarray) -> int:
    """Return how many of some equal images get a wrong answer, whatever it is: all but those with the commonest label."""
    return len(identity) - int(np.unique(identity, return_counts=True)[1].max())


def _unlike(family: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Return a family with two rows of different values in a column first."""
    other = int(np.flatnonzero(column[family] != column[family[0]])[0])
    return np.concatenate([family[[0, other]], np.delete(family, [0, other])])


def _contradicts(data: Dataset, family: np.ndarray) -> bool:
    labels = data.labels[family]
    return len(np.unique(values.of(labels).identity(labels))) > 1
