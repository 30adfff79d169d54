from __future__ import annotations

import numpy as np
import pytest

from autotl.data.naive import naive


def _tracks() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features by which an image's track is recognised, those by which its class is, and the tracks."""
    generator = np.random.default_rng(0)
    labels = np.arange(240) % 4
    track = (np.arange(240) // 4 // 6) * 4 + labels  # six frames each, of one class
    of_track = 3 * generator.normal(size=(track.max() + 1, 60))[track]
    of_class = 2.0 * np.eye(4, 60)[labels]
    noise = generator.normal(size=(2, 240, 60))
    return of_track + 0.3 * noise[0], of_class + noise[1], track


def test_a_random_split_prefers_what_recognises_tracks_and_the_comparison_says_what_that_loses() -> None:
    by_track, by_class, track = _tracks()
    features = {"remembers": by_track, "generalises": by_class}
    compared = naive(features, np.arange(240) % 4, track, np.zeros(240, bool), "accuracy")
    assert compared.by_random == "remembers" and compared.by_own == "generalises"
    assert compared.random["remembers"] > 0.9 > compared.own["remembers"] + 0.3
    assert compared.lost is not None and compared.lost.low > 0
    assert np.isclose(compared.lost.value, compared.own["generalises"] - compared.own["remembers"], atol=1e-5)


def test_one_backbone_loses_nothing() -> None:
    _, by_class, track = _tracks()
    compared = naive({"one": by_class}, np.arange(240) % 4, track, np.zeros(240, bool), "accuracy")
    assert compared.lost is None and compared.by_random == compared.by_own == "one"


def test_rows_that_take_no_part_train_in_the_random_split_and_are_scored_in_none() -> None:
    _, by_class, _ = _tracks()
    labels = np.arange(240) % 4
    out = np.arange(240) < 40
    labels[out] = (labels[out] + 1) % 4  # contradictions
    compared = naive({"one": by_class}, labels, None, out, "accuracy")
    assert compared.random["one"] < compared.own["one"]
    for score in (compared.random["one"], compared.own["one"]):
        assert score * 200 == pytest.approx(round(score * 200))
