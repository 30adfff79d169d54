"""source → Dataset, by whichever plugin understands the source."""

from __future__ import annotations

import numpy as np

from autotl.errors import DatasetError
from autotl.plugins import Plugins
from autotl.records import Dataset


def load(source: str, options: dict[str, str], plugins: Plugins) -> Dataset:
    """Labelled items of a source; `options` may hold ``test``, ``group`` and ``label``.

    Raises `DatasetError` when no plugin understands the source, when it cannot be read, or when what a
    plugin returned is not consistent.
    """
    data = plugins.load_dataset(source, options)
    if data is None:
        raise DatasetError(
            f"nothing here can read {source}; expected a folder of class folders, a CSV with path and label,"
            " or a source of an installed plugin"
        )
    rows = len(data.files)
    columns = {"names": data.names, "labels": data.labels, "given": data.given, "group": data.group}
    uneven = [name for name, column in columns.items() if column is not None and len(column) != rows]
    if uneven:
        raise DatasetError(
            f"the plugin that read {source} gave {rows} files but another number of {uneven[0]}"
        )
    if (
        len(data.classes) < 2
        or data.labels.min(initial=0) < 0
        or data.labels.max(initial=0) >= len(data.classes)
    ):
        raise DatasetError(
            f"the plugin that read {source} gave labels that do not fit its {len(data.classes)} classes"
        )
    if len(np.unique(data.names.astype(str))) != rows:
        raise DatasetError(f"the plugin that read {source} gave two images one name; expected unique names")
    if not ((data.given == 0) | (data.given == -1)).any():
        raise DatasetError(f"{source} has no image to train on; expected a train part, or no parts at all")
    return data
