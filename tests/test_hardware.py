"""Forecasts and how sure they are."""

from __future__ import annotations

import numpy as np
import pytest

from autotl.search.intervals import within


def test_an_interval_holds_its_forecast_and_narrows_when_forecasts_come_true() -> None:
    low, high = within(1000.0, [])
    assert low < 1000 < high
    closer, farther = within(1000.0, [1.0] * 20), within(1000.0, [0.4, 2.5] * 10)
    assert low < closer[0] and closer[1] < high
    assert farther[0] < low and high < farther[1]


@pytest.mark.parametrize("astray", [0.2, 0.3, 0.6])
def test_four_in_five_lie_inside_whatever_the_machine_is_like(astray: float) -> None:
    generator = np.random.default_rng(0)
    inside = []
    for _ in range(60):
        ratios: list[float] = []
        for taken in np.exp(astray * generator.normal(size=20)):
            low, high = within(1000.0, ratios)
            if len(ratios) >= 5:
                inside.append(low <= 1000 * taken <= high)
            ratios.append(float(taken))
    assert 0.7 <= np.mean(inside) <= 0.92
