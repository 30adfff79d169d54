"""Measure which pretrained backbone suits a data set, frozen or fine-tuned, and how deep.

    import autotl

    run = autotl.recommend("photos/", budget="10m")
    print(run.recommendation)
    run.leaderboard              # a pandas DataFrame
    run.predict(["new.jpg"])     # path, label, probability, warning, error

Names are found when they are first used, so that ``import autotl`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autotl.embedding import Embeddings, embed
    from autotl.errors import (
        AutotlError,
        BudgetError,
        DatasetError,
        EngineError,
        PluginError,
        RunError,
        UnknownNameError,
        WeightsUnavailable,
    )
    from autotl.hookspecs import hookimpl
    from autotl.run import Run, load, recommend
    from autotl.sklearn import TransferClassifier, TransferRegressor

__version__ = "0.1.0"

__all__ = [
    "AutotlError",
    "BudgetError",
    "DatasetError",
    "Embeddings",
    "EngineError",
    "PluginError",
    "Run",
    "RunError",
    "TransferClassifier",
    "TransferRegressor",
    "UnknownNameError",
    "WeightsUnavailable",
    "__version__",
    "embed",
    "hookimpl",
    "load",
    "recommend",
]

_HOMES = {  # the others: errors
    "Embeddings": "embedding",
    "Run": "run",
    "TransferClassifier": "sklearn",
    "embed": "embedding",
    "TransferRegressor": "sklearn",
    "hookimpl": "hookspecs",
    "load": "run",
    "recommend": "run",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"autotl.{_HOMES.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
