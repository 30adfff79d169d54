"""An in-context model for tables as a head: it reads the training rows at every prediction, and no weight is fitted.

TabICL (Qu et al., ICML 2025) is an extra (``pip install 'autotl[tabular]'``), imported where it is used. Its weights
are a file that the environment variable `VARIABLE` names; nothing is downloaded. The head keeps the principal axes of
the features, the training rows on them, and the digest of the weights, which have to be there for predictions, too.
"""

from __future__ import annotations

import hashlib
import os
import weakref
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from autotl import hardware
from autotl.errors import Declined, EngineError
from autotl.protocols import HeadCall
from autotl.records.head import Head
from autotl.stats.folds import stratified_order

__all__ = ["AXES", "ROWS", "VARIABLE", "fit", "logits", "require"]

VARIABLE = "AUTOTL_TABICL"  # path of the checkpoint
AXES = 64  # principal axes of the features, at most
ROWS = 1000  # in the context, at most: a prediction takes time in proportion to them
ENSEMBLE = 4  # orders of columns and classes whose predictions are averaged
_LEAST = 1e-6  # probability of a class, at least

_FITTED: dict[
    int, Any
] = {}  # classifiers, by the identity of the rows that they have read, as long as these live


def fit(call: HeadCall) -> Head:
    """Return the head of the rows in context; rows that weigh more are drawn more often.

    Raises `Declined` without the package or the weights.
    """
    checkpoint = require()
    features, labels, weights = call.features, call.labels, call.weights
    generator = np.random.default_rng(call.seed)
    kept = np.sort(stratified_order(labels, generator)[:ROWS])
    if weights is not None and np.ptp(weights) > 0:
        first = np.unique(labels, return_index=True)[1]  # each class at least once
        drawn = generator.choice(len(labels), min(len(labels), ROWS), p=weights / weights.sum())
        kept = np.sort(np.concatenate([first, drawn]))
    mean = features.mean(0)
    _, _, axes = np.linalg.svd(features[kept] - mean, full_matrices=False)
    axes = axes[:AXES]
    arrays = {
        "mean": mean.astype(np.float32),
        "axes": axes.astype(np.float32),
        "rows": ((features[kept] - mean) @ axes.T).astype(np.float32),
        "labels": labels[kept].astype(np.int64),
        "digest": np.frombuffer(_digest(checkpoint, checkpoint.stat().st_mtime_ns), np.uint8).copy(),
        "seed": np.array(call.seed, np.int64),
    }
    return Head(kind="arrays", arrays=arrays, method="in context", setting=float(len(kept)))


def require() -> Path:
    """Return the checkpoint. Raises `Declined` without it or the package; neither is imported or read."""
    if find_spec("tabicl") is None:
        raise Declined("the package tabicl is not installed; install it with: pip install 'autotl[tabular]'")
    checkpoint = _checkpoint()
    if checkpoint is None:
        raise Declined(
            f"{VARIABLE} is {os.environ.get(VARIABLE)!r}; expected the path of TabICL's checkpoint of a classifier, "
            "which is not downloaded; set it"
        )
    return checkpoint


def logits(features: Any, arrays: dict[str, Any], classes: int) -> Any:
    """Return the logarithms of the probabilities (B, classes) that the model gives features (B, d).

    Raises `EngineError` without the package or the weights that the head was fitted with.
    """
    places = (features - arrays["mean"]) @ arrays["axes"].T
    rows = arrays["rows"]
    if id(rows) not in _FITTED:
        _FITTED[id(rows)] = _classifier(arrays)
        weakref.finalize(rows, _FITTED.pop, id(rows), None)
    classifier = _FITTED[id(rows)]
    answer = np.full((len(features), classes), _LEAST, np.float32)
    with hardware.one_thread():
        answer[:, classifier.classes_] = np.maximum(classifier.predict_proba(places.cpu().numpy()), _LEAST)
    return features.new_tensor(np.log(answer))


def _classifier(arrays: dict[str, Any]) -> Any:
    rows, labels = arrays["rows"].cpu().numpy(), arrays["labels"].cpu().numpy()
    try:
        from tabicl import TabICLClassifier
    except ImportError as error:
        raise EngineError(
            f"the head needs the package tabicl ({error}); pip install 'autotl[tabular]'"
        ) from error
    checkpoint = _checkpoint()
    wanted = bytes(arrays["digest"].cpu().numpy().tolist())
    if checkpoint is None or _digest(checkpoint, checkpoint.stat().st_mtime_ns) != wanted:
        raise EngineError(
            f"{VARIABLE} is {os.environ.get(VARIABLE)!r}; expected the path of the checkpoint that the head was fitted "
            f"with, whose SHA-256 begins with {wanted.hex()[:16]}; set it"
        )
    classifier = TabICLClassifier(
        n_estimators=ENSEMBLE,
        model_path=checkpoint,
        allow_auto_download=False,
        device="cpu",
        random_state=int(arrays["seed"]),
        n_jobs=1,
    )
    with hardware.one_thread():
        classifier.fit(rows, labels)
    return classifier


def _checkpoint() -> Path | None:
    """Return the file that the environment names, None where it names none that is there."""
    text = os.environ.get(VARIABLE, "")
    path = Path(text).expanduser()
    return path if text and path.is_file() else None


@cache
def _digest(path: Path, changed: int) -> bytes:
    """Return the SHA-256 of a file as it was at a time of change."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()
