"""Read what recorded trials show: predictions on the selection rows, scores, and the belief that they update."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import NormalDist

import msgspec
import numpy as np

from autotl.errors import RunError
from autotl.ranking import depth_profile
from autotl.records import Candidate, Columns, Fact, Goal, Interval, Metric, Strategy, TargetName, TrialResult
from autotl.records.encoding import rounded
from autotl.records.result import Case
from autotl.search.belief import Belief
from autotl.search.observations import Selection
from autotl.stats import metrics, values

INCOMPLETE = "predictions do not cover every selection row"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evidence:
    """A candidate's representative trial with its predictions on the selection rows."""

    result: TrialResult
    predicted: (
        np.ndarray
    )  # (m,) class index, or as metrics of the target compare; aligned over all candidates
    fit_time: float  # seconds of all its probes; features count where they were computed
    refused: Fact | None = None  # the limit that its backbone exceeds by what it declares
    exportable: bool = True  # as one network, its head included

    @property
    def name(self) -> str:
        return self.result.trial.candidate.id

    @property
    def candidate(self) -> Candidate:
        return self.result.trial.candidate


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """The selection rows: their labels, groups and the number of classes."""

    labels: np.ndarray
    classes: int
    group: np.ndarray | None = None
    labelled: int | None = None  # images of train and select together; None: these rows are all
    comparisons: int = 1  # made on these rows: the level of each interval is corrected for so many

    @property
    def z(self) -> float:
        """Return the two-sided 95% point of the standard normal, Bonferroni-corrected."""
        return NormalDist().inv_cdf(1 - 0.05 / (2 * max(self.comparisons, 1)))


def selection(part: np.ndarray, folds: int) -> np.ndarray:
    """Return the rows that candidates are judged on: select, or with folds every train row (out-of-fold)."""
    return np.flatnonzero(part == (0 if folds else 1))


def judged_rows(columns: Columns) -> Judged:
    """Return labels and groups of the selection rows."""
    rows = selection(columns.part, columns.folds)
    train = int((columns.part == 0).sum())
    return Judged(
        labels=columns.labels[rows],
        classes=len(columns.classes),
        group=None if columns.group is None else columns.group[rows],
        labelled=None if columns.folds else train + len(rows),
    )


def predicted_labels(
    path: Path, rows: np.ndarray, outputs: int | None = None, target: TargetName = "multiclass"
) -> np.ndarray | None:
    """Return the predictions for `rows` by a file, class indices if they are multiclass; None when one is missing."""
    table = probabilities_of(path, rows, outputs)
    return None if table is None else values.of_kind(target).answers(table)


def probabilities_of(path: Path, rows: np.ndarray, classes: int | None = None) -> np.ndarray | None:
    """Return the table (m, outputs) of `rows` by a predictions file, probabilities of classes or a number in a column.

    None when a row is missing there.
    """
    stored = stored_predictions(path, classes)
    have, probabilities = stored["rows"], stored["proba"]
    if not len(have):
        return None if len(rows) else probabilities
    order = np.argsort(have, kind="stable")
    place = order[np.minimum(np.searchsorted(have, rows, sorter=order), len(have) - 1)]
    return np.asarray(probabilities[place]) if (have[place] == rows).all() else None


def stored_predictions(path: Path, classes: int | None = None) -> dict[str, np.ndarray]:
    """Return the arrays of a predictions file: `rows` (m,), `proba` (m, classes), `fold` (m,).

    Raises `RunError` that names a file which is missing, damaged, or not of so many `classes`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise ValueError("it is compressed, so its size is unknown")
        with np.load(path, allow_pickle=False) as stored:
            arrays = dict(stored)
        rows, proba = arrays["rows"], arrays["proba"]
        if rows.ndim != 1 or rows.dtype.kind not in "iu" or rows.min(initial=0) < 0:
            raise ValueError("its rows are not numbers of items")
        of_classes = not len(rows) or classes in {None, proba.shape[-1]}
        if proba.ndim != 2 or len(proba) != len(rows) or not of_classes or proba.dtype.kind != "f":
            raise ValueError(f"its probabilities have the shape {proba.shape}")
        if len(np.unique(rows)) != len(rows):
            raise ValueError("it has a row twice")
    except FileNotFoundError as error:
        raise RunError(_damaged(path, "is missing")) from error
    except Exception as error:  # zipfile, zlib and numpy raise what they like on a damaged file
        raise RunError(_damaged(path, f"cannot be read ({error or type(error).__name__})")) from error
    return arrays


def _damaged(path: Path, what: str) -> str:
    return f"{path} {what}; expected the predictions of a trial as the run left them; restore the file"


def sealed(result: TrialResult, folder: Path) -> TrialResult:
    """Return the result as it will be read back, floats rounded, with the digest of its predictions.

    The decision is made from what is written, and a predictions file that was changed later is recognised.
    """
    sum_of_file = digest(folder, result.predictions)
    return msgspec.convert(rounded(msgspec.to_builtins(replace(result, digest=sum_of_file))), TrialResult)


def digest(folder: Path, predictions: str | None) -> str | None:
    """Return the digest of a predictions file's contents, None where there is no file."""
    path = None if predictions is None else folder / predictions
    if path is None or not path.is_file():
        return None
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


def score_trial(result: TrialResult, folder: Path, columns: Columns, goal: Goal) -> TrialResult:
    """Return the result with `score_val` from its predictions; without a score when they are not complete."""
    result = sealed(result, folder)
    if result.predictions is None:
        return replace(result, score_val=None)
    rows = selection(columns.part, columns.folds)
    predicted = predicted_labels(folder / result.predictions, rows, len(columns.classes), columns.target)
    if predicted is None:
        return replace(result, score_val=None, error=result.error or INCOMPLETE)
    score = metrics.score(goal.metric, columns.labels[rows], predicted, len(columns.classes))
    return replace(result, score_val=round(score, 6))


def representative_results(results: Sequence[TrialResult]) -> Mapping[str, TrialResult]:
    """Return the result that stands for each candidate, by id: trained longest on most rows, the latest if equal."""
    chosen: dict[str, TrialResult] = {}
    for result in results:
        name = result.trial.candidate.id
        before = chosen.get(name)
        if before is None or _weight(result) >= _weight(before):
            chosen[name] = result
    return chosen


def timed_alike(results: Sequence[TrialResult]) -> list[TrialResult]:
    """Return the results with one latency for each network: the least that was measured.

    Whatever trained its layers, a network of one backbone, input size and number of parameters takes the same time;
    measurements of it differ by what else the machine did.
    """
    least: dict[tuple[object, ...], float] = {}
    keys = [
        (r.trial.candidate.backbone, r.trial.candidate.input_size, r.parameters if r.latency else None)
        for r in results
    ]
    for key, result in zip(keys, results, strict=True):
        if key[-1] is not None and result.latency is not None:
            least[key] = min(result.latency, least.get(key, result.latency))
    return [
        replace(result, latency=least.get(key, result.latency))
        for key, result in zip(keys, results, strict=True)
    ]


def _weight(result: TrialResult) -> tuple[bool, int, float]:
    return (result.score_val is not None, result.trial.rows or 2**62, result.epochs_done)


def exportable(result: TrialResult, strategy: Strategy | None) -> bool:
    """Return whether a trial's model can be exported in every format: a network whose last layer is a linear head."""
    return result.head in {"linear", None} and (strategy is None or strategy.layers == "last")


def selection_images(judged: Judged, goal: Goal) -> Selection:
    """Return the selection images as the belief weighs them."""
    plain = goal.metric == "accuracy"
    return Selection(
        rows=len(judged.labels),
        weights=None if plain else metrics.row_weights(goal.metric, judged.labels, judged.classes),
        cluster=None if judged.group is None else metrics.clusters(judged.group, len(judged.labels)),
    )


def right_answers(result: TrialResult, folder: Path, columns: Columns, metric: Metric) -> np.ndarray | None:
    """Return which selection images a trial answered rightly, (m,) bool; None where that is not recorded.

    Of numbers and sets of labels it is the merit of each image (`autotl.stats.merits`), (m,) floats.
    """
    if result.predictions is None:
        return None
    rows = selection(columns.part, columns.folds)
    labels = columns.labels[rows]
    predicted = predicted_labels(folder / result.predictions, rows, len(columns.classes), columns.target)
    if predicted is None:
        return None
    if columns.target == "multiclass":
        return np.asarray(predicted == labels)
    return metrics.row_values(metric, labels, predicted)


def belief_of(results: Iterable[TrialResult], folder: Path, case: Case) -> Belief:
    """Return the belief that recorded trials give, controls aside."""
    judged = judged_rows(case.columns)
    belief = Belief(
        entries=case.ranking.ranked if case.ranking else (),
        selection=selection_images(judged, case.goal),
        out_of_fold=bool(case.columns.folds),
        recoverable={p.backbone: depth_profile.recoverable(p) for p in case.depth_profiles},
        rows=int((case.columns.part == 0).sum()),
    )
    for result in results:
        if not result.trial.control:
            belief.update(result, right_answers(result, folder, case.columns, case.goal.metric))
    return belief


def paired(one: Evidence, other: Evidence, judged: Judged, goal: Goal) -> Interval:
    """Return the paired difference of two candidates' scores, with its 95% interval, corrected for `comparisons`."""
    difference = metrics.paired_difference(
        goal.metric, judged.labels, one.predicted, other.predicted, judged.classes, judged.group, judged.z
    )
    return Interval(**{name: rounded(getattr(difference, name)) for name in ("value", "low", "high")})


def score(evidence: Evidence, judged: Judged, goal: Goal) -> float:
    """Return a candidate's score on the selection images."""
    return metrics.score(goal.metric, judged.labels, evidence.predicted, judged.classes)


def gap(one: Evidence, other: Evidence, judged: Judged, goal: Goal) -> dict[str, float]:
    """Return the paired difference of two candidates as a fact has it, with the number of images."""
    interval = paired(one, other, judged, goal)
    return gap_of(interval, judged)


def gap_of(interval: Interval, judged: Judged) -> dict[str, float]:
    """Return a difference of scores as a fact has it."""
    return {
        "difference": interval.value,
        "low": interval.low,
        "high": interval.high,
        "images": len(judged.labels),
        "comparisons": judged.comparisons,
    }
