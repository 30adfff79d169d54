from __future__ import annotations

import numpy as np
import pytest

from autotl.builtin.strategies import STRATEGIES
from autotl.decision import controls, transfer
from autotl.decision.evidence import Evidence, Judged
from autotl.records import BackboneSpec, Candidate, Cost, Goal, Ranked, Trial, TrialResult, Weights
from autotl.records.facts import Kind
from autotl.report import wording

GOAL = Goal()
ROWS = 200


def judged(classes: int = 4) -> Judged:
    return Judged(labels=np.arange(ROWS) % classes, classes=classes)


def timed(accuracy: float, seconds: float, name: str = "a", strategy: str = "linear_probe") -> transfer.Timed:
    """A candidate that answers the first share of the rows rightly."""
    labels = judged().labels
    predicted = np.where(np.arange(ROWS) < accuracy * ROWS, labels, (labels + 1) % 4)
    candidate = Candidate(backbone=name, input_size=64, strategy=strategy)
    result = TrialResult(trial=Trial(id=strategy, candidate=candidate), status="finished", cost=Cost())
    return transfer.Timed(
        evidence=Evidence(result=result, predicted=predicted, fit_time=seconds), seconds=seconds
    )


def test_the_gain_is_measured_at_equal_seconds() -> None:
    short, long = timed(0.8, 5.0), timed(0.95, 60.0, strategy="fine_tune")
    found, said = transfer.gain(
        [short, long], timed(0.5, 10.0, strategy="scratch"), "a@64/linear_probe", judged(), GOAL
    )
    assert found is not None
    assert found.value == pytest.approx(0.3)
    assert found.low < 0.3 < found.high
    assert said is not None and said.kind is Kind.PRETRAINING_GAIN
    assert (said.values["seconds"], said.values["scratch_seconds"]) == (5.0, 10.0)
    assert "difference +30.0 points" in wording.sentence(said)


def test_negative_transfer_is_called_by_its_name() -> None:
    found, said = transfer.gain([timed(0.5, 5.0)], timed(0.8, 10.0), "a@64/linear_probe", judged(), GOAL)
    assert found is not None and found.high < 0
    assert said is not None and "negative transfer" in wording.sentence(said)


def test_a_control_that_learnt_nothing_says_nothing() -> None:
    found, said = transfer.gain([timed(0.9, 5.0)], timed(0.25, 10.0), "a@64/linear_probe", judged(), GOAL)
    assert found is None
    assert said is not None and said.kind is Kind.PRETRAINING_UNKNOWN


def test_where_no_candidate_was_as_quick_the_quickest_stands_for_pretraining() -> None:
    found, said = transfer.gain(
        [timed(0.7, 30.0), timed(0.9, 90.0, strategy="fine_tune")],
        timed(0.5, 10.0),
        "a@64/linear_probe",
        judged(),
        GOAL,
    )
    assert found is not None and found.value == pytest.approx(0.2)
    assert said is not None and said.values["seconds"] == 30.0


def test_signal_in_shuffled_labels_is_a_warning() -> None:
    assert not transfer.shuffled(timed(0.26, 1.0).evidence, judged(), GOAL).values["above"]
    warning = transfer.shuffled(timed(0.6, 1.0).evidence, judged(), GOAL)
    assert warning.values["above"] and wording.sentence(warning).startswith("warning:")


def test_the_scratch_control_has_no_weights() -> None:
    winner = timed(0.9, 1.0).evidence.result
    weights = Weights(kind="file", location="w.safetensors")
    trial, spec = controls.scratch(winner, BackboneSpec(name="a", build="m:b", weights=weights), 64, 3)
    assert (spec.init, spec.weights) == ("random", None)
    assert (trial.control, trial.candidate.unfreeze, trial.seed) == ("scratch", "all", 3)


def test_labels_are_shuffled_for_the_cheapest_backbone_that_saw_everything() -> None:
    def arm(name: str, rows: int, seconds: float) -> Ranked:
        return Ranked(backbone=name, input_size=64, expected=0.5, rows=rows, seconds_per_image=seconds)

    ranked = [arm("slow", 100, 0.01), arm("part", 50, 0.001), arm("quick", 100, 0.002)]
    trial = controls.shuffled(ranked, STRATEGIES, 100, 0)
    assert trial is not None and trial.candidate.backbone == "quick" and trial.control == "shuffled"
    assert controls.shuffled(ranked[1:2], STRATEGIES, 100, 0) is None


def test_a_forest_tells_colours_apart_without_a_network() -> None:
    generator = np.random.default_rng(0)
    labels = np.arange(80) % 2
    features = generator.random((80, 30)).astype(np.float32)
    features[:, 4] += labels
    table = controls.forest(features[:60], labels[:60], features[60:], 3, 0)
    assert table.shape == (20, 3)
    assert (table[:, 2] == 0).all()
    assert (table.argmax(1) == labels[60:]).mean() > 0.9
