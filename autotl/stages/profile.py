"""Profile: what the data are, and the metric that suits them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from autotl.data import profile as data_profile
from autotl.data import unlabelled as data_unlabelled
from autotl.options import goal_of
from autotl.records import Goal, Kind, Profile, fact
from autotl.stages.context import RunContext
from autotl.stages.split import SplitResult
from autotl.stats.target_kinds import TARGET_KINDS


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileResult:
    """The profile, and the goal that the candidates are judged by."""

    profile: Profile
    goal: Goal


def profile(context: RunContext, parts: SplitResult) -> ProfileResult:
    """Return the profile of the data and the goal of the run."""
    with context.ledger.charge("profile"):
        measured = data_profile.profile(parts.data, parts.decoded.statistics)
        if parts.related is not None:
            measured = replace(measured, related=len(parts.related.usable))
        if parts.unlabelled is not None:
            without, part = parts.unlabelled, parts.split.part
            measured = data_unlabelled.profiled(measured, parts.data, without.decoded, without.copies, part)
    target = TARGET_KINDS[parts.data.targets[0].kind]
    columns = parts.columns
    imbalance = 1.0
    if columns.target == "multiclass":
        chosen_by = columns.labels[np.isin(columns.part, (0, 1))]
        imbalance = data_profile.imbalance(np.bincount(chosen_by, minlength=len(columns.classes)))
    metric = context.options.metric or target.metric(imbalance)
    if context.options.metric is None and metric != target.metric(1.0):
        context.journal.note(fact(Kind.IMBALANCED_METRIC, imbalance=round(imbalance, 6)))
    return ProfileResult(profile=measured, goal=goal_of(context.options, metric))
