"""Checks of the head that a strategy names, on made features."""

from __future__ import annotations

from collections.abc import Callable
from unittest import SkipTest

import numpy as np

from autotl.errors import Declined
from autotl.plugins import validation
from autotl.protocols import HeadCall
from autotl.records import Strategy
from autotl.records.head import Head
from autotl.testing.contract import require, resolve
from autotl.testing.score import made_features

HeadOf = str | Strategy  # "module:attr" of a head's function, or the strategy that names it


def _head(value: HeadOf, classes: int, case: tuple[np.ndarray, np.ndarray, np.ndarray], seed: int) -> Head:
    """Return the head that is fitted on the rows of a case."""
    strategy = Strategy(name="head", summary="", head=value) if isinstance(value, str) else value
    features, labels, folds = case
    width = features.shape[1]
    call = HeadCall(
        features=features,
        labels=labels,
        classes=classes,
        folds=folds,
        seed=seed,
        weights=np.ones(len(labels)),
        widths=(width // 2, width - width // 2) if strategy.layers == "all" else (),
        text=_text(classes, case) if strategy.needs_text else None,
        factor=10.0,
        unlabelled=features[::2] if strategy.needs_unlabelled else None,
    )
    fit = resolve(str(strategy.head))
    try:
        head = fit(call)
    except Declined as reason:
        raise SkipTest(str(reason)) from reason
    flaw = validation.head_flaw(head, classes, width, trained=bool(strategy.phases), predict=strategy.predict)
    require(flaw is None, f"it {flaw}")
    return head  # type: ignore[no-any-return]


def _text(classes: int, case: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
    """Return features (classes, d) as of a text tower: those of the rows of a class, or unlike all rows."""
    features, labels, _ = case
    own = [features[labels == label] for label in range(classes)]
    text = np.stack([rows.mean(0) if len(rows) else -features.mean(0) for rows in own])
    return np.asarray(text / (np.linalg.norm(text, axis=1, keepdims=True) + 1e-12), np.float32)


def _fitted(
    value: HeadOf, classes: int, case: tuple[np.ndarray, np.ndarray, np.ndarray], seed: int = 0
) -> np.ndarray:
    """Return the probabilities (rows, classes) of the rows that a head was fitted on."""
    from autotl.engine.check_support import probabilities

    head = _head(value, classes, case, seed)
    table = probabilities(head, classes, case[0], _predict(value))
    require(np.isfinite(table).all(), "its probabilities hold values that are not finite; expected numbers")
    require(
        table.shape == (len(case[0]), classes),
        f"its probabilities have the shape {table.shape}; expected {(len(case[0]), classes)}",
    )
    return table


def _predict(value: HeadOf) -> str | None:
    return None if isinstance(value, str) else value.predict


def takes_arguments(value: HeadOf) -> None:
    """It can be imported, and called with a `HeadCall`."""
    strategy = Strategy(name="head", summary="", head=value) if isinstance(value, str) else value
    flaw = validation.call_flaw(resolve(str(strategy.head)), validation.ARGUMENTS["head"])
    require(flaw is None, f"it {flaw}")
    if strategy.predict is not None:
        flaw = validation.call_flaw(resolve(strategy.predict), validation.ARGUMENTS["predict"])
        require(flaw is None, f"predict {strategy.predict!r} {flaw}")


def learns_classes(value: HeadOf) -> None:
    """On well separated classes its accuracy is 90% or more, with two classes and with many."""
    for classes in (2, 3, 10):
        case = made_features(classes=classes, rows=100, signal=3.0)
        accuracy = float((_fitted(value, classes, case).argmax(1) == case[1]).mean())
        require(
            accuracy >= 0.9,
            f"with {classes} well separated classes its accuracy is {accuracy:.0%}; expected 90% or more",
        )


def unseen_classes(value: HeadOf) -> None:
    """A class without a row keeps its place, and is not predicted."""
    case = made_features(classes=3, signal=3.0)
    predicted = set(_fitted(value, 5, case).argmax(1).tolist())
    require(predicted <= {0, 1, 2}, f"it predicts classes {sorted(predicted - {0, 1, 2})} that no row had")


def few_rows(value: HeadOf) -> None:
    """It can be fitted on one row a class, on constant columns, and on more columns than rows."""
    features, labels, folds = made_features(rows=12, width=64)
    constant = features.copy()
    constant[:, ::2] = 0.0
    for case in ((features[:3], labels[:3], folds[:3]), (constant, labels, folds), (features, labels, folds)):
        with np.errstate(all="ignore"):
            _fitted(value, 3, case)


def same_seed_same_head(value: HeadOf) -> None:
    """The same rows and seed give the same head, and the features are not changed."""
    case = made_features()
    kept = case[0].copy()
    first, second = _fitted(value, 3, case, seed=3), _fitted(value, 3, case, seed=3)
    require(np.array_equal(first, second), "the same rows and seed gave two heads; use the seed")
    require(np.array_equal(case[0], kept), "it changed the features that it received; work on a copy")


def saved_and_read(value: HeadOf) -> None:
    """Saved and read again its head gives the same logits, for one row alone as for all rows together."""
    from autotl.engine.check_support import read_again

    case = made_features(signal=3.0)
    before, after, alone = read_again(_head(value, 3, case, 0), 3, case[0][:20], _predict(value))
    require(
        np.array_equal(before, after),
        "its head gave other logits after it was saved and read again; expected all that it needs in its arrays",
    )
    require(
        np.allclose(before, alone, atol=1e-3),
        "its head gave other logits for a row alone than among others; expected each row by itself",
    )


HEAD: tuple[Callable[[HeadOf], None], ...] = (
    takes_arguments,
    learns_classes,
    unseen_classes,
    few_rows,
    same_seed_same_head,
    saved_and_read,
)
