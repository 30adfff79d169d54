"""What a domain that nothing was trained on is answered, by features that are of use in the others."""

from __future__ import annotations

import numpy as np

from autotl.data.domains import MOST, left_out


def places() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features, labels and domains, of which the last shows the classes in a column of its own."""
    generator = np.random.default_rng(0)
    labels, group = np.arange(240) % 2, np.arange(240) // 80
    features = generator.normal(size=(240, 20))
    features[np.arange(240), np.where(group == 2, 1, 0)] += 5.0 * (labels - 0.5)
    return features, labels, group + 7


def test_a_domain_of_its_own_is_answered_worse_when_it_is_left_out() -> None:
    first, second, last = left_out(*places(), "accuracy")
    assert [domain.group for domain in (first, second, last)] == [7, 8, 9] and last.images == 80
    assert last.score.value < 0.7 < last.mixed and last.score.low < last.score.value < last.score.high
    assert first.score.value > last.score.value + 0.3


def test_groups_that_are_too_many_or_too_small_are_no_domains() -> None:
    features, labels, group = places()
    assert not left_out(features, labels, np.zeros(240, np.int64), "accuracy")
    assert not left_out(features, labels, np.arange(240) // (240 // (MOST + 3)), "accuracy")
    assert not left_out(features, labels, np.where(np.arange(240) < 5, 3, group), "accuracy")


def test_numbers_are_judged_by_their_metric() -> None:
    features, _, group = places()
    found = left_out(features, features[:, 2] * 3 + 10, group, "r2")
    assert len(found) == 3 and min(domain.score.value for domain in found) > 0.8
