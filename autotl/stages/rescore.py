"""Rescore: the linear probes that were tried, cross-validated on all train images before the choice is made.

The ranking read few images of most backbones. By the end of the search the features of more are stored, and their
cross-validation says more of a frozen head than the selection images alone, of which there are fewer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from autotl.errors import AutotlError
from autotl.ranking.screening import grown
from autotl.records import Ranked
from autotl.stages.context import RunContext
from autotl.stages.scoring import LINEAR, scoring, stored
from autotl.stages.setup import Setup
from autotl.stages.tried import Tried


def rescore(context: RunContext, setup: Setup, tried: Tried) -> Tried:
    """Return and record the trials with a ranking whose entries have their scores on all train images, if stored."""
    if setup.columns.folds:
        return tried  # the trials themselves are judged on the train images
    with context.ledger.charge("rescore"):
        known = {(entry.backbone, entry.input_size): entry for entry in _rescored(context, setup, tried)}
    ranking = replace(
        tried.ranking,
        ranked=tuple(known.get((e.backbone, e.input_size), e) for e in tried.ranking.ranked),
    )
    context.journal.record(ranking=ranking)
    return replace(tried, ranking=ranking)


def _rescored(context: RunContext, setup: Setup, tried: Tried) -> Iterator[Ranked]:
    """Yield the entries with new scores, those of the best frozen heads first, as long as there is time."""
    budget, plan = context.budget, context.plan
    made, rows = scoring(context, setup), setup.parts.rows(0)
    end = budget.left - plan.rescore
    for entry in _fitted(tried):
        if entry.rows >= min(len(rows), made.most):
            continue
        if budget.left <= end or entry.backbone not in setup.backbones:
            return
        allowance = budget.allowance(plan.rescore, reserve=plan.end)
        try:
            embedding = context.engine.embed(
                setup.backbones[entry.backbone], entry.input_size, rows[: made.most], allowance
            )
        except AutotlError:
            continue  # the features were there a moment ago, and a choice is made without them too
        judged, values = made.on(embedding, *stored(context, embedding))
        if judged > entry.rows and LINEAR in values:
            yield replace(
                entry,
                expected=round(grown(values[LINEAR], judged, len(rows)), 6),
                rows=judged,
                scores=tuple((name, round(value, 6)) for name, value in sorted(values.items())),
            )


def _fitted(tried: Tried) -> list[Ranked]:
    """Return the ranking entries on whose features a head was fitted, the best head first."""
    best: dict[tuple[str, int], float] = {}
    for result in tried.probes:
        candidate = result.trial.candidate
        if not result.trial.epochs and result.score_val is not None:
            key = (candidate.backbone, candidate.input_size)
            best[key] = max(best.get(key, 0.0), result.score_val)
    entries = [e for e in tried.ranking.ranked if (e.backbone, e.input_size) in best]
    return sorted(entries, key=lambda e: -best[e.backbone, e.input_size])
