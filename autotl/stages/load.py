"""Load: the source becomes labelled items."""

from __future__ import annotations

from autotl.data import load as data_load
from autotl.options import Options, source_options
from autotl.plugins.manager import Plugins
from autotl.records import Dataset
from autotl.search.time_plan import refuse_hopeless


def load(options: Options, plugins: Plugins) -> Dataset:
    """Return the labelled items of the source. No context yet: a source that cannot be read leaves no folder.

    Raises `DatasetError`, and `BudgetError` for a budget that is too small for any run.
    """
    data = data_load.load(options.source, source_options(options), plugins)
    refuse_hopeless(options.budget, len(data.files))
    return data
