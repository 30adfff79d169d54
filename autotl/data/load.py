"""source → Dataset, by whichever plugin understands the source."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from autotl.builtin.sources import unlabelled
from autotl.data import related
from autotl.data.domains import FEWEST_IMAGES, MOST
from autotl.errors import DatasetError
from autotl.plugins import provenance
from autotl.plugins.manager import Plugins
from autotl.records import Dataset
from autotl.records.result import Guest


def load(source: str, options: dict[str, str], plugins: Plugins, guests: Iterable[Guest] = ()) -> Dataset:
    """Return the labelled items of a source; `options` may hold those of `autotl.options.READING`.

    `guests` are the plugins of a run whose data the source may be like. Raises `DatasetError` when no plugin
    understands the source, or when it cannot be read; the message names the guest that is missing here.
    """
    try:
        data = plugins.load_dataset(source, options)
    except DatasetError as error:
        if not (absent := provenance.absent_reader(guests)):
            raise
        raise DatasetError(f"{absent}, if {source} is its source. Without it: {error}") from error
    if data is None:
        raise DatasetError(
            f"nothing here can read {source}; expected a folder of class folders, a CSV with path and label,"
            " or a source of an installed plugin"
        )
    asked = options.get("label", "").split("\n")
    if len(data.targets) < len(asked):
        raise DatasetError(
            f"{source} has one label an image, so that it has no column {asked[len(data.targets)]!r}; expected a table"
            " with a column for each --label; list the images in a CSV, or name one column"
        )
    if not ((data.given == 0) | (data.given == -1)).any():
        raise DatasetError(f"{source} has no image to train on; expected a train part, or no parts at all")
    if data.domain is not None:
        _require_domains(data.domain, data.domains, options.get("domain", ""))
    targets = tuple(replace(target, classes=_as_text(target.classes)) for target in data.targets)
    data = replace(data, targets=targets)
    return _with_unlabelled(data, options["unlabelled"]) if "unlabelled" in options else data


def _require_domains(domain: np.ndarray, names: tuple[str, ...], asked: str) -> None:
    """Raise `DatasetError` for domains that are too many, or too small, to be scored one by one."""
    counts = np.bincount(domain[domain >= 0], minlength=len(names))
    few = next(
        (f"{name!r} {count}" for name, count in zip(names, counts, strict=True) if count < FEWEST_IMAGES),
        None,
    )
    if 2 <= len(names) <= MOST and few is None:
        return
    found = f"{len(names)} domains" if few is None else f"{len(names)} domains, of which {few} images"
    raise DatasetError(
        f"--domain {asked!r} gives {found}; expected 2 to {MOST}, each of {FEWEST_IMAGES} images or more; name another"
        " column, or --group for persons, tracks and the like"
    )


def _with_unlabelled(data: Dataset, folder: str) -> Dataset:
    """Return the data with the images of a folder that have no label; another folder has another fingerprint."""
    items = unlabelled.read(folder, data)
    digests = map(str, items.digests if items.digests is not None else items.names)
    return replace(data, unlabelled=items, fingerprint=_with(data.fingerprint, digests))


def with_related(data: Dataset, source: str, plugins: Plugins) -> Dataset:
    """Return the data with the labelled images of another source. Raises `DatasetError` as `related.read` does."""
    items = related.read(source, data, plugins)
    digests = items.digests if items.digests is not None else items.files
    return replace(
        data,
        related=items,
        findings=(*data.findings, *items.findings),
        fingerprint=_with(data.fingerprint, map(str, digests)),
    )


def _with(fingerprint: str, digests: Iterable[str]) -> str:
    """Return the fingerprint of data with more items; none stays none."""
    lines = [fingerprint, *sorted(digests)]
    digest = hashlib.blake2b("\n".join(lines).encode("utf-8", "surrogateescape"), digest_size=16)
    return digest.hexdigest() if fingerprint else ""


def _as_text(classes: tuple[str, ...]) -> tuple[str, ...]:
    r"""Return names of classes that every file of a run can hold: bytes that are no UTF-8 become ``\xe9``."""
    return tuple(
        name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace") for name in classes
    )
