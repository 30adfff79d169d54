"""The import path of plugins: stable names for hooks, records, protocols and errors.

Names here do not move between modules, and change only with `API_VERSION`. A plugin may state the version
it was written for:

    AUTOTL_API_VERSION = 1

autotl then leaves the plugin out, with the reason, where it has another one. A plugin that states none is accepted.
"""

from __future__ import annotations

from autotl.errors import AutotlError, DatasetError, PluginError, UnknownNameError, WeightsUnavailable
from autotl.hookspecs import API_VERSION, hookimpl
from autotl.protocols import CostModel, Engine, Planner, PlannerFacts
from autotl.records import (
    BackboneSpec,
    Candidate,
    CurvePoint,
    Dataset,
    Event,
    Finding,
    Goal,
    LeftOut,
    Part,
    Phase,
    Preprocess,
    Profile,
    Ranked,
    Ranking,
    Score,
    Settings,
    Strategy,
    Target,
    Trial,
    TrialResult,
    Weights,
)
from autotl.records.head import Head

__all__ = [
    "API_VERSION",
    "AutotlError",
    "BackboneSpec",
    "Candidate",
    "CostModel",
    "CurvePoint",
    "Dataset",
    "DatasetError",
    "Engine",
    "Event",
    "Finding",
    "Goal",
    "Head",
    "LeftOut",
    "Part",
    "Phase",
    "Planner",
    "PlannerFacts",
    "PluginError",
    "Preprocess",
    "Profile",
    "Ranked",
    "Ranking",
    "Score",
    "Settings",
    "Strategy",
    "Target",
    "Trial",
    "TrialResult",
    "UnknownNameError",
    "Weights",
    "WeightsUnavailable",
    "hookimpl",
]
