"""What changes how far the figures can be trusted stands in the last screen of the terminal and first in the report."""

from __future__ import annotations

from dataclasses import replace

import pytest
from example_run import NASTY, example

from autotl.cli import terminal
from autotl.records import Fact, Finding, Kind, fact
from autotl.records.result import Recommendation
from autotl.report import wording
from autotl.report.cautions import OF_DATA, cautions, warnings
from autotl.report.render import html, markdown
from autotl.report.view import view
from autotl.report.wording.profile import TITLES
from autotl.report.wording.recommendation import recommendation


def clean() -> Recommendation:
    """A run about which there is nothing to warn of."""
    state = example()
    return replace(state, data=replace(state.data, findings=()))


def with_finding(kind: Kind, **more: object) -> Recommendation:
    state = clean()
    finding = Finding(kind=kind, count=2, where=("a.png", "b.png"), **more)  # type: ignore[arg-type]
    return replace(state, profile=replace(state.profile, findings=(finding,)))


def with_reason(reason: Fact) -> Recommendation:
    state = clean()
    assert state.decision is not None
    return replace(state, decision=replace(state.decision, reasons=(*state.decision.reasons, reason)))


def untested() -> Recommendation:
    state = clean()
    assert state.winner is not None
    return replace(state, winner=replace(state.winner, score_test=None, test_low=None, test_high=None))


def wide() -> Recommendation:
    state = clean()
    assert state.winner is not None
    return replace(state, winner=replace(state.winner, test_low=0.5, test_high=0.9, test_images=40))


def expected_too_high() -> Recommendation:
    """What the selection images let expect does not hold on the test images."""
    state = clean()
    assert state.winner is not None
    return replace(state, winner=replace(state.winner, score_test=0.9, test_low=0.88, test_high=0.92))


def noted(note: Fact) -> Recommendation:
    return replace(clean(), notes=(note,))


def pixels(*, ahead: bool) -> Fact:
    low = 0.01 if ahead else -0.9
    gap = {"difference": low + 0.02, "low": low, "high": low + 0.05, "images": 99}
    return fact(Kind.PIXELS_ONLY, control="pixels", score=0.99, gap=gap)


def shuffled(p: float) -> Fact:
    return fact(
        Kind.SHUFFLED_LABELS, score=0.5, chance=0.4, low=0.3, high=0.6, p=p, permutations=200, images=99
    )


DIFFERS = fact(
    Kind.TEST_SCORE_DIFFERS,
    select=0.97,
    test=0.75,
    p=0.0,
    metric="accuracy",
    given=True,
    grouped=False,
    folds=0,
)
CHECKED = {
    "acted": ["copies"],
    "metric": "accuracy",
    "backbones": 1,
    "chosen": "mine:good",
    "scores": {"own": 0.8, "random": 0.9},
    "instead": None,
}
LEFT_OUT = {"reason": "empty_file", "values": {}}
UNTRUSTED = {
    "leak": (
        with_finding(Kind.LEAK, values={"exact": False, "parts": {"test": [2, 40]}}),
        "2 of the 40 test images (5.0%) are nearly equal to images of another given part: scores there are too high",
    ),
    "slight leak": (
        with_finding(Kind.LEAK, values={"exact": True, "parts": {"test": [1, 400]}}),
        "1 of the 400 test images (0.2%) is byte-equal to images of another given part: scores there are slightly",
    ),
    "long": (noted(fact(Kind.GEOMETRY_NOT_MEASURED, elongated=1.0)), "--geometry squash or pad keeps the whole image"),
    "labels": (with_finding(Kind.CONFLICT, values={"exact": True}), "different labels: a.png, b.png"),
    "overrated": (
        with_finding(Kind.SPLIT_CHECKED, values=CHECKED),
        "copies on one side, frozen features of mine:good score 80.0%",
    ),
    "group": (with_finding(Kind.SHARED_GROUP), "in more than one of the given parts"),
    "broken": (with_finding(Kind.BROKEN), "2 images could not be decoded: a.png, b.png"),
    "left out": (with_finding(Kind.LEFT_OUT, values=LEFT_OUT), "left out: an empty file: a.png, b.png"),
    "test differs": (replace(clean(), warnings=(DIFFERS,)), "75.0% is below the 97.0%"),
    "not tested": (untested(), "No test score"),
    "tested on a part": (noted(fact(Kind.TESTED_ON_PART, images=9, of=90)), "9 of the 90 test images"),
    "wide": (wide(), "of the test accuracy, on 40 images, is 40 points wide (50.0% to 90.0%)"),
    "refuted": (expected_too_high(), "90.0% (88.0% to 92.0%) is below what was expected"),
    "plugin": (replace(clean(), problems=("thing: broke",)), "thing: broke"),
    "chance": (with_reason(fact(Kind.NO_SIGNAL, constant=0.95, score=0.9, p=0.4)), "No signal"),
    "no more than by chance": (with_reason(shuffled(p=0.4)), "not significantly more than by chance"),
    "pixels": (with_reason(pixels(ahead=True)), "random forest on pixels"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNTRUSTED)
def test_a_caution_stands_on_the_last_screen_and_first_in_the_report(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    state, words = UNTRUSTED[name]
    terminal.outcome(state)
    beware = " ".join(capsys.readouterr().out.partition("Beware:")[2].split())
    assert words in beware
    assert words in " ".join(view(state)["recommendation"]["warnings"])


def test_copies_in_several_parts_are_placed_by_their_number() -> None:
    """Few copies are said last, and many first."""
    for images, order in ((1, [Kind.ONE_SIDED_CLASS, Kind.LEAK]), (80, [Kind.LEAK, Kind.ONE_SIDED_CLASS])):
        leak = with_finding(Kind.LEAK, values={"exact": True, "parts": {"test": [images, 400]}})
        other = Finding(kind=Kind.ONE_SIDED_CLASS, values={"part": "test"}, count=2)
        both = replace(leak, data=replace(leak.data, findings=(other,)))
        assert [item.kind for item in cautions(both)] == order


def test_what_misleads_nobody_is_no_caution(capsys: pytest.CaptureFixture[str]) -> None:
    assert cautions(clean()) == []
    terminal.outcome(clean())
    assert "Beware" not in capsys.readouterr().out
    harmless = {"reason": "not_an_image", "values": {}}
    assert not warnings(with_finding(Kind.LEFT_OUT, values=harmless))
    assert not warnings(with_finding(Kind.DUPLICATE, values={"exact": True}))
    assert not warnings(with_reason(pixels(ahead=False)))
    assert not warnings(with_reason(shuffled(p=0.001)))


def test_groups_are_a_caution_where_they_cost_accuracy_or_are_tested_on() -> None:
    measured = {"nearest": 0.4, "chance": 0.1, "random": 0.75, "whole": 0.755}
    values = {"expression": "x", "examples": ["x"], "images": 9, "shared": 0, "held": True, "safe": True}
    assert not warnings(with_finding(Kind.GROUPS, values=values | {"measured": measured}))
    for grave in ({"measured": measured, "shared": 2}, {"measured": measured | {"whole": 0.6}}):
        assert warnings(with_finding(Kind.GROUPS, values=values | grave))


def test_the_gravest_comes_first() -> None:
    state = replace(
        with_finding(Kind.BROKEN), warnings=(DIFFERS,), notes=(fact(Kind.TESTED_ON_PART, images=9, of=90),)
    )
    assert [item.kind for item in cautions(state)] == [
        Kind.TEST_SCORE_DIFFERS,
        Kind.TESTED_ON_PART,
        Kind.BROKEN,
    ]


def test_a_file_name_reaches_the_terminal_without_control_codes(capsys: pytest.CaptureFixture[str]) -> None:
    state = with_finding(Kind.BROKEN)
    finding = replace(state.profile.findings[0], where=("\x1b]0;title\x07" + NASTY,))
    terminal.outcome(replace(state, profile=replace(state.profile, findings=(finding,))))
    out = capsys.readouterr().out
    assert "\x1b]0" not in out and "<script>" in out


def test_a_higher_score_that_is_not_recommended_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.outcome(clean())
    assert "higher than the recommended one" not in capsys.readouterr().out
    state = clean()
    board = list(state.leaderboard)
    board[1] = replace(board[1], score_val=0.985)
    terminal.outcome(replace(state, leaderboard=tuple(board)))
    text = " ".join(capsys.readouterr().out.split())
    assert "1 candidate scores higher than the recommended one, at most by 1.3 points" in text
    assert (
        "not significant on 360 images" in text and "where that is as high, by which is the cheapest" in text
    )


def test_the_gravest_cautions_stand_open_and_the_others_fold() -> None:
    """A reader with a minute reads a few; all of them stand in report.md and on the folded part of the page."""
    state = replace(clean(), problems=tuple(f"plugin {number} broke" for number in range(7)))
    page, words = html(view(state)), markdown(view(state))
    box = page[page.index('<div class="warning">') : page.index("</details>")]
    opened, folded = box.split("<summary>3 more to beware of</summary>")
    assert [opened.count("<li>"), folded.count("<li>")] == [4, 3]
    assert all(f"plugin {number} broke" in text.lower() for number in range(7) for text in (box, words))
    few = html(view(replace(state, problems=state.problems[:4])))
    assert "more to beware of" not in few


def test_a_class_that_cannot_be_judged_is_a_caution() -> None:
    state = clean()
    rare = fact(Kind.RARE_CLASSES, least=5, select=1)
    alone = fact(Kind.ONE_GROUP_CLASSES, classes=1, grouped=False)
    state = replace(state, data=replace(state.data, split=(rare, alone)))
    first, second = warnings(state)
    assert first.startswith("1 class of one picture") and second.startswith("1 class has fewer than 5 images")


@pytest.mark.parametrize(("high", "alarming"), [(-0.01, True), (0.02, False)])
def test_negative_transfer_is_a_caution(high: float, alarming: bool) -> None:
    gap = {"difference": -0.04, "low": -0.07, "high": high, "images": 99, "comparisons": 1}
    gain = fact(Kind.PRETRAINING_GAIN, control="pixels", score=0.97, epochs=0.0, converged=False, gap=gap)
    assert any("negative transfer" in text for text in warnings(with_reason(gain))) == alarming


def test_a_caution_does_not_say_twice_that_it_is_one() -> None:
    for state in (with_reason(pixels(ahead=True)), with_reason(shuffled(p=0.4))):
        (text,) = warnings(state)
        assert "warning" not in text.lower()


def test_what_the_test_refutes_stands_second_and_says_so() -> None:
    for state, refuted in ((clean(), False), (expected_too_high(), True)):
        first, second, *_ = view(state)["recommendation"]["figures"]
        assert first["label"] == "test accuracy" and second["label"] == "expected accuracy"
        assert ("not confirmed by the test" in second["note"]) == refuted
        assert ("which the test does not confirm" in recommendation(state)) == refuted
    both = replace(expected_too_high(), warnings=(DIFFERS,))
    assert [one.kind for one in cautions(both)] == [Kind.TEST_SCORE_DIFFERS]  # said once


def test_the_width_is_that_of_the_test_where_there_was_one() -> None:
    state = clean()
    assert state.winner is not None
    vague = replace(state.winner, expected_low=0.5, expected_high=0.99)
    assert not cautions(replace(state, winner=vague))
    alone = replace(vague, score_test=None, test_low=None, test_high=None)
    shown = next(one for one in cautions(replace(state, winner=alone)) if one.kind is Kind.WIDE_INTERVAL)
    assert "the 95% interval of the expected accuracy is 49 points wide" in wording.sentence(shown)


@pytest.mark.parametrize(
    ("chance", "words"),
    [(0.34, "a probability of 34%"), (0.002, "a probability of <1%"), (0.0, "a probability of <1%")],
)
@pytest.mark.parametrize("tried", [4, 32])
def test_how_sure_counts_what_was_tried_and_what_was_not(
    capsys: pytest.CaptureFixture[str], chance: float, words: str, tried: int
) -> None:
    values = {"recipes": 32, "tried": tried, "behind": 0.038, "low": 0.0, "high": 0.137}
    state = with_reason(fact(Kind.BEST_PROBABILITY, chance=chance, among_tried=0.71, **values))
    content = view(state)["recommendation"]
    (sentence,) = [text for question, text in content["lede"] if question == "How sure"]
    expected = f"It is the best of all 32 possible recipes with {words}"
    if tried < 32:
        expected = "It is the best of the 4 recipes that were tried with a probability of 71%, and of all 32 possible"
        expected += f" ones with {words}"
    assert f"{expected}; whichever is the best of all is expected to score 3.8 points more" in sentence
    assert "not significantly worse" in sentence
    assert not any("possible" in text for text in (*content["reasons"], *content["more_reasons"]))
    terminal.outcome(state)
    screen = " ".join(capsys.readouterr().out.split())
    assert f"{expected}. Prediction takes" in screen


LIKELIER = {"likeliest": "b:net@96/knn", "likeliest_chance": 0.12, "expected": [0.973, 0.974]}


@pytest.mark.parametrize(
    ("because", "expected", "why"),
    [
        ("accuracy", [0.973, 0.974], "nearly the same (97.3% against 97.4%), and it costs less"),
        ("accuracy", [0.9741, 0.9742], "the same (97.4% against 97.4%), and it costs less"),
        ("size", [0.973, 0.974], "nearly the same (97.3% against 97.4%), and it is smaller (--prefer size)"),
        ("expected", [0.974, 0.971], "higher (97.4% against 97.1%); that of the other is less certain"),
    ],
)
def test_why_it_is_recommended_stands_where_another_is_likelier_to_be_the_best(
    because: str, expected: list[float], why: str
) -> None:
    values = {"recipes": 400, "tried": 31, "behind": 0.004, "low": 0.0, "high": 0.03, "chance": 0.001}
    sure = fact(
        Kind.BEST_PROBABILITY,
        among_tried=0.03,
        **values,
        **LIKELIER | {"expected": expected},
        because=because,
    )
    chances = (
        "Of the 31 recipes that were tried, b:net@96/knn is the likeliest to be the best, with a probability of 12%; the"
        " recommended one has 3%, and <1% among all 400 possible ones"
    )
    reason = f"It is recommended all the same: its expected accuracy is {why}."
    assert f"{chances}. {reason}" in recommendation(with_reason(sure))
    (sentence,) = [
        text for question, text in view(with_reason(sure))["recommendation"]["lede"] if question == "How sure"
    ]
    assert f"{chances}; whichever is the best of all is expected to score 0.4 points more" in sentence
    assert sentence.endswith(reason)


def test_the_terminal_says_that_something_untried_is_clearly_better() -> None:
    values = {"recipes": 152, "tried": 1, "behind": 0.299, "high": 0.351, "chance": 0.0, "among_tried": 1.0}
    lead = "whichever is the best of all is expected to score 29.9 points more than the winner"
    for low, said in ((0.247, True), (0.001, False)):
        text = recommendation(with_reason(fact(Kind.BEST_PROBABILITY, low=low, **values)))
        assert (
            "Only 1 of the 152 possible recipes was tried; it is the best of all with a probability of"
            in text
        )
        assert (lead in text) == said == ("; a larger --budget may find it." in text)


def test_a_run_that_recorded_no_probability_among_the_tried_ones_has_its_sentence() -> None:
    sure = fact(Kind.BEST_PROBABILITY, recipes=32, tried=4, behind=0.038, low=0.0, high=0.137, chance=0.2)
    assert wording.sentence(sure).startswith(
        "it is the best of all 32 possible recipes, of which 4 were tried, with a probability of 20%;"
    )


def test_what_the_largest_class_alone_scores_stands_beside_the_accuracy(
    capsys: pytest.CaptureFixture[str],
) -> None:
    state = with_reason(fact(Kind.LARGEST_CLASS, constant=0.689, score=0.77))
    words = "Always answering the largest class would be right for 68.9% of the selection images, this is for 77.0%."
    content = view(state)["recommendation"]
    assert words in dict(content["lede"])["How good"]
    assert not any("largest class" in text for text in (*content["reasons"], *content["more_reasons"]))
    terminal.outcome(state)
    assert words in " ".join(capsys.readouterr().out.split())


NO_SIGNAL = fact(Kind.NO_SIGNAL, constant=0.2, score=0.31, p=0.06)


@pytest.mark.parametrize(("test_low", "signal"), [(0.1, False), (0.4, True), (None, False)])
def test_a_model_without_signal_is_not_recommended_unless_its_test_shows_one(
    capsys: pytest.CaptureFixture[str], test_low: float | None, signal: bool
) -> None:
    """'Use it' and 'do not use it', or 'like answering one class' and 54% on the test part, is said of no model."""
    state = with_reason(NO_SIGNAL)
    assert state.winner is not None
    score, high = (None, None) if test_low is None else (test_low + 0.1, test_low + 0.2)
    tested = replace(state.winner, score_test=score, test_low=test_low, test_high=high, test_images=300)
    state = replace(state, winner=tested)
    terminal.outcome(state)
    screen, page = " ".join(capsys.readouterr().out.split()), view(state)["recommendation"]
    advice = "Use" if signal else "Do not rely on this model:"
    assert page["headline"] == f"{advice} autotl:resnet14t_small" and f" {advice} autotl:res" in screen
    for text in (screen, str(page), recommendation(state)):
        assert ("Use autotl" in text) == signal
        assert (
            "do not use it" in text or "No signal: the winner" in text or "no signal: the" in text
        ) != signal
    assert any("on the test images it is, with 50.0%" in text for text in warnings(state)) == signal


def test_a_caution_on_the_data_has_a_title_there_and_its_sentence_once() -> None:
    assert set(TITLES) == set(OF_DATA)
    state = with_finding(Kind.FEW, values={"least": 30, "classes": 5})
    page = view(state)
    (caution,) = page["recommendation"]["warnings"]  # type: ignore[index]
    (finding,) = page["data"]["findings"]  # type: ignore[index]
    assert caution == "2 of 5 classes have fewer than 30 images."
    assert finding["text"] == "Classes with few images (see Beware, above)."
    assert finding["where"] == ["a.png", "b.png"]
    assert (
        html(page).count("have fewer than 30 images")
        == markdown(page).count("have fewer than 30 images")
        == 1
    )


def test_a_caution_without_names_stands_under_beware_alone() -> None:
    state = clean()
    rare = fact(Kind.RARE_CLASSES, least=5, select=3)
    lost = Finding(kind=Kind.NO_TIME, count=7, action="left_out")
    state = replace(state, data=replace(state.data, findings=(lost,), split=(*state.data.split, rare)))
    page = view(state)
    assert page["data"]["findings"] == []  # type: ignore[index]
    for text in (html(page), markdown(page)):
        assert text.count("7 images not read") == text.count("3 classes have fewer than 5 images") == 1
        assert "No others than under Beware." in text and "No problems found." not in text
