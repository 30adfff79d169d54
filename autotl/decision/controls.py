"""Build the controls of a run: no pretraining, no network at all, and shuffled labels (sanity check).

Three controls, each a trial like any other but for its `Trial.control`, so that it never competes:
the winner's own architecture from scratch, a random forest on pixels and colours, and a linear probe on
shuffled labels, which must find nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from autotl.records import BackboneSpec, Candidate, Phase, Ranked, Strategy, Trial, TrialResult

LEAST_SECONDS = 5.0  # a network that trains for less from scratch has learned nothing
PASSES = 100.0  # more than fit: the schedule of the control from scratch follows the clock
SIDE = 16  # pixels, of the images that the random forest sees
TREES = 100
FOREST_SECONDS = 2.0  # less is not enough to begin one: it cannot be interrupted
FOREST_ROWS = 4000  # images that the forest is fitted on, at most

SCRATCH = Strategy(
    name="scratch",
    summary="the same network from random weights, all of it trained",
    phases=(Phase(trains="all", layer_decay=1.0, weight_decay=0.05),),
)
PIXELS = Candidate(backbone="pixels", input_size=SIDE, strategy="random_forest")


def scratch(winner: TrialResult, spec: BackboneSpec, size: int, seed: int) -> tuple[Trial, BackboneSpec]:
    """Return a trial of the winner's architecture at `size` px without its weights, and the spec to build it from."""
    candidate = Candidate(
        backbone=winner.trial.candidate.backbone, input_size=size, strategy=SCRATCH.name, unfreeze="all"
    )
    trial = Trial(id="c-scratch", candidate=candidate, epochs=PASSES, seed=seed, control="scratch")
    return trial, replace(spec, init="random", weights=None)


def shuffled(ranked: Sequence[Ranked], strategies: Sequence[Strategy], rows: int, seed: int) -> Trial | None:
    """Return a closed-form head on shuffled labels, on the cheapest backbone whose features of all `rows` are at hand."""
    closed = [s for s in strategies if s.head and not s.phases]
    whole = [a for a in ranked if a.rows >= rows and a.seconds_per_image is not None]
    if not closed or not whole:
        return None
    entry = min(whole, key=lambda a: (a.seconds_per_image, a.backbone))
    candidate = Candidate(
        backbone=entry.backbone,
        input_size=entry.input_size,
        strategy=closed[0].name,
        hyper=(("labels", "shuffled"),),
    )
    return Trial(id="c-shuffled", candidate=candidate, seed=seed, control="shuffled")


def forest(
    features: np.ndarray, labels: np.ndarray, judged: np.ndarray, classes: int, seed: int
) -> np.ndarray:
    """Return probabilities (m, classes) float32 of `judged` (m, d) by a random forest fitted on `features` (n, d)."""
    from sklearn.ensemble import RandomForestClassifier

    model = RandomForestClassifier(TREES, random_state=seed, class_weight="balanced")
    model.fit(features, labels)
    table = np.zeros((len(judged), classes), np.float32)
    table[:, model.classes_] = model.predict_proba(judged)
    return table
