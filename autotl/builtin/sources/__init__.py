"""The data sources that come with autotl, a module for each kind; all come through the hook `load_dataset`.

What cannot be used is left out with a reason, never silently; what is guessed is stated with the option that
overrides the guess; what can be read in two ways is refused with a question.

=============  =====================================================================================
folders        class folders, with parts above or inside them (tree: what is there; layout: what it means)
lists          parts by lists beside class folders, such as train.txt and test.txt
inside         tables that lie in a folder with their images, such as Hugging Face's metadata.csv
archives       zip and tar, unpacked into the cache
shards         tar shards in the layout of WebDataset, of which only a sample is read
remote         addresses such as s3://, copied into the cache
sampling       which images of a large set take part
arrow          Parquet with images inside, and `datasets` of Hugging Face saved to disk
in_memory      objects of Python, which become a table beside their images
tables         rows of path and label (table_files: CSV to Excel; columns, resolve, targets: what they mean)
object_sets    sets for detection and segmentation, which are recognised; whole images of them are refused
cuts           their objects, cut out (boxes: what their annotations say)
unlabelled     images without labels, beside those of DATA
assemble       files with labels → `Dataset`
=============  =====================================================================================
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from autotl.builtin.sources import archives, arrow, assemble, folders, remote, shards, table_files, tables
from autotl.builtin.sources.listing import TEST, Choices, Listing, choices_of, like
from autotl.builtin.sources.tree import images_below, is_image
from autotl.errors import DatasetError
from autotl.hookspecs import hookimpl
from autotl.records import Dataset, Kind, LeftOut, fact

__all__ = ["images_below", "load_dataset"]

EXPECTED = (
    "a folder of class folders, a zip or tar of one, tar shards, or a table (CSV, TSV, JSON Lines, Parquet or Excel) with"
    " path and label"
)


@hookimpl(trylast=True)
def load_dataset(source: str, options: dict[str, str]) -> Dataset:
    choices = choices_of(options)
    listing = _of_source(source, choices)
    if choices.test is not None:
        _add_test(listing, choices)
    return assemble.dataset(source, listing, choices)


def _of_source(source: str, choices: Choices, *, is_test: bool = False) -> Listing:
    """Return the files of a path or an address."""
    if not remote.is_address(source):
        return _listing(Path(source), choices, is_test=is_test)
    copy = remote.copied(source, choices)
    listing = _listing(copy.place, replace(choices, away=copy.away), is_test=is_test)
    listing.left_out += copy.left_out
    listing.not_sampled += copy.not_sampled
    listing.reading.insert(0, fact(Kind.READ_REMOTE, source=source, place=str(copy.place)))
    return listing


def _listing(path: Path, choices: Choices, *, is_test: bool = False) -> Listing:
    """Return the files of a source of any kind. Raises `DatasetError`."""
    in_parquet = arrow.shards_of(path)
    if in_parquet:
        return arrow.read(path, in_parquet, choices)
    in_tar = shards.shards_of(path)
    if in_tar:
        return shards.read(path, in_tar, choices)
    if choices.crops and not path.is_dir() and not archives.is_archive(path):
        raise DatasetError(
            f"{path} is no folder; expected one with images and their annotations, because --crops cuts out objects; give"
            " the folder that holds both"
        )
    if path.is_dir():
        return folders.read(path, choices, is_test=is_test)
    if path.is_file() and path.suffix.lower() in table_files.SUFFIXES:
        return tables.read(table_files.read(path, choices.encoding), choices)
    if archives.is_archive(path):
        return _unpacked(path, choices, is_test=is_test)
    if path.is_file() and not is_image(os.fspath(path)) and table_files.is_text_table(path):
        return tables.read(table_files.read(path, choices.encoding), choices)
    if archives.is_foreign(path):
        raise DatasetError(
            f"{path} is a RAR or 7z archive; expected {EXPECTED}; unpack it, and give the folder"
        )
    if path.exists():
        raise DatasetError(
            f"{path} is a single file, expected {EXPECTED}; give the folder above its class folder"
        )
    raise DatasetError(f"{path} does not exist; expected {EXPECTED}; check the path")


def _unpacked(path: Path, choices: Choices, *, is_test: bool) -> Listing:
    """Return the files of an archive."""
    folder, left_out = archives.unpack(path)
    listing = _listing(folder, choices, is_test=is_test)
    listing.left_out += left_out
    listing.reading.insert(0, fact(Kind.READ_UNPACKED, archive=path.name, folder=str(folder)))
    return listing


def _add_test(listing: Listing, choices: Choices) -> None:
    """Add the items of ``--test`` as the test part."""
    folder = choices.test or ""
    if any(item.part == TEST for item in listing.items):
        raise DatasetError(
            f"there are two test parts, one inside the data and --test {folder}; keep one of them"
        )
    like_it = like(listing, choices)
    extra = _of_source(folder, replace(like_it, weight=None), is_test=True)  # nothing is trained on them
    if not extra.items:
        raise DatasetError(f"--test {folder} holds no labelled image; expected {EXPECTED}")
    prefix = Path(os.path.relpath(extra.root.resolve(), listing.root.resolve())).as_posix()
    if extra.target != listing.target:
        raise DatasetError(
            f"--test {folder} looks like {extra.target} and the data like {listing.target}; expected labels of one kind;"
            " name it with --target"
        )
    listing.items += [replace(item, name=f"{prefix}/{item.name}", part=TEST) for item in extra.items]
    listing.left_out += [LeftOut(name=f"{prefix}/{o.name}", reason=o.reason) for o in extra.left_out]
    listing.findings += extra.findings
    listing.not_sampled += extra.not_sampled
    listing.reading += extra.reading
