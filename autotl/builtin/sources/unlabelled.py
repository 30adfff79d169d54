"""Images without labels, for ``--unlabelled``: every file is an item, or left out with a reason."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from autotl.builtin.sources import archives
from autotl.builtin.sources.assemble import FULL_HASH_BYTES, checked, size_of
from autotl.builtin.sources.listing import Choices, Listing
from autotl.builtin.sources.tree import walk
from autotl.errors import DatasetError
from autotl.records import Dataset, Kind, LeftOut, Unlabelled

EXPECTED = "a folder with images, in folders or not, or a zip or tar of one"


def read(source: str, data: Dataset) -> Unlabelled:
    """Return the images of a folder or archive; those that are items of `data` already are left out.

    Names are relative to the folder of `data`, so that no two items of a run have the same. Raises `DatasetError`.
    """
    path = Path(source)
    if not os.path.exists(path):  # also a text that no path can be, which Path.exists() raises for
        raise DatasetError(f"--unlabelled {path} does not exist; expected {EXPECTED}; check the path")
    listing = Listing(root=path)
    if archives.is_archive(path):
        listing.root, listing.left_out = archives.unpack(path)
    elif not path.is_dir():
        raise DatasetError(f"--unlabelled {path} is a single file; expected {EXPECTED}; give its folder")
    tree = walk(listing.root, Choices(), listing)
    for other in tree.all_others():
        listing.leave_out(other, Kind.NOT_AN_IMAGE)
    labelled = set(map(os.path.realpath, data.files))
    names = []
    for image in tree.all_images():
        if os.path.realpath(listing.root / image) in labelled:
            listing.leave_out(image, Kind.IS_LABELLED)
        else:
            names.append(image)
    files = [os.path.abspath(listing.root / name) for name in names]
    whole = sum(map(size_of, [*data.files, *files])) <= FULL_HASH_BYTES
    with ThreadPoolExecutor(4) as pool:
        contents = list(pool.map(lambda file: checked(file, whole), files))
    good = [number for number, (_, problem, _) in enumerate(contents) if problem is None]
    if not good:
        raise DatasetError(f"--unlabelled {path} holds no image that is not in DATA; expected {EXPECTED}")
    problems = [
        LeftOut(name=name, reason=problem)
        for name, (_, problem, _) in zip(names, contents, strict=True)
        if problem is not None
    ]
    prefix = way_to(listing.root, data)
    return Unlabelled(
        source=source,
        files=np.array([files[number] for number in good], object),
        names=np.array([f"{prefix}/{names[number]}" for number in good], object),
        digests=np.array([contents[number][0] for number in good], object),
        left_out=tuple(
            sorted(
                (
                    LeftOut(name=f"{prefix}/{out.name}", reason=out.reason)
                    for out in (*listing.left_out, *problems)
                ),
                key=lambda out: out.name,
            )
        ),
    )


def way_to(root: str | Path, data: Dataset) -> str:
    """Return the way from the folder that names of `data` are relative to, to another one."""
    place = os.path.abspath(data.root or data.source)
    start = place if os.path.isdir(place) else os.path.dirname(place)
    return os.path.relpath(os.path.realpath(root), os.path.realpath(start)).replace(os.sep, "/")
