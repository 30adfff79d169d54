"""What the recommended model answered, image by image, and what is to be learnt from its mistakes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from autotl.decision.conclude import CHECKPOINT
from autotl.decision.evidence import digest, representative_results, selection
from autotl.errors import RunError
from autotl.records import PARTS, Interval, TrialResult
from autotl.records.result import Recommendation, is_probe
from autotl.report.format import percent
from autotl.run_folder import manifest
from autotl.stats import calibration, metrics

BINS = 10  # of confidence, equally wide, as they are drawn
DRAWS = 200  # of made-up answers that say the truth
PAIRS = 8
ORDERED = 12  # more classes than this are drawn in an order that puts confused ones side by side
DRAWN = 100  # more classes than this, and only those with most confusions are drawn


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answers:
    """Predictions with their truth: one row an image."""

    rows: np.ndarray  # (m,) int64, lines of the manifest
    names: np.ndarray  # (m,) object: paths relative to the source
    labels: np.ndarray  # (m,) int64
    proba: np.ndarray  # (m, classes) float32, calibrated as those of `autotl predict` are
    classes: tuple[str, ...]
    model: str  # whose predictions, in words
    images: str  # on which images, in words
    digest: str = ""  # of the predictions file
    shipped: bool = False  # whether the model that gave them is the one in the run folder

    @property
    def predicted(self) -> np.ndarray:
        return np.asarray(self.proba.argmax(1))

    @property
    def confidence(self) -> np.ndarray:
        return np.asarray(self.proba.max(1))

    @property
    def right(self) -> np.ndarray:
        return np.asarray(self.predicted == self.labels)


def answers(result: Recommendation, folder: Path) -> Answers | None:
    """The winner's predictions on the test part if there are some, else on what it was chosen by.

    None when there is no winner, or when manifest or predictions are not in the folder.
    """
    if result.winner is None:
        return None
    try:
        table = manifest.read(folder / "manifest.csv")
        labels = table.labels(result.data.classes)
    except (RunError, KeyError):
        return None
    own = [
        r for r in result.trials if r.trial.candidate.id == result.winner.candidate and not r.trial.control
    ]
    temperature = 1.0 if result.calibration is None else result.calibration.temperature
    read = partial(_read, folder, table, labels, result.data.classes, temperature)
    refitted = bool(result.options.get("refit"))  # what ships is a twin that saw the test images too
    tested = next((r for r in reversed(own) if "test" in r.trial.evaluate_on), None)
    if tested is not None and result.winner.score_test is not None:
        rows = np.flatnonzero(table.part == PARTS.index("test"))
        model = "the probe that ships" if tested.trial.id == "tested" else "the model of this run"
        on = f"{len(rows):,} test images that no choice has seen"
        found = read(tested, rows, model, on, shipped=not refitted)
        if found is not None:
            return found
    probe = representative_results([r for r in own if is_probe(r)]).get(result.winner.candidate)
    if probe is None:
        return None
    folds = result.data.folds
    rows = selection(table.part, folds)
    if folds:
        on = f"{len(rows):,} training images, each judged by one of {folds} fits that had not seen it"
        return read(probe, rows, "the winning recipe", on)
    on = f"the {len(rows):,} images that candidates were chosen on"
    return read(probe, rows, "the winner's probe", on, shipped=result.winner.model_is == CHECKPOINT)


def _read(
    folder: Path,
    table: manifest.Manifest,
    labels: np.ndarray,
    classes: tuple[str, ...],
    temperature: float,
    trial: TrialResult,
    rows: np.ndarray,
    model: str,
    images: str,
    *,
    shipped: bool = False,
) -> Answers | None:
    if trial.predictions is None or not len(rows):
        return None
    try:
        with np.load(folder / trial.predictions, allow_pickle=False) as stored:
            have, proba = stored["rows"], stored["proba"]
    except (OSError, ValueError, KeyError):
        return None
    kept = np.isin(have, rows)
    if proba.shape[1:] != (len(classes),) or not kept.any():
        return None
    have, proba = have[kept], np.nan_to_num(proba[kept])
    return Answers(
        rows=have,
        names=table.names[have],
        labels=labels[have],
        proba=calibration.apply(proba, temperature).astype(np.float32),
        classes=classes,
        model=model,
        images=images,
        digest=digest(folder, trial.predictions) or "",
        shipped=shipped,
    )


# --------------------------------------------------------------------------- what they show


def confused(found: Answers) -> list[dict[str, Any]]:
    """The pairs of classes that are most often taken for each other, most first."""
    table = metrics.confusion(found.labels, found.predicted, len(found.classes))
    support = table.sum(1)
    wrong = table - np.diag(np.diag(table))
    order = np.argsort(-wrong, axis=None, kind="stable")[:PAIRS]
    pairs = []
    for flat in order:
        true, taken = divmod(int(flat), len(found.classes))
        if wrong[true, taken] == 0:
            break
        pairs.append(
            {
                "true": found.classes[true],
                "taken": found.classes[taken],
                "count": int(wrong[true, taken]),
                "share": percent(wrong[true, taken] / support[true], 0),
                "back": int(wrong[taken, true]),
            }
        )
    return pairs


def by_class(found: Answers) -> list[dict[str, Any]]:
    """Recall with interval, precision, F1 and support of each class that has images, worst recall first."""
    table = metrics.confusion(found.labels, found.predicted, len(found.classes))
    lines = []
    for number, name in enumerate(found.classes):
        support, claimed, hits = int(table[number].sum()), int(table[:, number].sum()), table[number, number]
        if not support:
            continue
        recall = certain(found.right[found.labels == number])
        precision = hits / claimed if claimed else None
        f1 = 2 * hits / (support + claimed)
        lines.append(
            {
                "name": name,
                "support": support,
                "recall": recall,
                "precision": None if precision is None else float(precision),
                "f1": float(f1),
            }
        )
    return sorted(lines, key=lambda line: (line["recall"].value, line["name"]))


def certain(right: np.ndarray) -> Interval:
    """The share of True with its 95 % interval."""
    return metrics.interval("accuracy", np.ones(len(right), np.int64), right.astype(np.int64), 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """How far stated confidence is what it says: by bin, and expected calibration error."""

    bins: tuple[tuple[float, Interval, int], ...]  # mean confidence, share right, images
    ece: float  # expected calibration error, as `autotl.stats.calibration` measures it
    chance: float  # what it exceeds once in twenty times where every probability is true
    over: float  # mean confidence minus share right: above 0 it is too sure of itself


def reliability(found: Answers) -> Reliability:
    """Ten bins of equal width; empty ones are left out (Guo et al., ICML 2017)."""
    confidence, right = found.confidence.astype(float), found.right
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    bins = [
        (float(confidence[place == number].mean()), certain(right[place == number]), int(count))
        for number, count in enumerate(np.bincount(place, minlength=BINS))
        if count
    ]
    return Reliability(
        bins=tuple(bins),
        ece=calibration.expected_error(found.proba, found.labels),
        chance=_by_chance(found.proba),
        over=float(confidence.mean() - right.mean()),
    )


def _by_chance(proba: np.ndarray) -> float:
    """The 95 % quantile of the calibration error of answers that are right as often as they say."""
    generator = np.random.default_rng(0)
    confidence, answer = proba.max(1), proba.argmax(1)
    other = (answer + 1) % proba.shape[1]
    drawn = [
        calibration.expected_error(proba, np.where(generator.random(len(proba)) < confidence, answer, other))
        for _ in range(DRAWS)
    ]
    return float(np.quantile(drawn, 0.95))


def worst(found: Answers, most: int) -> np.ndarray:
    """Places (k,) of the wrong answers that were given with most confidence, against the truth."""
    wrong = np.flatnonzero(~found.right)
    lead = found.confidence[wrong] - found.proba[wrong, found.labels[wrong]]
    return np.asarray(wrong[np.argsort(-lead, kind="stable")][:most])


def puzzling(found: Answers, most: int) -> np.ndarray:
    """Places (k,) of the answers most worth an explanation: the most wrong, then the least sure of the right ones."""
    wrong, right = worst(found, most), np.flatnonzero(found.right)
    unsure = right[np.argsort(found.confidence[right], kind="stable")]
    return np.asarray(np.concatenate([wrong, unsure])[:most])


def drawn_classes(table: np.ndarray) -> np.ndarray:
    """Which classes a confusion matrix draws, and in which order.

    Few: all, as they come. Many: ordered by the second eigenvector of the graph of confusions, so that
    classes taken for each other are neighbours. Too many: only those with most confusions.
    """
    wrong = (table - np.diag(np.diag(table))).astype(float)
    both = wrong + wrong.T
    chosen = np.arange(len(table))
    if len(table) > DRAWN:
        chosen = np.sort(np.argsort(-both.sum(1), kind="stable")[:DRAWN])
    if len(table) <= ORDERED:
        return chosen
    near = both[np.ix_(chosen, chosen)] + 1e-3
    laplacian = np.diag(near.sum(1)) - near
    return np.asarray(chosen[np.argsort(np.linalg.eigh(laplacian)[1][:, 1], kind="stable")])
