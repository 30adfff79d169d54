"""Items without a label: which are copies of labelled ones, and whether they differ from those. numpy only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from autotl import modality
from autotl.builtin.sources import assemble
from autotl.data import duplicates, shift
from autotl.data.profile import unread
from autotl.modality.image_store import Decoded
from autotl.records import PARTS, Dataset, Finding, Kind, Profile, Related, Unlabelled, UnlabelledProfile

SHOWN = 20  # names in a finding
PAIRS = 6  # that are shown as pictures
MOST = 500  # of the items, by which they are compared with the labelled ones
NO_PART = "no part"


def copies_of_labelled(
    data: Dataset, items: Unlabelled | Related, thumbnails: np.ndarray, present: np.ndarray
) -> dict[int, int]:
    """Return the row of the labelled image by the number of each item that is a copy of it.

    Byte-equal, saved again, resized, mirrored or turned. Where there are several the one of a test part counts, because
    learning from a test image makes its score too high. `thumbnails` (n + m, S, S, 3) and `present` (n + m,) are those
    of the labelled images and then of the items.
    """
    count = len(data.files)
    found: dict[int, int] = {}
    if data.digests is not None and items.digests is not None:
        row_of = {str(digest): row for row, digest in enumerate(data.digests) if digest}
        found |= {
            number: row_of[str(digest)]
            for number, digest in enumerate(items.digests)
            if str(digest) in row_of
        }
    rows = np.flatnonzero(present)
    for shown in (thumbnails, duplicates.upright(thumbnails)[0]):
        for family in duplicates.families(shown, rows):
            labelled = family[family < count]
            if len(labelled) and len(labelled) < len(family):
                row = int(labelled[np.argmax(data.given[labelled])])
                found |= {
                    int(item) - count: row
                    for item in family[family >= count]
                    if int(item) - count not in found
                }
    return found


def profiled(
    measured: Profile, data: Dataset, decoded: Decoded, found: Mapping[int, int], part: np.ndarray
) -> Profile:
    """Return the profile of the data with the items that have no label: how many, their sizes, and what is wrong.

    `decoded` is of the items, `found` of `copies_of_labelled`, and `part` (n,) that of the labelled rows: an index into
    PARTS, or -1.
    """
    items = data.unlabelled
    assert items is not None
    usable = decoded.present.copy()
    usable[list(found)] = False
    described = modality.get(data.modality).describe(decoded.statistics)
    profile = UnlabelledProfile(
        images=int(decoded.present.sum()),
        usable=int(usable.sum()),
        left_out=len(items.left_out) + len(decoded.errors),
        **{name: described[name] for name in ("side", "sides", "gray", "bytes")},
    )
    findings = (
        *assemble.left_out(items.left_out),
        *unread(items.names, decoded.present, decoded.errors, Kind.UNLABELLED_NO_TIME),
        *_of_copies(data, items, found, part),
    )
    return replace(measured, unlabelled=profile, findings=(*measured.findings, *findings))


def _of_copies(data: Dataset, items: Unlabelled, found: Mapping[int, int], part: np.ndarray) -> list[Finding]:
    """Return what the copies of labelled images mean."""
    if not found:
        return []
    codes = Counter(int(part[row]) for row in found.values())
    parts = {PARTS[code] if code >= 0 else NO_PART: codes[code] for code in sorted(codes)}
    pairs = tuple((str(items.names[number]), str(data.names[row])) for number, row in sorted(found.items()))
    return [
        Finding(
            kind=Kind.UNLABELLED_COPIES,
            values={"parts": parts},
            count=len(found),
            where=tuple(name for pair in pairs for name in pair)[:SHOWN],
            pairs=pairs[:PAIRS],
            certainty=0.9,
            action="left_out",
        )
    ]


def of_shift(
    data: Dataset,
    items: Unlabelled,
    rows: np.ndarray,
    features: np.ndarray,
    numbers: np.ndarray,
    of_items: np.ndarray,
    *,
    seed: int = 0,
) -> list[Finding]:
    """Return whether features tell the items from the labelled images.

    `features` (k, d) are those of the labelled `rows` that train, `of_items` (l, d) those of the items `numbers`.
    """
    values = np.concatenate([features, of_items])
    without = np.arange(len(values)) >= len(features)
    group = None
    if data.group is not None:
        group = np.concatenate([data.group[rows], data.group.max() + 1 + np.arange(len(numbers))])
    apart = shift.shifted(values, without, np.zeros(len(values), np.int64), group, seed=seed)
    if apart is None:
        return []
    pairs = tuple(
        (str(data.names[rows[other]]), str(items.names[numbers[most - len(features)]]))
        for other, most in zip(apart.other.tolist(), apart.most.tolist(), strict=True)
    )
    return [
        Finding(
            kind=Kind.UNLABELLED_DIFFER,
            values={"area": apart.auc, "p": apart.p},
            count=len(items.files),
            where=tuple(name for pair in pairs for name in pair)[:SHOWN],
            pairs=pairs,
            certainty=0.99,
        )
    ]
