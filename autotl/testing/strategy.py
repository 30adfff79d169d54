"""Checks of one strategy, and of the head that it names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import SkipTest

import numpy as np

from autotl.plugins import validation
from autotl.records import Strategy
from autotl.records.head import Head
from autotl.report.wording import sentences
from autotl.testing.contract import described, require, resolve
from autotl.testing.score import made_features

HeadOf = str | Strategy  # "module:attr" of a head's function, or the strategy that names it


def _head(value: HeadOf, classes: int, case: tuple[np.ndarray, np.ndarray, np.ndarray], seed: int) -> Head:
    """Return the head that is fitted on the rows of a case."""
    strategy = Strategy(name="head", summary="", head=value) if isinstance(value, str) else value
    width = case[0].shape[1]
    more = ((width // 2, width - width // 2),) if strategy.layers == "all" else ()
    fit = resolve(str(strategy.head))
    head = fit(*case[:2], classes, case[2], seed, np.ones(len(case[0])), *more)
    flaw = validation.head_flaw(head, classes, width, trained=bool(strategy.phases), predict=strategy.predict)
    require(flaw is None, f"it {flaw}")
    return head  # type: ignore[no-any-return]


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
    """It can be imported, and called with features, labels, classes, folds, seed and weights, in this order."""
    strategy = Strategy(name="head", summary="", head=value) if isinstance(value, str) else value
    flaw = validation.call_flaw(resolve(str(strategy.head)), validation.head_arguments(strategy))
    require(flaw is None, f"it {flaw}")
    if strategy.predict is not None:
        flaw = validation.call_flaw(resolve(strategy.predict), validation.PREDICT_ARGUMENTS)
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


def resolves(strategy: Strategy) -> None:
    """The head that it names, if any, can be imported."""
    if strategy.head is not None:
        resolve(strategy.head)


def _trained(strategy: Strategy, depth: Any, classes: int = 3) -> tuple[float, list[bool]]:
    from autotl.engine.check_support import train_toy

    result, accuracy, moved = train_toy(strategy, depth, 8.0 if strategy.phases else 0.0, classes=classes)
    problem = result.error or "; ".join(sentences(result.notes))
    require(
        result.status == "finished",
        f"a small training with depth {depth!r} {result.status}: {problem}; expected it to finish",
    )
    return accuracy, moved


def learns(strategy: Strategy) -> None:
    """A small training finishes with more than chance accuracy, with two classes and with three."""
    depth = 0 if strategy.head_only else "all"
    for classes in (2, 3):
        accuracy, _ = _trained(strategy, depth, classes)
        require(
            accuracy > 1.2 / classes,
            f"after a training on {classes} plain colours its accuracy is {accuracy:.0%}; expected more than chance",
        )


def depths(strategy: Strategy) -> None:
    """Depth k trains the last k layer groups and no other; where the head alone trains, the backbone stays."""
    if not strategy.head_only and not strategy.depths:
        raise SkipTest("it has no depth")
    for depth in (1, 2, "all") if strategy.depths else (0,):
        _, moved = _trained(strategy, depth)
        count = len(moved)
        expected = [depth == "all" or index >= count - int(depth) for index in range(count)]
        require(
            moved == expected,
            f"with depth {depth!r} the layer groups that changed are {_numbers(moved)} of {count}; expected "
            f"{_numbers(expected)}: a phase that trains 'k' follows the depth",
        )


def _numbers(flags: list[bool]) -> str:
    return ", ".join(str(number) for number, flag in enumerate(flags, start=1) if flag) or "none"


STRATEGY: tuple[Callable[[Strategy], None], ...] = (described, resolves, learns, depths)
