"""What a training is forecast to cost: by what was timed, by what others took, and for a whole run."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from autotl.builtin.strategies import STRATEGIES
from autotl.records import Candidate, Cost, Depth, Kind, Phase, Ranked, Strategy, Trial, TrialResult, fact
from autotl.search import forecast
from autotl.search import planner as search_planner
from autotl.search.cost_model import MOVED, CostModel, images_read
from autotl.search.forecast import foresee

ARM = Ranked(backbone="a", input_size=128, expected=0.7, rows=800, seconds_per_image=0.003)
FACTS = search_planner.Facts(
    rows=800, rows_final=1000, rows_select=200, rows_test=200, timed={("a", 128): 0.0096}
)


def recipe(depth: Depth, backbone: str = "a") -> Candidate:
    return Candidate(backbone=backbone, input_size=128, strategy="fine_tune", unfreeze=depth)


def cost_model() -> CostModel:
    ranked = [ARM, replace(ARM, backbone="b")]
    return CostModel(
        ranked=ranked, rows=800, rows_final=1000, rows_select=200, rows_test=200, timed={("a", 128): 0.0096}
    )


def took(candidate: Candidate, seconds: float, epochs: float = 10.0) -> TrialResult:
    trial = Trial(id="t", candidate=candidate, epochs=epochs)
    cost = Cost(backward=seconds)
    return TrialResult(trial=trial, status="finished", epochs_done=epochs, cost=cost, score_val=0.8)


def test_a_timed_recipe_is_forecast_by_its_own_batches() -> None:
    known = cost_model()
    guess = known.probe(recipe(1), 10)
    known.measured(recipe(1), 0.02)
    assert known.is_measured(recipe(1)) and not known.is_measured(recipe(2))
    assert known.probe(recipe(1), 10) > 2 * guess
    assert known.probe(recipe(1), 20) == pytest.approx(2 * known.probe(recipe(1), 10), rel=0.05)
    assert known.is_measured(recipe("all"))  # timed before the search


def test_what_was_timed_tells_how_far_the_ranking_was_off_for_other_backbones() -> None:
    """The ranking reads its few images before the faster precision is known."""
    head = Candidate(backbone="b", input_size=128, strategy="linear_probe")
    few = [replace(ARM, embedded=64), replace(ARM, backbone="b", embedded=64)]
    facts = {"ranked": few, "rows": 800, "rows_final": 1000, "rows_select": 200, "rows_test": 200}
    ranking_alone = CostModel(**facts)
    timed = CostModel(**facts, predicted={("a", 128): 0.001})
    assert timed.probe(head, 0) < 0.7 * ranking_alone.probe(head, 0)
    own = replace(head, backbone="a")
    assert timed.probe(own, 0) < timed.probe(head, 0), "what it took itself counts in full"
    assert timed.fit(head, 0) < ranking_alone.fit(head, 0), "so it does for the test images"


def test_features_that_were_read_faster_make_those_of_others_cheaper() -> None:
    known = CostModel(
        ranked=[replace(ARM, embedded=64), replace(ARM, backbone="b", embedded=64)],
        rows=800, rows_final=1000, rows_select=200, rows_test=200,
    )  # fmt: skip
    head, other = (Candidate(backbone=name, input_size=128, strategy="linear_probe") for name in "ab")
    before = known.probe(other, 0)
    cost = Cost(decode=0.2, forward=0.8, other=0.5)
    known.tell(TrialResult(trial=Trial(id="t", candidate=head), status="finished", cost=cost, score_val=0.8))
    assert known.probe(other, 0) < 0.8 * before
    assert known.probe(head, 0) < 1.0, "its own features are stored"


def test_an_untimed_depth_lies_between_a_forward_pass_and_the_whole() -> None:
    known = cost_model()
    depths: tuple[Depth, ...] = (0, 1, 2, "all")
    costs = [known.probe(recipe(depth), 10) for depth in depths]
    assert set(depths) == set(MOVED) and costs == sorted(costs) and costs[0] > 800 * 10 * 0.003


def test_what_trainings_took_moves_the_likest_most() -> None:
    known = cost_model()
    before = {c: known.probe(c, 10) for c in (recipe(1), recipe(2), recipe(1, "b"))}
    for _ in range(5):
        known.tell(took(recipe(1), 2 * before[recipe(1)]))
    ratios = [known.probe(c, 10) / before[c] for c in before]
    assert 1.8 < ratios[0] <= 2.0 and ratios == sorted(ratios, reverse=True) and ratios[2] > 1.5


def test_one_slow_moment_does_not_double_every_forecast() -> None:
    known = cost_model()
    before = known.probe(recipe(1, "b"), 10)
    known.tell(took(recipe(1), 2 * known.probe(recipe(1), 10)))
    assert known.probe(recipe(1, "b"), 10) == pytest.approx(math.sqrt(2) * before)


def test_a_head_is_fitted_again_as_long_as_it_was_fitted() -> None:
    known = cost_model()
    head = Candidate(backbone="a", input_size=128, strategy="linear_probe")
    before = known.fit(head, 0.0)
    for _ in range(2):  # of the first alone nothing is learned: it had libraries to load
        known.tell(took(head, 8.0, epochs=0.0))
    assert known.fit(head, 0.0) > before + 8.0
    assert known.final(head, 0.0) > known.fit(head, 0.0)


def test_a_whole_run_is_foreseen_within_its_time_and_changes_nothing() -> None:
    planner = search_planner.DefaultPlanner(ranked=[ARM], strategies=STRATEGIES, facts=FACTS)
    whole = foresee(planner, spent=20.0, left=280.0, ends=3.0, controls=30.0, peak=10**9)
    assert 20 < whole.seconds_low <= whole.seconds <= whole.seconds_high <= 303
    assert 10**9 <= whole.bytes_low <= whole.bytes <= whole.bytes_high
    assert not planner.results and not planner.asked


def test_a_search_that_goes_on_after_the_trials_of_a_rehearsal_is_foreseen_to_use_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On many slots the first trials are one round, whose end is not that of the search."""
    planner = search_planner.DefaultPlanner(ranked=[ARM], strategies=STRATEGIES, facts=FACTS)
    assert forecast.rehearse(planner, 250.0, 0.2) < 250.0
    monkeypatch.setattr(forecast, "LONGEST", 1)
    assert forecast.rehearse(planner, 250.0, 0.2) == 250.0


def test_a_trial_that_is_taken_back_can_be_asked_again() -> None:
    planner = search_planner.DefaultPlanner(ranked=[ARM], strategies=STRATEGIES, facts=FACTS)
    first = planner.ask(200.0)
    assert first is not None
    planner.take_back(first)
    assert planner.ask(200.0) == first


def test_views_of_images_without_a_label_cost_as_much_as_those_with_one() -> None:
    beside = Phase(objective="m:f", unlabelled=("light", "strong"))
    adapting = Phase(trains="none", norm="adapt", data="unlabelled", share=0.25)
    known = cost_model()
    plain = known.probe(recipe("all"), 10)
    known.read = {"fine_tune": images_read(Strategy(name="s", summary="s", phases=(beside,)))}
    assert known.probe(recipe("all"), 10) == pytest.approx(3 * plain, rel=0.05)
    assert images_read(Strategy(name="s", summary="s", phases=(Phase(share=0.75), adapting))) == 1.0


def test_a_head_that_gets_images_without_a_label_waits_for_their_features_once() -> None:
    known = cost_model()
    head = replace(recipe(0), strategy="pseudo_labels")
    plain = known.probe(head, 0)
    known.beside = {"pseudo_labels": 500}
    assert known.probe(head, 0) == pytest.approx(plain + 500 * ARM.seconds_per_image)
    known.tell(replace(took(head, 0.1), trial=Trial(id="t", candidate=head, epochs=0.0)))
    assert known.probe(head, 0) < plain + 1.0


def test_a_head_that_had_no_time_for_all_images_leaves_the_others_to_be_read() -> None:
    known = cost_model()
    head = replace(recipe(0), strategy="linear_probe")
    done = replace(took(head, 0.1, epochs=0.0), notes=(fact(Kind.FEWER_ROWS, rows=300, of=800),))
    known.tell(done)
    missing = 500 * (ARM.seconds_per_image or 0)
    assert known.probe(replace(head, strategy="knn"), 0) > missing
    assert known.fit(head, 0.0) > missing
    known.tell(replace(done, notes=()))
    assert known.probe(replace(head, strategy="knn"), 0) < missing
