from __future__ import annotations

import numpy as np
import pytest

from autotl.decision.best_probability import HELD, Outlook, outlook, still_open
from autotl.decision.decide import Evidence, Judged
from autotl.records import Candidate, Depth, Goal, Ranked, Ranking, Trial, TrialResult

ROWS = 200
JUDGED = Judged(labels=np.arange(ROWS) % 4, classes=4)


def evidence(backbone: str, right: float, unfreeze: Depth = 0) -> Evidence:
    predicted = np.where(np.arange(ROWS) < right * ROWS, JUDGED.labels, (JUDGED.labels + 1) % 4)
    strategy = "fine_tune" if unfreeze else "linear_probe"
    candidate = Candidate(backbone=backbone, input_size=96, strategy=strategy, unfreeze=unfreeze)
    trial = Trial(id=backbone, candidate=candidate, epochs=6.0 if unfreeze else 0.0)
    result = TrialResult(trial=trial, status="finished", epochs_done=trial.epochs)
    return Evidence(result=result, predicted=predicted, fit_time=1.0)


def ranking(**accuracies: float) -> Ranking:
    return Ranking(
        ranked=tuple(
            Ranked(
                backbone=name, input_size=96, expected=value, prior=0.6, rows=400, scores=(("linear", value),)
            )
            for name, value in accuracies.items()
        )
    )


FIELD = [evidence("a", 0.8), evidence("a", 0.86, 2)]


def chances(field: list[Evidence], known: Ranking, strategies: list[str]) -> dict[str, float]:
    seen = outlook(field, known, JUDGED, Goal(), False, strategies)
    assert isinstance(seen, Outlook)
    return dict(seen.chances)


def test_chances_are_those_of_one_winner_among_all_recipes() -> None:
    likely = chances(FIELD, ranking(a=0.8, b=0.78, c=0.4), ["fine_tune"])
    assert sum(likely.values()) == pytest.approx(1.0)
    assert len(likely) == 3 * 4
    assert list(likely.values()) == sorted(likely.values(), reverse=True)
    assert likely["b@96/fine_tune:2"] > likely["c@96/fine_tune:2"]
    assert likely["a@96/fine_tune:2"] > likely["a@96/linear_probe"]


def test_the_same_run_gives_the_same_chances() -> None:
    known = ranking(a=0.8, b=0.78)
    assert chances(FIELD, known, []) == chances(FIELD, known, [])


def test_what_is_open_holds_with_what_was_tried_nearly_all_of_the_probability() -> None:
    likely = chances(FIELD, ranking(a=0.8, b=0.79, c=0.3), ["fine_tune"])
    tried = [e.name for e in FIELD]
    opened = still_open(likely, tried[1:], tried)
    assert opened and not {one.candidate for one in opened} & set(tried)
    held = sum(likely[name] for name in tried) + sum(one.chance for one in opened)
    assert held >= HELD
    assert held - opened[-1].chance < HELD, "and no recipe more than that"


def test_where_everything_was_tried_nothing_is_open() -> None:
    field = [evidence("a", 0.8), *(evidence("a", 0.82, depth) for depth in (1, 2, "all"))]  # type: ignore[arg-type]
    likely = chances(field, ranking(a=0.8), ["fine_tune"])
    assert still_open(likely, (), [e.name for e in field]) == ()


@pytest.mark.parametrize(("metric", "out_of_fold"), [("macro_f1", False), ("accuracy", True)])
def test_no_chance_is_named_where_the_ranking_speaks_of_something_else(
    metric: str, out_of_fold: bool
) -> None:
    goal = Goal(metric=metric)  # type: ignore[arg-type]
    assert outlook(FIELD, ranking(a=0.8), JUDGED, goal, out_of_fold, ["fine_tune"]) is None


def test_how_far_the_winner_may_be_behind_is_never_less_than_nothing() -> None:
    seen = outlook(FIELD, ranking(a=0.8, b=0.79), JUDGED, Goal(), False, ["fine_tune"])
    assert seen is not None
    frozen, tuned = (seen.behind[e.name] for e in FIELD)
    assert 0 <= tuned.low <= tuned.value <= tuned.high
    assert tuned.value < frozen.value
