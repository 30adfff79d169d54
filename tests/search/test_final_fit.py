"""The plan of a final fit: images that were never seen first, then passes, within the seconds that are left."""

from __future__ import annotations

import pytest

from autotl.records import Candidate, Ranked
from autotl.search import final_fit
from autotl.search.cost_model import MARGIN, CostModel

TUNE = Candidate(backbone="b", input_size=64, strategy="tune", unfreeze="all")
PROBE = Candidate(backbone="b", input_size=64, strategy="probe")
READ = 0.002


def costs() -> CostModel:
    entry = Ranked(backbone="b", input_size=64, expected=0.5, rows=800, embedded=800, seconds_per_image=0.01)
    timed = {("b", 64): 0.03}
    return CostModel(ranked=[entry], rows=800, rows_final=1000, rows_select=200, rows_test=100, timed=timed)


@pytest.mark.parametrize("seconds", [60.0, 200.0, 400.0])
def test_a_fit_that_goes_on_takes_new_images_before_a_second_pass(seconds: float) -> None:
    plan = final_fit.continued(costs(), TUNE, seconds, 5.0, 100_000, READ)
    assert plan.more == 1 and 0 < plan.outside < 100_000
    assert 0.9 * seconds < MARGIN * plan.forecast <= seconds
    alone = final_fit.continued(costs(), TUNE, seconds, 5.0, 0, READ)
    assert alone.outside == 0 and alone.forecast < plan.forecast


def test_with_time_for_all_images_there_are_more_passes_over_all() -> None:
    one = final_fit.continued(costs(), TUNE, 250.0, 5.0, 3000, READ)
    assert one.outside == 3000 and one.more == 1
    more = final_fit.continued(costs(), TUNE, 900.0, 5.0, 3000, READ)
    assert more.outside == 3000 and more.more > one.more
    assert MARGIN * more.forecast <= 900.0
    assert final_fit.continued(costs(), TUNE, 1e6, 5.0, 3000, READ).more == 5


def test_without_time_for_a_pass_over_the_sample_there_is_none() -> None:
    plan = final_fit.continued(costs(), TUNE, 10.0, 5.0, 3000, READ)
    assert (plan.more, plan.outside) == (0, 0)


def test_a_head_is_asked_for_all_and_a_training_anew_for_what_fits() -> None:
    head = final_fit.head(costs(), PROBE, 50.0, 100_000, READ)
    assert head.outside == 100_000 and head.forecast == pytest.approx(50.0 / MARGIN, rel=0.05)
    fresh = final_fit.from_the_start(costs(), TUNE, 400.0, 4.0, 100_000, READ)
    assert 0 < fresh.outside < 100_000 and MARGIN * fresh.forecast <= 400.0
