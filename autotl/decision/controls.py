"""Build the controls of a run: no pretraining, no network at all, and shuffled labels (sanity check).

Each is a trial like any other but for its `Trial.control`, so that it never competes: the winner's own
architecture from scratch, trained for two lengths; a random forest and a ridge regression on pixels and a ridge
regression on gradients; and a permutation test of the labels on a backbone's features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from autotl.records import (
    BackboneSpec,
    Candidate,
    Control,
    Metric,
    Phase,
    Ranked,
    Strategy,
    Trial,
    TrialResult,
)
from autotl.records.facts import Kind, fact
from autotl.stats import metrics, ridge, values
from autotl.stats.folds import folds_for
from autotl.stats.permutation import Permuted

FEWEST_EPOCHS = 10.0  # of the network from scratch: after fewer it says nothing of what it could reach
HALF_SHARE = 1 / 3  # of the seconds of the network from scratch: its training of half the length
PASSES = 100.0  # more than fit: the schedule of the control from scratch follows the clock
TREES = 100
ONE_THIRD = 1 / 3  # of the features are tried for a split of numbers, as is usual (Breiman 2001)
BY_HAND_SECONDS = 2.0  # less is not enough to begin one: it cannot be interrupted
BY_HAND_ROWS = 4000  # images that one is fitted on, at most

SCRATCH = Strategy(
    name="scratch",
    summary="the same network from random weights, all of it trained",
    phases=(Phase(trains="all", layer_decay=1.0, weight_decay=0.05),),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ByHand:
    """A baseline without a network: a classifier on simple features."""

    control: Control
    features: str  # of `Modality.by_hand`
    side: int  # pixels, of the images that they are computed on
    strategy: str
    fit: Callable[[np.ndarray, np.ndarray, np.ndarray, Fitting], np.ndarray]

    @property
    def trial(self) -> Trial:
        """Return the trial of this baseline."""
        candidate = Candidate(backbone=self.features, input_size=self.side, strategy=self.strategy)
        return Trial(id=f"c-{self.control}", candidate=candidate, control=self.control)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitting:
    """The settings of a baseline's fit."""

    metric: Metric
    classes: int
    seed: int = 0
    group: np.ndarray | None = None  # (n,) of the rows that are fitted on
    weight: np.ndarray | None = None  # (n,) of these rows, as the data give them


def forest(features: np.ndarray, labels: np.ndarray, judged: np.ndarray, how: Fitting) -> np.ndarray:
    """Return probabilities (m, classes) float32 of `judged` (m, d) by a random forest fitted on `features` (n, d).

    Of numbers and sets of labels they are the means of the leaves.
    """
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    kind = values.of(labels)
    if not isinstance(kind, values.Classes):
        trees = RandomForestRegressor(TREES, random_state=how.seed, max_features=ONE_THIRD)
        targets = kind.targets(labels, how.classes)
        trees.fit(features, targets if targets.shape[1] > 1 else targets[:, 0], how.weight)
        return np.asarray(trees.predict(judged), np.float32).reshape(len(judged), -1)
    weighting = None if how.metric == "accuracy" else "balanced"
    model = RandomForestClassifier(TREES, random_state=how.seed, class_weight=weighting)
    model.fit(features, labels, how.weight)
    table = np.zeros((len(judged), how.classes), np.float32)
    table[:, model.classes_] = model.predict_proba(judged)
    return table


def linear(features: np.ndarray, labels: np.ndarray, judged: np.ndarray, how: Fitting) -> np.ndarray:
    """Return scores (m, classes) float32 of `judged` (m, d) by a ridge regression on `features` (n, d)."""
    kind = values.of(labels)
    if not isinstance(kind, values.Classes):
        return _linear_values(features, labels, judged, how)
    present, place = np.unique(labels, return_inverse=True)
    deviation = features.std(0)
    mean, scale = features.mean(0), np.where(deviation > 1e-6, deviation, 1.0)
    x = ((features - mean) / scale).astype(np.float64)
    weights = metrics.fitting_weights(how.metric, labels, how.weight)
    left_out = ridge.left_out(x, place, folds_for(place, how.group), weights)
    best = int(np.argmax([np.average(scores.argmax(1) == place, weights=weights) for scores in left_out]))
    weight, bias = ridge.fit(x, place, best, weights)
    table = np.full((len(judged), how.classes), -1.0, np.float32)
    table[:, present] = ((judged - mean) / scale) @ weight.T + bias
    return table


def _linear_values(features: np.ndarray, labels: np.ndarray, judged: np.ndarray, how: Fitting) -> np.ndarray:
    kind = values.of(labels)
    weights = np.ones(len(labels)) if how.weight is None else how.weight / how.weight.mean()
    mean, deviation = features.mean(0), features.std(0)
    scale = np.where(deviation > 1e-6, deviation, 1.0)
    x = ((features - mean) / scale).astype(np.float64)
    centre = np.average(x, 0, weights)
    x -= centre
    targets = kind.targets(labels, how.classes)
    usual = np.average(targets, 0, weights)
    root = np.sqrt(weights)[:, None]
    left_out = ridge.left_out_targets(
        root * x, root * (targets - usual), folds_for(labels, how.group), root=root
    )
    scores = [
        metrics.score(how.metric, labels, kind.answers(table / root + usual), how.classes)
        for table in left_out
    ]
    weight = ridge.fit_targets(root * x, root * (targets - usual), int(np.argmax(scores)))
    return np.asarray(((judged - mean) / scale - centre) @ weight.T + usual, np.float32)


BY_HAND = (  # the quickest first
    ByHand(control="pixels_ridge", features="pixels", side=16, strategy="ridge", fit=linear),
    ByHand(control="gradients", features="gradients", side=48, strategy="ridge", fit=linear),
    ByHand(control="pixels", features="pixels", side=16, strategy="random_forest", fit=forest),
)


def scratch(
    winner: TrialResult, spec: BackboneSpec, size: int, seed: int, *, half: bool = False
) -> tuple[Trial, BackboneSpec]:
    """Return a trial of the winner's architecture at `size` px without its weights, and the spec to build it from.

    Its training of half the length shows whether the other one has converged.
    """
    candidate = Candidate(
        backbone=winner.trial.candidate.backbone,
        input_size=size,
        strategy=SCRATCH.name,
        unfreeze="all",
        hyper=(("length", "half"),) if half else (),
    )
    control: Control = "scratch_half" if half else "scratch"
    trial = Trial(
        id="c-scratch-half" if half else "c-scratch",
        candidate=candidate,
        epochs=PASSES,
        seed=seed,
        control=control,
    )
    return trial, replace(spec, init="random", weights=None)


def shuffled_on(ranked: Sequence[Ranked], winner: Candidate, rows: int) -> Ranked | None:
    """Return the backbone that labels are shuffled for: the winner's, else the cheapest whose features are at hand."""
    whole = [entry for entry in ranked if entry.embedded >= rows and entry.seconds_per_image is not None]
    own = [e for e in whole if (e.backbone, e.input_size) == (winner.backbone, winner.input_size)]
    return min(own or whole, key=lambda e: (e.seconds_per_image, e.backbone), default=None)


def shuffled(entry: Ranked, found: Permuted, seed: int) -> TrialResult:
    """Return the result of a permutation test as a control: its score is the chance level."""
    candidate = Candidate(
        backbone=entry.backbone,
        input_size=entry.input_size,
        strategy="linear_probe",
        hyper=(("labels", "shuffled"),),
    )
    low, high = np.quantile(found.shuffled, (0.025, 0.975)).tolist()
    note = fact(
        Kind.SHUFFLED_LABELS,
        features=f"{entry.backbone}@{entry.input_size}",
        score=found.score,
        chance=found.chance,
        low=low,
        high=high,
        p=found.p,
        permutations=len(found.shuffled),
        images=found.rows,
    )
    return TrialResult(
        trial=Trial(id="c-shuffled", candidate=candidate, seed=seed, control="shuffled"),
        status="finished",
        notes=(note,),
    )
