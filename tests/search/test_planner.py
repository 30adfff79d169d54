"""The planner and the screening by replay on a table: what is asked, in which order, and when they stop."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from autotl.builtin.strategies import STRATEGIES
from autotl.ranking import screening as ranking_screening
from autotl.records import BackboneSpec, Candidate, Cost, Ranked, Trial, TrialResult, fact
from autotl.records.facts import Kind
from autotl.search import planner as search_planner

FACTS = search_planner.Facts(
    rows=800, rows_final=1000, rows_select=200, rows_test=200, timed={("a", 128): 0.0096}
)


def arm(
    name: str = "a", size: int = 128, expected: float = 0.7, rows: int = 800, seconds: float = 0.003
) -> Ranked:
    return Ranked(
        backbone=name,
        input_size=size,
        expected=expected,
        rows=rows,
        embedded=rows,
        seconds_per_image=seconds,
    )


def play(
    planner: search_planner.DefaultPlanner, seconds: float, tuned: float, linear: float = 0.7
) -> tuple[list[Trial], float]:
    """Answers every question at its forecast cost; returns the trials and what was left of the time."""
    trials: list[Trial] = []
    while (trial := planner.ask(seconds)) is not None:
        trials.append(trial)
        cost = trial.forecast or 0.5
        seconds -= cost
        assert seconds > 0
        assert len(trials) < 100
        planner.tell(
            TrialResult(
                trial=trial,
                status="finished",
                score_val=tuned if trial.epochs else linear,
                epochs_done=trial.epochs,
                cost=Cost(backward=cost),
                model=f"trials/{trial.id}/model",
            )
        )
    return trials, seconds


def test_closed_form_heads_come_first_and_fine_tuning_follows_where_it_helps() -> None:
    planner = search_planner.DefaultPlanner(ranked=[arm()], strategies=STRATEGIES, facts=FACTS)
    trials, _ = play(planner, 300.0, tuned=0.9)
    assert [t.candidate.strategy for t in trials[:2]] == ["linear_probe", "knn"]
    assert sum(t.epochs > 0 for t in trials) >= 2


def test_after_a_head_on_fewer_images_another_is_not_taken_for_one_whose_features_are_stored() -> None:
    entry = replace(arm(seconds=0.1), embedded=100)
    planner = search_planner.DefaultPlanner(ranked=[entry], strategies=STRATEGIES, facts=FACTS)
    trial = Trial(id="t000", candidate=Candidate(backbone="a", input_size=128, strategy="linear_probe"))
    short = TrialResult(
        trial=trial, status="finished", score_val=0.7, notes=(fact(Kind.FEWER_ROWS, rows=300, of=800),)
    )
    planner.tell(short)
    asked = planner.ask(30.0)
    assert asked is None or asked.candidate.strategy != "knn"
    planner.tell(replace(short, notes=()))
    asked = planner.ask(30.0)
    assert asked is not None and asked.candidate.strategy == "knn"


def test_it_gives_up_on_fine_tuning_that_hurts() -> None:
    planner = search_planner.DefaultPlanner(ranked=[arm()], strategies=STRATEGIES, facts=FACTS)
    trials, left = play(planner, 3000.0, tuned=0.5)
    assert sum(t.epochs > 0 for t in trials) <= 10
    assert left > 1000.0
    assert planner.stopped is not None and planner.stopped.kind == Kind.ALL_TRIED


def test_a_recipe_is_worth_what_it_may_become_and_begun_with_a_short_training() -> None:
    planner = search_planner.DefaultPlanner(ranked=[arm()], strategies=STRATEGIES, facts=FACTS)
    trials, _ = play(planner, 3000.0, tuned=0.9)
    lengths: dict[str, list[float]] = {}
    for trial in trials:
        if trial.epochs:
            lengths.setdefault(trial.candidate.id, []).append(trial.epochs)
    short = search_planner.EPOCHS[: search_planner.BEGUN]
    assert all(own[0] in short for own in lengths.values())
    assert max(own[-1] for own in lengths.values()) > short[-1]
    assert all(b >= search_planner.CONTINUED * a for own in lengths.values() for a, b in pairwise(own))


@pytest.mark.parametrize("linear", [0.7, 0.97])
@pytest.mark.parametrize("learns", ["fine_tune", "lp_ft"])
def test_one_strategy_that_fails_does_not_end_the_other(linear: float, learns: str) -> None:
    """The head of one may meet features it does not know; the other, with a fresh head, learns."""
    planner = search_planner.DefaultPlanner(ranked=[arm(expected=linear)], strategies=STRATEGIES, facts=FACTS)
    seconds, scores = 600.0, {"lp_ft": 0.5, "fine_tune": 0.5, learns: 0.99}
    while (trial := planner.ask(seconds)) is not None and seconds > 0:
        score = scores.get(trial.candidate.strategy, linear)
        seconds -= trial.forecast or 0.5
        planner.tell(TrialResult(trial=trial, status="finished", score_val=score, epochs_done=trial.epochs))
    assert max(done.score_val or 0.0 for done in planner.results) == 0.99


def test_depth_is_tuned_to_where_the_features_knew_most() -> None:
    tried = {}
    for known in ((0, 0.0), (2, 0.5)):
        planner = search_planner.DefaultPlanner(
            ranked=[arm()], strategies=STRATEGIES[:3], facts=replace(FACTS, recoverable={"a": known})
        )
        trials, _ = play(planner, 3000.0, tuned=0.9)
        tried[known] = [t.candidate.unfreeze for t in trials if t.epochs]
    assert tried[(2, 0.5)][0] in (2, "all"), "the last two groups lose what the one before knew"


def test_the_first_fine_tuning_leaves_time_for_another_unless_only_one_can_be_had() -> None:
    planner = search_planner.DefaultPlanner(ranked=[arm()], strategies=STRATEGIES, facts=FACTS)
    dear = min(o.seconds + o.final for o in planner.options(1e9) if o.epochs)
    for seconds, least in ((dear + 3.0, 1), (6 * dear, 2)):
        planner = search_planner.DefaultPlanner(ranked=[arm()], strategies=STRATEGIES, facts=FACTS)
        trials, _ = play(planner, seconds, tuned=0.9, linear=0.7)
        assert len([t for t in trials if t.epochs]) >= least, seconds


def test_a_lucky_head_does_not_hide_what_fine_tuning_brings() -> None:
    """On few selection images the best head is often the luckiest; cross-validation on train knows better."""
    lucky = replace(arm(expected=0.7), scores=(("linear", 0.7),), rows=FACTS.rows)
    planner = search_planner.DefaultPlanner(
        ranked=[lucky], strategies=STRATEGIES, facts=replace(FACTS, rows_select=100)
    )
    head = Candidate(backbone="a", input_size=128, strategy="linear_probe")
    planner.tell(TrialResult(trial=Trial(id="t1", candidate=head), status="finished", score_val=0.8))
    best = planner.best_value()
    assert best is not None and 0.7 < best < 0.74


def test_nothing_is_left_to_gain_on_solved_data() -> None:
    planner = search_planner.DefaultPlanner(ranked=[arm(expected=1.0)], strategies=STRATEGIES, facts=FACTS)
    trials, _ = play(planner, 600.0, tuned=1.0, linear=1.0)
    assert all(t.epochs == 0 for t in trials)


@pytest.mark.parametrize("seconds", [20.0, 60.0, 200.0])
def test_a_probe_leaves_room_for_its_final_fit(seconds: float) -> None:
    planner = search_planner.DefaultPlanner(
        ranked=[arm(), arm("b", 224, 0.75, seconds=0.009)], strategies=STRATEGIES, facts=FACTS
    )
    while (trial := planner.ask(seconds)) is not None:
        probe = planner.costs.probe(trial.candidate, trial.epochs) if trial.epochs else 0.0
        assert probe + planner.costs.final(trial.candidate, trial.epochs) <= seconds or not trial.epochs
        planner.tell(TrialResult(trial=trial, status="finished", score_val=0.8, epochs_done=trial.epochs))
        seconds -= probe


def test_a_backbone_too_slow_for_the_budget_is_not_fine_tuned() -> None:
    slow = arm("slow", 224, 0.8, seconds=0.05)
    planner = search_planner.DefaultPlanner(ranked=[slow], strategies=STRATEGIES, facts=FACTS)
    trials, _ = play(planner, 60.0, tuned=0.9)
    assert all(t.epochs == 0 for t in trials)


def test_the_same_answers_give_the_same_questions() -> None:
    runs = []
    for _ in range(2):
        planner = search_planner.DefaultPlanner(
            ranked=[arm(), arm("b", 96, 0.72)], strategies=STRATEGIES, facts=FACTS
        )
        runs.append([t.candidate.id for t in play(planner, 200.0, tuned=0.85)[0]])
    assert runs[0] == runs[1]


def test_an_adopted_trial_is_not_asked_again() -> None:
    planner = search_planner.DefaultPlanner(ranked=[arm()], strategies=STRATEGIES, facts=FACTS)
    first = planner.ask(100.0)
    assert first is not None
    fresh = search_planner.DefaultPlanner(ranked=[arm()], strategies=STRATEGIES, facts=FACTS)
    fresh.tell(TrialResult(trial=replace(first, id="t000"), status="finished", score_val=0.7))
    second = fresh.ask(100.0)
    assert second is not None and second.candidate != first.candidate


def test_a_strategy_that_declines_a_backbone_is_asked_of_the_others_alone() -> None:
    planner = search_planner.DefaultPlanner(ranked=[arm(), arm("b")], strategies=STRATEGIES[2:3], facts=FACTS)
    first = planner.ask(3000.0)
    assert first is not None
    planner.tell(TrialResult(trial=first, status="skipped", error="there is no attention"))
    others = {
        t.candidate.backbone for t, _ in zip(iter(lambda: planner.ask(3000.0), None), range(3), strict=False)
    }
    assert others == {"a", "b"} - {first.candidate.backbone}


def test_a_strategy_is_tried_on_the_backbones_that_it_is_for() -> None:
    tune = replace(STRATEGIES[2], backbones=("b*",))
    planner = search_planner.DefaultPlanner(
        ranked=[arm(), arm("b")], strategies=[*STRATEGIES[:2], tune], facts=FACTS
    )
    trials, _ = play(planner, 300.0, tuned=0.8)
    assert {t.candidate.backbone for t in trials if t.epochs} == {"b"}
    assert {t.candidate.backbone for t in trials if not t.epochs} == {"a", "b"}


def test_finished_trainings_are_joined_once_in_each_way() -> None:
    soup = replace(STRATEGIES[2], name="soup", phases=(), depths=False, combine="m:soup", parents=("fine_*",))
    planner = search_planner.DefaultPlanner(ranked=[arm()], strategies=[*STRATEGIES[:3], soup], facts=FACTS)
    trials, left = play(planner, 1500.0, tuned=0.8)
    joined = [t for t in trials if t.parents]
    assert joined and left > 0
    assert len({t.parents for t in joined}) == len(joined)
    for trial in joined:
        assert trial.candidate.id == "a@128/soup:all" and len(trial.parents) >= 2
        assert {p.strategy for p in trial.parents} == {"fine_tune"}
        assert trial.epochs == trial.resumed_epochs == max(p.epochs for p in trial.parents)
        assert (trial.forecast or 0) < 5


def test_out_of_fold_nothing_is_joined() -> None:
    soup = replace(STRATEGIES[2], name="soup", phases=(), depths=False, combine="m:soup", parents=("fine_*",))
    planner = search_planner.DefaultPlanner(
        ranked=[arm()], strategies=[*STRATEGIES[:3], soup], facts=replace(FACTS, folds=5)
    )
    assert not any(t.parents for t in play(planner, 3000.0, tuned=0.8)[0])


# --------------------------------------------------------------------------- screening


def spec(name: str, published: float, macs: float) -> BackboneSpec:
    return BackboneSpec(name=name, build="m:b", published=published, macs=macs, parameters=1_000_000)


def screened(
    quality: dict[str, float], seconds: float, rows: int = 1000
) -> tuple[ranking_screening.Screening, float, int]:
    specs = [spec(name, 0.6, 1e8 * (1 + i)) for i, name in enumerate(quality)]
    screening = ranking_screening.Screening(specs, {s.name: (224, 128) for s in specs}, rows, 10)
    spent, images = 0.0, 0
    done: dict[tuple[str, int], int] = {}
    ask: ranking_screening.Ask | None = screening.start()
    while ask is not None:
        key = (ask.backbone, ask.input_size)
        fresh = ask.rows - done.get(key, 0)
        assert fresh > 0, "nothing is embedded twice"
        done[key] = ask.rows
        each = 0.01 * (ask.input_size / 224) ** 2
        spent, images = spent + fresh * each, images + fresh
        screening.update(ask, ask.rows, {"linear": quality[ask.backbone]}, each)
        ask = screening.ask(seconds, spent)
    return screening, spent, images


def test_screening_finds_the_best_and_does_not_embed_everything_everywhere() -> None:
    quality = {f"b{i}": 0.6 + 0.02 * i for i in range(12)}
    screening, _, images = screened(quality, seconds=1e9)
    assert screening.ranking().ranked[0].backbone == "b11"
    assert images < 0.6 * 1000 * len(quality)


def test_screening_keeps_its_time() -> None:
    quality = {f"b{i}": 0.6 + 0.02 * i for i in range(12)}
    screening, spent, _ = screened(quality, seconds=30.0)
    assert spent <= 30.0 * 1.05
    assert any(r.rows == 1000 for r in screening.ranking().ranked)


def test_a_failed_backbone_leaves_the_field() -> None:
    specs = [spec("good", 0.6, 1e8), spec("bad", 0.9, 2e8)]
    screening = ranking_screening.Screening(specs, {s.name: (224,) for s in specs}, 100, 2)
    ask: ranking_screening.Ask | None = screening.start()
    while ask is not None:
        if ask.backbone == "bad":
            screening.fail(ask, "no such file")
        else:
            screening.update(ask, ask.rows, {"linear": 0.8}, 0.01)
        ask = screening.ask(100.0, 1.0)
    assert [r.backbone for r in screening.ranking().ranked] == ["good"]


def test_a_training_is_continued_for_the_epochs_that_it_adds() -> None:
    planner = search_planner.DefaultPlanner(ranked=[arm()], strategies=STRATEGIES[2:3], facts=FACTS)
    trials, _ = play(planner, 3000.0, tuned=0.8)
    longer = [t for t in trials if t.resume_from]
    assert longer, "a longer training of the same recipe starts from the shorter one's model"
    for trial in longer:
        shorter = next(t for t in trials if trial.resume_from == f"trials/{t.id}/model")
        assert shorter.candidate == trial.candidate
        assert trial.resumed_epochs == shorter.epochs < trial.epochs
        fresh = planner.costs.probe(trial.candidate, trial.epochs)
        assert (trial.forecast or 0.0) < 0.9 * fresh


def test_out_of_fold_trainings_start_afresh() -> None:
    """Each fold has a model of its own, and one model folder is kept."""
    planner = search_planner.DefaultPlanner(
        ranked=[arm()], strategies=STRATEGIES[2:3], facts=replace(FACTS, folds=5)
    )
    trials, _ = play(planner, 9000.0, tuned=0.8)
    assert trials and not any(t.resume_from for t in trials)


def test_what_was_asked_for_is_begun_where_no_forecast_fits() -> None:
    """The clock ends it: a model that trained too short is more than none."""
    field = [arm("slow", seconds=0.5), arm("quick", seconds=0.3)]
    planner = search_planner.DefaultPlanner(ranked=field, strategies=STRATEGIES[2:3], facts=FACTS)
    trial = planner.ask(60.0)
    assert trial is not None and trial.candidate.backbone == "quick"
    planner.tell(TrialResult(trial=trial, status="stopped", score_val=0.5, epochs_done=0.5))
    assert planner.ask(30.0) is None
    assert planner.stopped is not None and planner.stopped.kind == Kind.NO_RECIPE_FITS


@pytest.mark.parametrize("rows", [9, 25, 60])
def test_few_images_are_trained_on_for_more_epochs(rows: int) -> None:
    facts = replace(FACTS, rows=rows, rows_final=rows, rows_select=rows, folds=3)
    planner = search_planner.DefaultPlanner(ranked=[arm(rows=rows)], strategies=STRATEGIES[2:], facts=facts)
    trial = planner.ask(600.0)
    assert trial is not None and trial.epochs * rows / facts.batch >= search_planner.FEWEST_STEPS


def test_a_backbone_is_embedded_for_a_head_that_may_be_better() -> None:
    whole, part = arm("a", expected=0.6), arm("b", expected=0.75, rows=128)
    planner = search_planner.DefaultPlanner(
        ranked=[whole, part], strategies=STRATEGIES[:2], facts=replace(FACTS, rows=800)
    )
    trials, _ = play(planner, 60.0, tuned=0.0, linear=0.6)
    assert [t.candidate.backbone for t in trials] == ["a", "a", "b", "b"]
    head = trials[2].forecast or 0.0
    assert head > (800 - 128) * 0.003, "its features of the other images are paid for"


def test_small_images_are_fine_tuned_at_a_small_input() -> None:
    field = [
        arm("a", 224, expected=0.71, seconds=0.01),
        arm("a", 96, expected=0.5, rows=256, seconds=0.002),
    ]
    planner = search_planner.DefaultPlanner(
        ranked=field, strategies=STRATEGIES, facts=replace(FACTS, timed={})
    )
    tuned = [t for t in play(planner, 200.0, tuned=0.9, linear=0.71)[0] if t.epochs]
    assert tuned[0].candidate.input_size == 96


def test_a_recipe_that_lost_is_tried_at_a_gentler_rate() -> None:
    planner = search_planner.DefaultPlanner(ranked=[arm()], strategies=STRATEGIES[:3], facts=FACTS)
    trials, _ = play(planner, 1000.0, tuned=0.66)
    assert ("lr", search_planner.GENTLE_RATE) in {pair for t in trials for pair in t.candidate.hyper}


def test_a_backbone_that_does_well_on_any_data_is_fine_tuned_first() -> None:
    field = [replace(arm("a"), prior=0.4), replace(arm("b"), prior=0.8)]
    planner = search_planner.DefaultPlanner(ranked=field, strategies=STRATEGIES, facts=FACTS)
    trials, _ = play(planner, 600.0, tuned=0.9)
    assert next(t for t in trials if t.epochs).candidate.backbone == "b"


def test_what_one_probe_gained_is_expected_of_others_too() -> None:
    field = [arm("a"), arm("b")]
    other = Candidate(backbone="b", input_size=128, strategy="fine_tune", unfreeze=2)
    expected = {}
    for tuned in (0.6, 0.95):
        planner = search_planner.DefaultPlanner(ranked=field, strategies=STRATEGIES[:3], facts=FACTS)
        trial = Trial(id="t1", candidate=replace(other, backbone="a"), epochs=6.0)
        planner.tell(TrialResult(trial=trial, status="finished", score_val=tuned, epochs_done=6.0))
        options = [o for o in planner.options(1e9) if o.candidate == other]
        expected[tuned] = float(planner.belief.means([o.point for o in options]).mean())
    assert expected[0.95] > expected[0.6] + 0.05
