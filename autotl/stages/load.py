"""Load: the source becomes labelled items."""

from __future__ import annotations

from autotl.data import load as data_load
from autotl.errors import UnknownNameError
from autotl.options import Options, source_options
from autotl.plugins.manager import Plugins
from autotl.records import Dataset
from autotl.search.time_plan import refuse_hopeless
from autotl.stats.target_kinds import TARGET_KINDS


def load(options: Options, plugins: Plugins) -> Dataset:
    """Return the labelled items of the source. No context yet: a source that cannot be read leaves no folder.

    Raises `DatasetError`, `BudgetError` for a budget that is too small for any run, and `UnknownNameError` for a metric
    that labels of this kind have not.
    """
    data = data_load.load(options.source, source_options(options), plugins)
    if options.related is not None:
        data = data_load.with_related(data, options.related, plugins)
    refuse_hopeless(options.budget, len(data.files))
    refuse_metric(options, data)
    return data


def refuse_metric(options: Options, data: Dataset) -> None:
    """Raise `UnknownNameError` for a metric that labels of this kind have not."""
    target = data.targets[0].kind
    if options.metric is not None and options.metric not in TARGET_KINDS[target].metrics:
        raise UnknownNameError(f"metric of {target} labels", options.metric, TARGET_KINDS[target].metrics)
