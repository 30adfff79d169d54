"""A section of the report is an entry of one table; its parts exist in both templates."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from example_run import example

from autotl.records import StagePlan
from autotl.report import render, view
from autotl.report.format import printable
from autotl.report.wording import page as wording

TEMPLATES = Path(render.__file__).parent / "templates"


def test_every_section_has_a_macro_and_content() -> None:
    macros = re.findall(r"{% macro (\w+)\(", (TEMPLATES / "sections.html").read_text(encoding="utf-8"))
    assert set(view.SECTIONS) == set(macros) - {"figure"}
    page = view.view(example())
    assert all(page[name] for name in view.SECTIONS)


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
    assert [figure["label"] for figure in content["figures"]][:2] == ["expected accuracy", "test accuracy"]
    assert content["figures"][0]["value"].startswith("96.9")  # the corrected one, with its own interval
    assert "score 97.2" in content["figures"][0]["note"]
    assert content["lede"][0].startswith("Test accuracy: 96.7")


def test_the_time_plan_stands_beside_what_a_stage_took() -> None:
    plan = (StagePlan(stage="start", seconds=5.0, fixed=True, covers=("load", "start")),)
    [row] = view.view(example(time_plan=plan, seconds={"load": 1.5, "start": 2.0}))["time"]["plan"]
    assert (row["stage"], printable(row["planned"]), printable(row["used"])) == ("start", "5.0 s", "3.5 s")
