"""source → Dataset, by whichever plugin understands the source."""

from __future__ import annotations

from autotl.errors import DatasetError
from autotl.plugins import Plugins
from autotl.records import Dataset


def load(source: str, options: dict[str, str], plugins: Plugins) -> Dataset:
    """Labelled items of a source; `options` may hold ``test``, ``group`` and ``label``.

    Raises `DatasetError` when no plugin understands the source, or when it cannot be read.
    """
    data = plugins.load_dataset(source, options)
    if data is None:
        raise DatasetError(
            f"nothing here can read {source}; expected a folder of class folders, a CSV with path and label,"
            " or a source of an installed plugin"
        )
    if not ((data.given == 0) | (data.given == -1)).any():
        raise DatasetError(f"{source} has no image to train on; expected a train part, or no parts at all")
    return data
