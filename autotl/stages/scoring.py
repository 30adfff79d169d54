"""Scoring: the transferability scores of a run, computed on stored features."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from autotl.protocols import ScoreCall
from autotl.ranking import screening
from autotl.records import Embedding, Fact, Kind, Score, fact
from autotl.report.wording import ranking as wording
from autotl.stages.context import RunContext
from autotl.stages.setup import Setup
from autotl.stats.folds import folds_for

LINEAR = "linear"  # the score that a ranking entry's expected value is of
SCORED = 5000  # images that scores are computed on, at most: neighbours cost the square of them


@dataclass(slots=True, kw_only=True)
class Scoring:
    """The scores that a run computes, and what was noted of those that could not be."""

    context: RunContext
    setup: Setup
    scores: list[Score]
    notes: list[Fact] = field(default_factory=list)

    @property
    def most(self) -> int:
        """Return the number of images that scores are computed on, at most."""
        return min(SCORED, self.context.plan.scored_images)

    def on(
        self,
        embedding: Embedding,
        rows: np.ndarray,
        features: np.ndarray,
        logits: np.ndarray | None,
        only: str | None = None,
    ) -> tuple[int, dict[str, float]]:
        """Return how many of `rows` were judged, and the scores of their features (m, d) by name, or `only` one."""
        context, columns = self.context, self.setup.columns
        # The order is stratified, so its beginning represents all rows.
        judged = rows[: self.most]
        labels = columns.labels[judged]
        folds = folds_for(labels, None if columns.group is None else columns.group[judged])
        at = screening.rows_for_scores(labels, self.setup.goal.metric, self.most)
        call = ScoreCall(
            features=features[at],
            labels=labels[at],
            folds=folds[at],
            logits=None if logits is None else logits[at],
        )
        scores = [score for score in self.scores if only in {None, score.name}]
        values, notes = screening.score_features(scores, call, context.plugins.compute)
        for name, note in notes.items():
            noted = replace(note, values={**note.values, "backbone": embedding.backbone})
            self.notes.append(noted)
            context.plugins.blame("register_scores", name, wording.score_problem(noted))
        return len(judged), values


def scoring(context: RunContext, setup: Setup) -> Scoring:
    """Return the scores that the options ask for; those that the kind of target declines are noted."""
    chosen = screening.chosen_scores(context.plugins.scores(), context.options.scores)
    target = setup.columns.target
    declining = screening.declining(chosen, target)
    return Scoring(
        context=context,
        setup=setup,
        scores=[score for score in chosen if score not in declining],
        notes=[fact(Kind.SCORE_DECLINES, score=score.name, target=target) for score in declining],
    )


def stored(context: RunContext, embedding: Embedding) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return rows (m,), the features (m, d) that enter the classifier, and the source head's logits if it has one."""
    with np.load(context.journal.folder / embedding.path, allow_pickle=False) as arrays:
        return arrays["rows"], arrays[f"g{embedding.groups - 1}"], arrays.get("logits")
