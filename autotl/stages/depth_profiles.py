"""Depth profiles: what the features of the backbones that ranked first know after each layer group."""

from __future__ import annotations

import numpy as np

from autotl import hardware
from autotl.errors import AutotlError
from autotl.options import END_SECONDS
from autotl.ranking import depth_profile
from autotl.records import DepthProfile
from autotl.stages.context import Job
from autotl.stats.folds import folds_for

SHARE = 0.02  # of the budget, at most
MOST = 3  # backbones


def measure_depths(job: Job) -> None:
    """Profiles the first one to three backbones on images whose features are at hand, in what time there is."""
    end = job.budget.left - SHARE * job.options.budget
    found: list[DepthProfile] = []
    longest = 0.0
    with job.ledger.charge("depth profiles"):
        for arm in job.ranking.ranked:
            if arm.backbone in {known.backbone for known in found} or not arm.rows:
                continue
            if len(found) == MOST or job.budget.left - longest <= end:
                break
            begun = job.budget.spent
            rows = job.rows(0)[: min(arm.rows, depth_profile.MOST_ROWS)]
            allowance = job.budget.allowance(SHARE * job.options.budget, reserve=END_SECONDS)
            try:
                embedding = job.engine.embed(job.specs[arm.backbone], arm.input_size, rows, allowance)
                with np.load(job.journal.folder / embedding.path, allow_pickle=False) as stored:
                    have = stored["rows"]
                    groups = [stored[f"g{depth}"] for depth in range(embedding.groups)]
                labels = job.data.labels[have]
                group = None if job.data.group is None else job.data.group[have]
                folds = folds_for(labels, group)
                with hardware.one_thread():
                    found.append(depth_profile.profile(arm.backbone, arm.input_size, groups, labels, folds))
            except (AutotlError, ValueError, np.linalg.LinAlgError) as error:
                job.notes.append(f"no depth profile of {arm.backbone}: {error}")
                continue
            longest = max(longest, job.budget.spent - begun)
    job.journal.write(depth_profiles=tuple(found))
