"""How near the images are to what backbones were trained on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from autotl.errors import AutotlError
from autotl.options import END_SECONDS
from autotl.ranking import similarity
from autotl.records import Settings, Similarity
from autotl.report import wording
from autotl.stages.context import Job

LOOKED_AT = 5.0  # images a second of budget, at most, that the similarity is measured on
LOOKING_SHARE = 0.05  # of the budget, at most, for that


def look(job: Job) -> None:
    """How far the images lie inside the source domains, by the reference backbone on a stratified sample."""
    assert job.journal.state is not None
    domains = {spec.domain for spec in job.journal.state.backbones}
    rows = job.rows(0)[: min(similarity.MOST_IMAGES, int(LOOKED_AT * job.options.budget))]
    offered = job.plugins.backbones(None, Settings(offline=True))
    found: list[Similarity] = []
    with job.ledger.charge("similarity"):
        for reference in similarity.references():
            spec = offered.get(f"autotl:{reference.backbone}")
            if spec is None or reference.domain not in domains:
                continue
            allowance = job.budget.allowance(LOOKING_SHARE * job.options.budget, reserve=END_SECONDS)
            try:
                embedding = job.engine.embed(spec, reference.input_size, rows, allowance)
                with np.load(job.journal.folder / embedding.path, allow_pickle=False) as stored:
                    groups = [stored[f"g{depth}"] for depth in range(embedding.groups)]
                found.append(similarity.similarity(groups, reference, job.profile.side))
            except (AutotlError, ValueError) as error:
                job.notes.append(f"similarity to {reference.domain} was not measured: {error}")
    job.profile = replace(job.profile, similarity=tuple(found))
    for near in found:
        job.journal.say("similarity", wording.similarity(near))
    job.journal.write(profile=job.profile, similarity=job.profile.similarity)
