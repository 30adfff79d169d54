"""The import path of plugins: stable names for hooks, records, protocols and errors.

Names here do not move between modules, and change only with `API_VERSION`. A plugin may state the version
it was written for:

    AUTOTL_API_VERSION = 2

autotl then leaves the plugin out, with the reason, where it does not support that version. A plugin that states
none is accepted.
"""

from __future__ import annotations

from autotl.errors import (
    AutotlError,
    DatasetError,
    Declined,
    PluginError,
    UnknownNameError,
    WeightsUnavailable,
)
from autotl.hookspecs import API_VERSION, hookimpl
from autotl.protocols import (
    Belief,
    Checkpoint,
    CostModel,
    DefaultPlanner,
    Engine,
    EngineCall,
    LayerGroup,
    ListingCall,
    ObjectiveCall,
    Planner,
    PlannerCall,
    PlannerFacts,
    Slot,
    SourceCall,
    View,
)
from autotl.records import (
    BackboneSpec,
    Candidate,
    CurvePoint,
    Dataset,
    Event,
    Fact,
    Finding,
    Goal,
    Interval,
    Kind,
    LeftOut,
    Parent,
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
    Unlabelled,
    Weights,
    fact,
)
from autotl.records.head import Head

__all__ = [
    "API_VERSION",
    "AutotlError",
    "BackboneSpec",
    "Belief",
    "Candidate",
    "Checkpoint",
    "CostModel",
    "CurvePoint",
    "Dataset",
    "DatasetError",
    "Declined",
    "DefaultPlanner",
    "Engine",
    "EngineCall",
    "Event",
    "Fact",
    "Finding",
    "Goal",
    "Head",
    "Interval",
    "Kind",
    "LayerGroup",
    "LeftOut",
    "ListingCall",
    "ObjectiveCall",
    "Parent",
    "Part",
    "Phase",
    "Planner",
    "PlannerCall",
    "PlannerFacts",
    "PluginError",
    "Preprocess",
    "Profile",
    "Ranked",
    "Ranking",
    "Score",
    "Settings",
    "Slot",
    "SourceCall",
    "Strategy",
    "Target",
    "Trial",
    "TrialResult",
    "UnknownNameError",
    "Unlabelled",
    "View",
    "Weights",
    "WeightsUnavailable",
    "fact",
    "hookimpl",
]
