"""A section of the report is an entry of one table; its parts exist in both templates."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from example_run import example, row

from autotl.records import Finding, Kind, Ranked, Ranking, StagePlan, fact
from autotl.report import render, view
from autotl.report.format import printable
from autotl.report.sections.leaderboard import untrained
from autotl.report.wording import page as wording
from autotl.report.wording.time import forecasts

TEMPLATES = Path(render.__file__).parent / "templates"


def test_every_section_has_a_macro_and_content() -> None:
    macros = re.findall(r"{% macro (\w+)\(", (TEMPLATES / "sections.html").read_text(encoding="utf-8"))
    of_targets = {"numbers", "label_sets"}  # stand in for the section on the model
    assert set(view.SECTIONS) == set(macros) - {"figure", "learning", *of_targets}
    page = view.view(example())
    assert all(page[name] for name in view.SECTIONS)


@pytest.mark.parametrize(
    ("finding", "more"),
    [
        (Finding(kind=Kind.NEAR_DUPLICATE, values={"exact": False, "sets": 3}, count=8), 3),
        (Finding(kind=Kind.LEAK, values={"exact": True, "images": 7, "parts": {"test": [3, 9]}}, count=3), 2),
        (Finding(kind=Kind.CONFLICT, values={"exact": True, "cropped": True, "images": 9}, count=4), 4),
        (
            Finding(
                kind=Kind.CONFLICT,
                values={"exact": True, "images": 9, "left_out": 6, "stay": {"test": 3}},
                count=4,
                action="left_out",
            ),
            1,
        ),
    ],
    ids=["copies", "leak", "all stay", "left out"],
)
def test_what_is_not_named_is_counted_in_images(finding: Finding, more: int) -> None:
    finding = replace(finding, where=tuple(f"{number}.png" for number in range(6)))
    state = example()
    state = replace(state, profile=replace(state.profile, findings=(finding,)))
    shown = view.view(state)["data"]["findings"][-1]
    assert len(shown["where"]) == 5 and shown["more"] == str(more)


@pytest.mark.parametrize("file", ["report.html", "report.md"])
def test_sections_have_their_titles_in_both_forms(file: str, tmp_path: Path) -> None:
    render.render(example(), tmp_path)
    text = (tmp_path / file).read_text(encoding="utf-8")
    for section in view.SECTIONS.values():
        assert section.title in text or section.title == "Recommendation"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("autotl:resnet14t_small@96/knn is faster", "autotl:resnet14t_small@96/knn is faster."),
        ("resnet18.a1_in1k is faster.", "resnet18.a1_in1k is faster."),
        ("depth 2: not significant", "Depth 2: not significant."),
        ("non-finite loss", "Non-finite loss."),
        ("3 images are broken", "3 images are broken."),
    ],
)
def test_a_sentence_begins_with_a_capital_unless_with_an_identifier(text: str, sentence: str) -> None:
    assert wording.as_sentence(text) == sentence


def test_the_three_figures_are_introduced_and_named_alike() -> None:
    content = view.view(example())["recommendation"]
    assert content["terms"].count("expected accuracy") == 1
    assert [figure["label"] for figure in content["figures"]][:2] == ["test accuracy", "expected accuracy"]
    assert content["figures"][1]["value"].startswith("96.9")  # the corrected one, with its own interval
    assert "score 97.2" in content["figures"][1]["note"]
    assert dict(content["lede"])["How good"].startswith("Test accuracy: 96.7")


def test_the_expected_accuracy_has_its_own_interval() -> None:
    content = view.view(example())["recommendation"]
    assert "94.5–98.4" in content["figures"][1]["note"]


def test_a_backbone_that_was_ranked_and_not_trained_is_listed() -> None:
    """As in a run that is interrupted before its end."""
    ranked = (
        Ranked(backbone="a:scored", input_size=64, expected=0.7, rows=118),
        Ranked(backbone="a:unscored", input_size=64, expected=0.6),
    )
    state = example(ranking=Ranking(ranked=ranked))
    waiting = untrained(state)
    assert "118 images" in waiting["a:scored"] and "prior alone" in waiting["a:unscored"]
    assert any(row["candidate"] == "a:scored" for row in view.view(state)["leaderboard"]["rest"])


def test_a_run_that_ended_early_says_what_ended_its_search() -> None:
    seconds, early = {"budget": 90.0, "total": 60.0}, fact(Kind.ENDED_EARLY, seconds=30.0)
    fits, gains = (
        view.view(example(seconds=seconds, notes=(note, early)))["time"]["spare"]
        for note in (fact(Kind.NO_RECIPE_FITS), fact(Kind.NO_GAIN_EXPECTED, chance=0.032, gain=0.005))
    )
    assert "fits into the time left" in fits
    assert "better by 0.5 points or more is 3% or less" in gains
    assert view.view(example(seconds=seconds | {"total": 89.0}, notes=()))["time"]["spare"] == ""


@pytest.mark.parametrize(("ratios", "median"), [([1.45, 2.05], "1.75"), ([1.0, 2.0, 9.0], "2.00")])
def test_the_median_of_the_forecasts_is_one(ratios: list[float], median: str) -> None:
    assert f"took {median} times" in forecasts(ratios, 1, 2)


def test_the_time_plan_stands_beside_what_a_stage_took() -> None:
    plan = (StagePlan(stage="start", seconds=5.0, fixed=True, covers=("load", "start")),)
    [row] = view.view(example(time_plan=plan, seconds={"load": 1.5, "start": 2.0}))["time"]["plan"]
    assert (row["stage"], printable(row["planned"]), printable(row["used"])) == ("start", "5.0 s", "3.5 s")


def test_a_reader_with_a_minute_has_at_most_five_reasons_each_with_its_number() -> None:
    state = example()
    assert state.decision is not None
    gap = {"difference": 0.041, "low": 0.02, "high": 0.062, "images": 640}
    some = [
        fact(
            Kind.RULE_OF_THUMB,
            images=9,
            large=False,
            similarity="far",
            domain="d",
            advised="all",
            chosen="all",
        )
    ]
    some += [fact(Kind.FROZEN_ALONE)]
    some += [fact(Kind.BACKBONE_COMPARED, other=f"timm:b{number}@96/knn", gap=gap) for number in range(4)]
    some += [fact(Kind.HIGHER_SCORE_NOT_CHOSEN, candidate="timm:z@96/knn", best="timm:y@96/knn", gap=gap)]
    some += [fact(Kind.PIXELS_ONLY, control="pixels", score=0.99, gap=gap)]
    decision = replace(state.decision, reasons=(*some, *state.decision.reasons))
    content = view.view(replace(state, decision=decision))["recommendation"]
    first, rest = content["reasons"], content["more_reasons"]
    assert len(first) == 5 and first[0].startswith("timm:z@96/knn has a higher score")
    assert all(re.search(r"[0-9]", reason) for reason in first)
    assert len(rest) == 4 and rest[0].startswith("Rule of thumb") and rest[1].startswith("Frozen")
    assert sum("random forest" in text for text in (*first, *rest, *content["warnings"])) == 1
    page = render.html(view.view(replace(state, decision=decision)))
    assert page.index("How good") < page.index("How sure") < page.index("Beware") < page.index("Why<")
    assert page.index("Why<") < page.index("<details>") < page.index("Rule of thumb")


def test_controls_do_not_set_the_scale_on_which_the_leaders_are_compared() -> None:
    state = example()
    weak = row("autotl:resnet14t_small@64/knn", 0.05, control="shuffled", ci_low=0.01, ci_high=0.1)
    bad = row("autotl:levit_small@64/knn", 0.3, ci_low=0.25, ci_high=0.35)
    board = view.view(replace(state, leaderboard=(*state.leaderboard, bad, weak)))["leaderboard"]
    first, last = board["rows"][0], board["rows"][-1]
    assert first["width"] > 100 / 7  # of the rail
    assert not first["off"] and last["off"] and last["dot"] == 0
    assert [printable(tick) for tick in board["scale"]][2] == "100%"


def test_no_control_lies_right_of_the_scale() -> None:
    """A control that is better than every candidate, drawn at their end, would look as good as they are."""
    state = example()
    board = tuple(replace(row, score_val=0.6, ci_low=0.5, ci_high=0.7) for row in state.leaderboard[:3])
    control = replace(
        board[0],
        candidate="pixels@16/ridge",
        score_val=0.8,
        ci_low=0.75,
        ci_high=0.85,
        control="pixels_ridge",
    )
    lines = [
        line
        for group in view.view(replace(state, leaderboard=(*board, control)))["leaderboard"]["groups"]
        for line in group["rows"]
    ]
    assert lines[-1]["left"] + lines[-1]["width"] <= 100 and lines[-1]["dot"] < 100
    assert lines[-1]["width"] == pytest.approx(lines[0]["width"] / 2, abs=0.1)  # to the scale of the others
    assert view.view(replace(state, leaderboard=()))["leaderboard"]["scale"][0].startswith("0")


def test_a_head_of_a_table_is_made_of_cells() -> None:
    """What is not laid out as a cell drops out of a head that a printer repeats."""
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    heads = re.findall(r"(?m)^\s*(?:th|thead|td)[^{]*{[^}]*display:[^}]*}", style)
    assert not heads


def test_the_scores_of_the_ranking_are_explained_where_they_are_shown() -> None:
    rows = [row(f"a:net{number}@64/linear_probe", 0.6 + number / 100) for number in range(4)]
    scores = {"logme": 0.1, "source_head": 0.2, "of_a_plugin": 0.3}
    ranked = tuple(
        Ranked(
            backbone=each.backbone,
            input_size=64,
            expected=0.5 + number / 100,
            scores=tuple((name, value + number) for name, value in scores.items()),
            rows=64,
        )
        for number, each in enumerate(rows)
    )
    page = view.view(example(leaderboard=tuple(rows), ranking=Ranking(ranked=ranked)))
    assert "of_a_plugin" not in page["time"]["scores"]
    for text in (render.html(page), render.markdown(page)):
        assert "Scores: logme: log maximum evidence" in text and "certainty of the backbone" in text
