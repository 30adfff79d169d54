"""The values that pass between the stages: frozen, printable, JSON-able, without methods that act.

Scores are fractions from 0 to 1 and higher is better; times are seconds, sizes bytes. Columns that
grow with the data are numpy arrays (they stay in the process, or travel as files); everything else
is encoded by `msgspec` as it stands.
"""

from __future__ import annotations

from autotl.records.data import (
    PARTS,
    Columns,
    Dataset,
    Finding,
    LeftOut,
    Part,
    Profile,
    Similarity,
    Split,
    Target,
)
from autotl.records.decision import (
    Answers,
    Calibration,
    Decision,
    Explained,
    Forecast,
    Interval,
    Prospect,
    Skipped,
)
from autotl.records.facts import Fact, Kind, fact
from autotl.records.ranking import Believed, DepthPoint, DepthProfile, Growth, Ranked, Ranking
from autotl.records.specs import (
    BackboneSpec,
    Goal,
    Metric,
    Phase,
    Prefer,
    Preprocess,
    Score,
    Settings,
    Strategy,
    Weights,
)
from autotl.records.trials import (
    Candidate,
    Charge,
    Control,
    Cost,
    CurvePoint,
    Depth,
    Embedding,
    Event,
    Machine,
    Measurement,
    Status,
    Trial,
    TrialResult,
)

__all__ = [
    "PARTS",
    "Answers",
    "BackboneSpec",
    "Believed",
    "Calibration",
    "Candidate",
    "Charge",
    "Columns",
    "Control",
    "Cost",
    "CurvePoint",
    "Dataset",
    "Decision",
    "Depth",
    "DepthPoint",
    "DepthProfile",
    "Embedding",
    "Event",
    "Explained",
    "Fact",
    "Finding",
    "Forecast",
    "Goal",
    "Growth",
    "Interval",
    "Kind",
    "LeftOut",
    "Machine",
    "Measurement",
    "Metric",
    "Part",
    "Phase",
    "Prefer",
    "Preprocess",
    "Profile",
    "Prospect",
    "Ranked",
    "Ranking",
    "Score",
    "Settings",
    "Similarity",
    "Skipped",
    "Split",
    "Status",
    "Strategy",
    "Target",
    "Trial",
    "TrialResult",
    "Weights",
    "fact",
]
