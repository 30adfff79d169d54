"""The table of kinds of target: what it names exists."""

from __future__ import annotations

import importlib
from typing import get_args, get_type_hints

import numpy as np
import pytest

from autotl.records import Metric, Target
from autotl.stats import metrics
from autotl.stats.target_kinds import TARGET_KINDS, TargetKind


def test_it_holds_every_kind_of_target_and_every_metric() -> None:
    assert set(TARGET_KINDS) == set(get_args(get_type_hints(Target)["kind"]))
    assert {metric for kind in TARGET_KINDS.values() for metric in kind.metrics} == set(get_args(Metric))


@pytest.mark.parametrize("kind", TARGET_KINDS.values(), ids=list(TARGET_KINDS))
@pytest.mark.torch
def test_what_it_names_can_be_imported(kind: TargetKind) -> None:
    for name in (kind.head, kind.loss, kind.section):
        module, _, attribute = name.partition(":")
        assert callable(getattr(importlib.import_module(module), attribute))


def test_its_metrics_are_computed() -> None:
    labels = np.array([0, 1, 1])
    for metric in TARGET_KINDS["multiclass"].metrics:
        assert metrics.score(metric, labels, labels, 2) == 1.0


def test_imbalanced_classes_have_another_default_metric() -> None:
    kind = TARGET_KINDS["multiclass"]
    assert kind.metric(10.0) == "accuracy" and kind.metric(10.1) == "balanced_accuracy"
