"""Checks of one transferability score, on made features with known answers."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from unittest import SkipTest

import numpy as np

from autotl.plugins import validation
from autotl.plugins.loading import HEAVY
from autotl.protocols import ScoreCall
from autotl.records import Score
from autotl.stats.folds import folds_for
from autotl.testing.contract import CHECK_SECONDS, SCORE_SECONDS, described, require, resolve


def made_features(
    classes: int = 3, rows: int = 60, width: int = 16, signal: float = 1.5
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features (rows, width) float32 whose class means lie `signal` deviations apart, labels and folds."""
    generator = np.random.default_rng(0)
    labels = np.arange(rows) % classes
    centres = signal * generator.normal(size=(classes, width))
    features = (centres[labels] + generator.normal(size=(rows, width))).astype(np.float32)
    return features, labels, folds_for(labels, None)


def _value(score: Score, features: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> float:
    logits = None
    if score.needs_logits:
        # Made of the features, so that they go with their row into another order.
        width = max(10, int(labels.max()) + 1)
        logits = features @ np.random.default_rng(1).normal(size=(features.shape[1], width)).astype(
            np.float32
        )
        logits[np.arange(len(labels)), labels] += 3.0
    call = ScoreCall(features=features, labels=labels, folds=folds, logits=logits)
    return float(resolve(score.compute)(call))


def _number(score: Score, what: str, features: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> float:
    value = _value(score, features, labels, folds)
    require(math.isfinite(value), f"on {what} it gives {value}; expected a finite number")
    return value


def can_be_computed(score: Score) -> None:
    """Its function can be imported, and called with a `ScoreCall`."""
    flaw = validation.call_flaw(resolve(score.compute), validation.ARGUMENTS["compute"])
    require(flaw is None, f"it {flaw}")


def gives_a_number(score: Score) -> None:
    """Features and labels give a finite number; two classes and features wider than rows do as well."""
    for what, case in {
        "three classes": made_features(),
        "two classes": made_features(classes=2),
        "more columns than rows": made_features(rows=24, width=64),
        "many classes": made_features(classes=20, rows=100),
    }.items():
        _number(score, what, *case)


def survives_odd_data(score: Score) -> None:
    """Constant columns, constant features, or a class with one image give a float, not an exception."""
    features, labels, folds = made_features()
    constant = features.copy()
    constant[:, :4] = 1.0
    single = np.where(np.arange(len(labels)) == 0, 3, labels)
    for case in (
        (constant, labels, folds),
        (np.ones_like(features), labels, folds),
        (features, single, folds),
    ):
        with np.errstate(all="ignore"):
            _value(score, *case)


def higher_is_better(score: Score) -> None:
    """Features that separate the classes score higher than noise, and better separated ones higher still."""
    if score.needs_logits:
        raise SkipTest("it uses the logits of a source classifier; made ones do not test it")
    noise, weak, strong = (
        _number(score, what, *made_features(signal=signal))
        for what, signal in (("noise", 0.0), ("weak features", 0.5), ("strong features", 3.0))
    )
    require(
        noise < weak < strong,
        f"noise scores {noise:.4g}, weak features {weak:.4g}, strong ones {strong:.4g}; expected rising values",
    )


def order_does_not_matter(score: Score) -> None:
    """Rows in another order, or classes with other numbers, give the same value."""
    features, labels, folds = made_features()
    value = _number(score, "three classes", features, labels, folds)
    shuffled = np.random.default_rng(2).permutation(len(labels))
    for what, case in {
        "rows in another order": (features[shuffled], labels[shuffled], folds[shuffled]),
        "classes with other numbers": (features, (labels + 1) % 3, folds),
    }.items():
        if score.needs_logits and what.startswith("classes"):
            continue
        changed = _number(score, what, *case)
        require(
            math.isclose(changed, value, rel_tol=1e-3, abs_tol=1e-4),
            f"{what} give {changed:.6g}; expected {value:.6g} as before",
        )


def repeatable(score: Score) -> None:
    """The same features give the same value, and are not changed."""
    features, labels, folds = made_features()
    kept = features.copy(), labels.copy(), folds.copy()
    first, second = (_number(score, "three classes", features, labels, folds) for _ in range(2))
    require(first == second, f"the same features gave {first:.6g}, then {second:.6g}; seed what is random")
    same = all(np.array_equal(a, b) for a, b in zip((features, labels, folds), kept, strict=True))
    require(same, "it changed the arrays that it received; work on a copy")


def quick(score: Score) -> None:
    """It takes little time and no torch: a run computes it many times."""
    resolve(score.compute)
    case = made_features(classes=10, rows=500, width=512)
    begun, begun_processor = time.monotonic(), time.process_time()
    _value(score, *case)
    # Processor time is right on a busy machine, clock time on an idle one with many threads.
    seconds = min(time.monotonic() - begun, time.process_time() - begun_processor)
    require(
        seconds < SCORE_SECONDS,
        f"500 rows of 512 features took {seconds:.1f} s; expected under {SCORE_SECONDS:g}",
    )
    _require_light(score.compute)


def _require_light(name: str) -> None:
    """Raise `ContractError` when importing the module of ``"module:attr"`` loads torch or the like."""
    module = name.partition(":")[0]
    program = f"import sys, {module}; print(*sys.modules)"
    process = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=CHECK_SECONDS,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    heavy = sorted(set(process.stdout.split()).intersection(HEAVY))
    require(
        not heavy,
        f"importing {module} loads {', '.join(heavy)}; expected numpy: a score is computed without torch",
    )


SCORE: tuple[Callable[[Score], None], ...] = (
    described,
    can_be_computed,
    gives_a_number,
    survives_odd_data,
    higher_is_better,
    order_does_not_matter,
    repeatable,
    quick,
)
