"""Depth profiles: how much of the labels the features show after each layer group, before any training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from autotl import hardware
from autotl.errors import AutotlError
from autotl.ranking import depth_profile, screening
from autotl.records import DepthProfile, Kind, fact
from autotl.stages.context import RunContext
from autotl.stages.rank import RankResult
from autotl.stages.setup import Setup
from autotl.stats.folds import folds_for
from autotl.stats.metrics import clusters

MOST = 3  # backbones


def depth_profiles(context: RunContext, setup: Setup, ranked: RankResult) -> RankResult:
    """Return the ranking with depth profiles of the first backbones, on images whose features are at hand."""
    budget, plan, columns = context.budget, context.plan, setup.columns
    end = budget.left - plan.depth_profiles
    profiles: dict[str, DepthProfile] = {}
    longest = 0.0
    with context.ledger.charge("depth profiles"):
        for entry in ranked.ranking.ranked:
            if entry.backbone in profiles or not entry.rows:
                continue
            if len(profiles) == MOST or budget.left - longest <= max(end, plan.end * setup.slowness):
                break
            begun = budget.spent
            rows = setup.parts.rows(0)[: min(entry.rows, depth_profile.MOST_ROWS)]
            allowance = budget.allowance(plan.depth_profiles, reserve=plan.report)
            try:
                embedding = context.engine.embed(
                    ranked.backbones[entry.backbone], entry.input_size, rows, allowance
                )
                with np.load(context.journal.folder / embedding.path, allow_pickle=False) as stored:
                    stored_rows = stored["rows"]
                    groups = [stored[f"g{depth}"] for depth in range(embedding.groups)]
                labels = columns.labels[stored_rows]
                group = None if columns.group is None else columns.group[stored_rows]
                folds = folds_for(labels, group)
                at = screening.rows_for_scores(labels, setup.goal.metric, depth_profile.MOST_ROWS)
                with hardware.one_thread():
                    profiles[entry.backbone] = depth_profile.profile(
                        entry.backbone,
                        entry.input_size,
                        [features[at] for features in groups],
                        labels[at],
                        folds[at],
                        images=len(labels),
                        cluster=clusters(group, len(labels))[at],
                    )
            except (AutotlError, ValueError, np.linalg.LinAlgError) as error:
                context.journal.note(fact(Kind.NO_DEPTH_PROFILE, backbone=entry.backbone, error=str(error)))
                continue
            longest = max(longest, budget.spent - begun)
    result = replace(ranked, depth_profiles=tuple(profiles.values()))
    context.journal.record(depth_profiles=result.depth_profiles)
    return result
