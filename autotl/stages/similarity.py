"""Similarity: how near the images are to those that the backbones were pretrained on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from autotl.errors import AutotlError
from autotl.ranking import similarity as ranking_similarity
from autotl.records import Kind, Settings, Similarity, fact
from autotl.stages.context import RunContext
from autotl.stages.setup import Setup


def similarity(context: RunContext, setup: Setup) -> tuple[Similarity, ...]:
    """Return the similarity to each source domain that has a reference, measured on a stratified sample.

    A run that is short of time takes over what the run that it continues has.
    """
    plan, journal, earlier = context.plan, context.journal, setup.parts.earlier
    if setup.hurried:
        kept = () if earlier is None else earlier.state.similarity
        journal.record(profile=replace(setup.profile, similarity=kept), similarity=kept)
        return kept
    domains = {spec.domain for spec in setup.offered}
    rows = setup.parts.rows(0)[: min(ranking_similarity.MOST_IMAGES, plan.similarity_images)]
    embedded = context.plugins.backbones(None, Settings(offline=True))
    similarities: list[Similarity] = []
    with context.ledger.charge("similarity"):
        for reference in ranking_similarity.references():
            spec = embedded.get(f"autotl:{reference.backbone}")
            if spec is None or reference.domain not in domains:
                continue
            allowance = context.budget.allowance(plan.similarity, reserve=plan.report)
            try:
                embedding = context.engine.embed(spec, reference.input_size, rows, allowance)
                with np.load(journal.folder / embedding.path, allow_pickle=False) as stored:
                    groups = [stored[f"g{depth}"] for depth in range(embedding.groups)]
                similarities.append(ranking_similarity.similarity(groups, reference, setup.profile.side))
            except (AutotlError, ValueError) as error:
                journal.note(fact(Kind.NO_SIMILARITY, domain=reference.domain, error=str(error)))
    for overlap in similarities:
        values = {name: getattr(overlap, name) for name in ("level", "domain", "value", "low", "high")}
        journal.event("similarity", fact(Kind.SIMILARITY, **values))
    measured = tuple(similarities)
    journal.record(profile=replace(setup.profile, similarity=measured), similarity=measured)
    return measured
