from __future__ import annotations

import html.parser
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import CHROMIUM, browser
from example_run import NASTY, example, full_folder, row

from autotl.records import (
    Calibration,
    CurvePoint,
    Explained,
    Finding,
    Goal,
    Kind,
    Profile,
    Ranked,
    Ranking,
    fact,
)
from autotl.report import material as report_material
from autotl.report import occlusion, predictions, render, trainings
from autotl.report.figures import backbones, costs, training
from autotl.report.format import count, duration, percent
from autotl.report.sections.model import errors
from autotl.report.sections.transfer import signs
from autotl.report.view import view
from autotl.run_folder import result_file
from autotl.stats import calibration

SECTIONS = (
    "recommendation",
    "cost",
    "leaderboard",
    "depth",
    "transfer",
    "model",
    "data",
    "time",
    "reproduce",
)
VOID = {"meta", "link", "br", "img", "hr", "input", "wbr"}


class Page(html.parser.HTMLParser):
    """Tags that open and close, ids, and what would ask the network for something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.requests: list[str] = []
        self.scripts = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.scripts += tag == "script"
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in {"src", "href"} and not (value or "").startswith("#"):
                self.requests.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("example")
    render.render(example(), folder)
    return (folder / "report.html").read_text(encoding="utf-8")


def test_the_page_is_whole_and_asks_nothing_of_the_network(text: str) -> None:
    page = Page(text)
    assert page.open == []
    assert page.requests == []
    assert len(page.ids) == len(set(page.ids))
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)


def test_it_says_what_to_use_how_good_it_is_and_how_sure(text: str) -> None:
    assert 'Use <span class="name">autotl:resnet14t_small</span>' in text
    assert "last 2 layer groups fine-tuned" in text
    assert "2 other candidates are not significantly worse" in text
    assert "94.5–98.4" in text  # of the expected accuracy
    assert "2 without a score" in text


def test_sections_come_in_order(text: str) -> None:
    assert [name for name in Page(text).ids if name in SECTIONS] == [*SECTIONS]


def test_what_comes_from_files_is_escaped(tmp_path: Path) -> None:
    profile = example().profile
    nasty = Profile(
        **{name: getattr(profile, name) for name in Profile.__slots__}
        | {"classes": (NASTY, *profile.classes[1:])}
    )
    found = example(
        profile=nasty,
        leaderboard=(
            row(f"{NASTY}@1/knn", 0.5),
            row(f"{NASTY}@2/knn", None, status="failed", facts=(fact(Kind.TEXT, text=NASTY),)),
        ),
        notes=(fact(Kind.TEXT, text=NASTY),),
        command=NASTY,
    )
    render.render(found, tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert Page(text).scripts == 1  # the one that sorts
    assert "<script>alert" not in text
    words = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "<script>" not in words
    assert "|`" not in words.replace("\\|\\`", "")


def test_without_anything_each_section_says_so(tmp_path: Path) -> None:
    nothing = example(leaderboard=(), winner=None, decision=None, status="running", seconds={})
    render.render(nothing, tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    for words in (
        "No recommendation yet",
        "No candidate has a score.",
        "No times were recorded.",
        "still running",
    ):
        assert words in text
    assert Page(text).open == []


def test_summary_says_when_there_is_none() -> None:
    assert render.summary(example()).startswith("Use autotl:resnet14t_small")
    assert "goes on" in render.summary(example(winner=None, decision=None, status="running"))
    assert "no candidate finished" in render.summary(
        example(winner=None, decision=None, status="interrupted")
    )


def test_many_classes_stay_readable() -> None:
    names = tuple(f"class {n:03d}" for n in range(300))
    old = example().profile
    many = Profile(
        **{name: getattr(old, name) for name in Profile.__slots__}
        | {"classes": names, "counts": tuple(range(1, 301))}
    )
    data = view(example(profile=many))["data"]
    assert len(data["bars"]) == 60
    assert data["hidden"] == 240
    assert data["bars"][0]["count"] == "300"
    assert data["bars"][-1]["count"] == "1"


def test_whiskers_stay_on_their_rail() -> None:
    found = view(example(leaderboard=(row("a@1/knn", 1.0), row("b@1/knn", 0.0, ci_low=0.0, ci_high=0.3))))
    for line in found["leaderboard"]["rows"]:
        assert 0 <= line["left"] <= line["dot"] <= 100
        assert line["left"] + line["width"] <= 100.01


def test_seconds_add_up() -> None:
    stages = view(example())["time"]["stages"]
    assert sum(stage["width"] for stage in stages) == pytest.approx(100, abs=0.1)
    assert stages[-1]["name"] == "other"


def test_markdown_has_the_same_content(tmp_path: Path) -> None:
    render.render(example(), tmp_path)
    words = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert words.startswith("# flowers: Use autotl:resnet14t")
    for heading in (
        "## Leaderboard",
        "## Unfreeze depth",
        "## The model and its errors",
        "## Data",
        "## Time",
        "## Reproduce this run",
    ):
        assert heading in words
    assert words.partition("## Unfreeze")[0].count("\n| ") == 9  # heading, rule, seven candidates


def test_files_left_out_are_named_in_both_reports(tmp_path: Path) -> None:
    found = example()
    broken = Finding(
        kind=Kind.LEFT_OUT,
        values={"reason": Kind.NOT_AN_IMAGE, "values": {}},
        count=7,
        where=(f"rose/{NASTY}", *(f"rose/{number}.png" for number in range(6))),
        action="left_out",
    )
    found = replace(found, data=replace(found.data, findings=(broken,)))
    render.render(found, tmp_path)
    words = (tmp_path / "report.md").read_text(encoding="utf-8")
    (line,) = [line for line in words.splitlines() if line.startswith("- 7 entries left out")]
    assert "rose/3.png and 2 more." in line
    assert "(left out)" not in line  # the sentence has said it
    assert "<script>" not in line
    assert "rose/3.png" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_nothing_half_written_is_left(tmp_path: Path) -> None:
    render.render(example(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.md"]


@pytest.mark.parametrize(
    ("value", "expected"), [(0.912, "91.2%"), (1.0, "100.0%"), (None, ""), (0.0, "0.0%")]
)
def test_percent(value: float | None, expected: str) -> None:
    assert percent(value).replace("\N{NARROW NO-BREAK SPACE}", " ") == expected


def test_durations_and_counts_have_few_figures() -> None:
    def plain(text: str) -> str:
        return text.replace("\N{NARROW NO-BREAK SPACE}", " ")

    assert [plain(duration(s)) for s in (0.0021, 0.34, 59.7, 3599.9)] == [
        "2.1 ms",
        "340 ms",
        "1 min 00 s",
        "1 h 00 min",
    ]
    assert [plain(count(n)) for n in (12, 85_000, 2_300_000, 1.2e9)] == ["12", "85 k", "2.3 M", "1.2 G"]


# --------------------------------------------------------------------------- what a whole run shows


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = full_folder(tmp_path_factory.mktemp("run"))
    found = result_file.read(made)
    render.render(found, made, report_material.gather(found, made, Path(found.data.source)))  # as a run does
    return made


@pytest.fixture(scope="module")
def whole(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


def without_drawings(folder: Path) -> str:
    """Write the reports as of a run that is over its time, whose drawings are left out, and return the page."""
    found = result_file.read(folder)
    render.render(found, folder, report_material.gather(found, folder, late=True))
    return (folder / "report.html").read_text(encoding="utf-8")


def test_every_drawing_is_there_and_its_ids_are_its_own(whole: str) -> None:
    page = Page(whole)
    assert page.open == []
    assert all(address.startswith("data:image/jpeg;") for address in page.requests)
    assert len(page.ids) == len(set(page.ids))
    assert whole.count("<svg") == 12
    assert set(re.findall(r"url\(#([\w-]+)\)", whole)) <= set(page.ids)
    assert "#01" not in whole  # every stand-in became a colour of the style sheet


def test_drawings_hold_their_values(whole: str) -> None:
    assert "<title>autotl:resnet14t_small@96/lp_ft:2\n97.2" in whole.replace("\N{NARROW NO-BREAK SPACE}", " ")
    assert re.search(r"<title>tulips: \d+ of 20 .* classified correctly</title>", whole)


def test_every_figure_of_the_model_says_whose_and_on_what(whole: str) -> None:
    assert whole.count("Predictions of the model of this run on 100 test images that no choice has used") == 5


def test_it_says_what_pretraining_brought_and_how(whole: str) -> None:
    plain = whole.replace("\N{NARROW NO-BREAK SPACE}", " ")
    assert "Pretraining helps: the best without it is the same network from scratch with 61.0%" in plain
    assert "difference +36.0 points (95% CI +31.0 to +41.0, 360 images)" in plain
    assert "the same network from scratch" in plain
    assert "better asymptote?" in plain
    assert "a curve has not flattened, so its limit is unknown" in plain


def test_controls_stand_apart_and_do_not_compete(folder: Path) -> None:
    page = view(result_file.read(folder))
    assert [len(group["rows"]) for group in page["leaderboard"]["groups"]] == [3, 4, 1]
    assert page["leaderboard"]["groups"][-1]["title"].startswith("Controls")
    assert "scratch" not in str(page["depth"]["tables"])
    assert "scratch" not in costs.cost(
        result_file.read(folder), lambda row: row.fit_time, "training", None, "train"
    )


def test_a_run_without_controls_says_that_it_did_not_measure(text: str) -> None:
    assert "this run trained no network from scratch" in text


def test_pictures_outlive_the_data_and_the_same_folder_gives_the_same_bytes(folder: Path, whole: str) -> None:
    assert whole.count("data:image/jpeg;base64") == len(list((folder / "thumbnails").iterdir())) == 12
    photos = folder / "photos"
    photos.rename(folder / "elsewhere")
    render.render(result_file.read(folder), folder)
    (folder / "elsewhere").rename(photos)
    assert (folder / "report.html").read_text(encoding="utf-8") == whole


def test_without_pictures_or_predictions_it_says_so(tmp_path: Path) -> None:
    made = full_folder(tmp_path / "run", pictures=False)
    assert "image not available" in without_drawings(made)
    (made / "manifest.csv").unlink()
    assert "predictions are not in the run folder" in without_drawings(made)


def test_without_matplotlib_the_report_is_written_and_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_svg", None)
    page = render.html(
        view(result_file.read(folder), report_material.gather(result_file.read(folder), folder))
    )
    assert "<svg" not in page
    assert "This report has no figures" in page
    assert "Most confident errors" in page


@pytest.mark.slow
def test_a_hundred_classes_fifty_candidates_and_thumbnails_stay_below_three_megabytes(tmp_path: Path) -> None:
    board = tuple(row(f"mine:net{n}@96/fine_tune:{n % 3}", 0.9 - 0.01 * n) for n in range(50))
    lead = example().leaderboard[:1]
    classes = tuple(f"a kind of thing number {n:03d}" for n in range(100))
    made = full_folder(tmp_path / "run", classes, images=3000, leaderboard=(*lead, *board))
    render.render(result_file.read(made), made)
    assert (made / "report.html").stat().st_size < 3 * 2**20
    text = (made / "report.html").read_text(encoding="utf-8")
    assert text.count("a kind of thing n…</text>") + text.count("…</text>") >= 200  # each class on both axes


def test_hostile_class_and_file_names_stay_text(tmp_path: Path) -> None:
    classes = (NASTY, "$x^2$ \x01\u202e", "</svg><img src=x onerror=alert(1)>", "日本語", "a&b;")
    made = full_folder(tmp_path / "run", classes, name="{part}/{label}/<b>$ & {number}.jpg")
    render.render(result_file.read(made), made)
    text = (made / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert page.scripts == 1
    assert "<b>$ &" not in text
    assert "<img src=x" not in text
    assert not re.search("[\x00-\x08\u202e\ud800-\udfff]", text)
    assert "$x^2$" in text
    assert "日本語" in text
    words = (made / "report.md").read_text(encoding="utf-8")
    assert "<img" not in words


def test_limits_are_drawn_and_said(tmp_path: Path) -> None:
    made = full_folder(tmp_path / "run", pictures=False, goal=Goal(max_latency=0.001, max_params=2_000_000))
    found = result_file.read(made)
    drawings = report_material.gather(found, made).drawings
    assert ">limit</text>" in drawings["cost-run"]
    assert ">limit</text>" in drawings["cost-size"]
    assert view(found)["cost"]["limits"].replace("\N{NARROW NO-BREAK SPACE}", " ") == (
        "at most 1.0 ms per image; at most 2.0 M parameters"
    )


def test_probabilities_are_those_that_predict_gives(tmp_path: Path) -> None:
    fitted = Calibration(temperature=2.5, ece=0.04, ece_before=0.15, images=40)
    made = full_folder(tmp_path / "run", pictures=False, calibration=fitted)
    found = predictions.winner_predictions(result_file.read(made), made)
    assert found is not None
    with np.load(made / "trials" / "final.npz") as stored:
        raw = stored["proba"]
    np.testing.assert_allclose(found.proba, calibration.apply(raw, 2.5), atol=1e-6)
    assert (found.predicted == raw.argmax(1)).all()
    said = errors(report_material.gather(result_file.read(made), made, late=True))["calibration"]
    assert "at temperature 2.50" in said and "out-of-fold" in said


def explained_folder(folder: Path, **changes: Any) -> Path:
    made = full_folder(folder, pictures=False, **changes)
    asked = occlusion.question(result_file.read(made), made)
    assert asked is not None
    generator = np.random.default_rng(0)
    count = len(asked.rows) - 1  # the last one was not granted
    found = Explained(
        maps=generator.normal(size=(count, 8, 8)).astype(np.float32),
        shares=np.tile(np.array([[0.9, 0.3]], np.float32), (count, 1)),
        seen=generator.integers(0, 255, (count, 128, 128, 3), dtype=np.uint8),
    )
    occlusion.keep(asked, found, made)
    return made


def test_what_answers_rest_on_is_kept_and_shown_again(tmp_path: Path) -> None:
    made = explained_folder(tmp_path / "run")
    page = without_drawings(made)
    assert page.count("tinted where it supports") == 5
    assert "In 5 of 5 images a single region decides" in page
    assert "In 5 of 5 images a single region decides" in (made / "report.md").read_text(encoding="utf-8")
    with np.load(made / "trials" / "final.npz") as stored:
        others = dict(stored)
    others["proba"] = others["proba"][::-1]
    np.savez(made / "trials" / "final.npz", **others)  # answers of another model
    assert "tinted where" not in without_drawings(made)


def test_only_the_model_in_the_folder_is_asked(tmp_path: Path) -> None:
    twin = full_folder(tmp_path / "refitted", pictures=False, options={"refit": True})
    assert occlusion.question(result_file.read(twin), twin) is None
    untested = full_folder(
        tmp_path / "untested", pictures=False, winner=replace(example().winner, score_test=None)
    )
    assert occlusion.question(result_file.read(untested), untested) is None  # its probe was not kept


def test_nothing_but_chance_is_no_fault_of_the_probabilities() -> None:
    generator = np.random.default_rng(3)
    sure = generator.uniform(0.5, 1.0, 60)
    proba = np.stack([sure, 1 - sure, 0 * sure], 1)
    labels = (generator.random(60) > sure).astype(int)
    found = predictions.reliability(_answers(labels.tolist(), proba.tolist()))
    assert 0.03 < found.ece < found.chance
    wrong = predictions.reliability(_answers([1] * 60, proba.tolist()))
    assert wrong.ece > wrong.chance


def test_a_model_that_is_too_modest_on_the_whole_is_no_chance() -> None:
    modest = _answers([0] * 95 + [1] * 5, [[0.8, 0.2, 0]] * 100)
    said = errors(report_material.Material(predictions=modest))["calibration"]
    assert said.startswith("It is underconfident")


def test_backbones_that_nobody_trained_are_listed_and_would_change_our_mind(tmp_path: Path) -> None:
    waiting = Ranked(backbone="mine:big", input_size=224, expected=0.91, rows=64)
    page = view(example(ranking=Ranking(ranked=(waiting, replace(waiting, input_size=128)))))
    line = next(line for line in page["leaderboard"]["rest"] if line["candidate"] == "mine:big")
    assert line["status"] == "not tried" and "rank 1" in line["reason"] and "scored on 64" in line["reason"]
    assert page["recommendation"]["would_change"][-1].startswith("A larger budget: one backbone was")


def test_one_candidate_is_not_drawn_against_anything(tmp_path: Path) -> None:
    made = full_folder(tmp_path / "run", pictures=False, leaderboard=example().leaderboard[:1])
    found = result_file.read(made)
    assert costs.cost(found, lambda row: row.fit_time, "training time", None, "train") == ""
    assert "Only one candidate was measured" in view(found)["cost"]["sentence"]


def test_a_test_part_that_was_not_reached_is_said() -> None:
    found = example(winner=replace(example().winner, score_test=None))
    assert "Not evaluated on the 301 test images" in view(found)["recommendation"]["lede"][0][1]


def test_every_class_counting_alike_is_told_beside_the_share_of_right_answers(tmp_path: Path) -> None:
    made = full_folder(tmp_path / "run", pictures=False, metric="balanced_accuracy")
    said = errors(report_material.gather(result_file.read(made), made, late=True))["lede"]
    assert "balanced accuracy, which weights all classes equally: " in said


# --------------------------------------------------------------------------- its figures


def _answers(labels: list[int], proba: list[list[float]]) -> predictions.Predictions:
    rows = np.arange(len(labels))
    return predictions.Predictions(
        rows=rows,
        names=np.array([f"{row}.png" for row in rows], object),
        labels=np.array(labels),
        proba=np.array(proba),
        classes=("a", "b", "c"),
        model="",
        images="",
    )


def test_calibration_error_by_hand() -> None:
    found = predictions.reliability(_answers([0, 0, 1, 0], [[0.95, 0.05, 0]] * 3 + [[0.55, 0.45, 0]]))
    assert found.ece == pytest.approx(0.75 * (0.95 - 2 / 3) + 0.25 * 0.45)
    assert found.over == pytest.approx(0.85 - 0.75)
    assert [number for *_, number in found.bins] == [1, 3]


def test_the_most_wrong_are_sure_and_wrong() -> None:
    found = _answers([0, 1, 2], [[0.9, 0.1, 0], [0.6, 0.4, 0], [0.8, 0.1, 0.1]])
    assert predictions.most_confident_errors(found, 5).tolist() == [2, 1]


def test_a_pair_that_is_confused_both_ways_is_one_row_with_both_numbers() -> None:
    labels = [0, 0, 1, 1, 1, 2]
    answers = [1, 0, 0, 0, 1, 0]  # a as b, b as a twice, c as a
    found = _answers(labels, [np.eye(3)[answer] * 0.8 + 0.1 for answer in answers])
    assert predictions.confusions(found) == [
        {"one": "b", "other": "a", "images": 3, "forth": "2 of 3", "back": "1 of 2"},
        {"one": "c", "other": "a", "images": 1, "forth": "1 of 1", "back": "0 of 2"},
    ]


def test_a_class_that_draws_the_mistakes_is_named() -> None:
    labels = [0] * 6 + [1] * 4 + [2] * 3
    proba = [[0.2, 0.7, 0.1]] * 6 + [[0.2, 0.7, 0.1]] * 4 + [[0.2, 0.1, 0.7], [0.9, 0, 0.1], [0, 0.9, 0.1]]
    said = errors(report_material.Material(predictions=_answers(labels, proba)))["pairs_sentence"]
    assert said == "7 of the 8 errors are images of other classes classified as b."


def test_a_class_without_images_has_no_line_and_one_never_named_no_precision() -> None:
    lines = predictions.by_class(_answers([0, 1], [[0.9, 0.1, 0], [0.6, 0.4, 0]]))
    assert [line["name"] for line in lines] == ["b", "a"]
    assert lines[0]["precision"] is None
    assert lines[0]["recall"].value == 0


def test_confused_classes_are_drawn_side_by_side() -> None:
    table = np.diag(np.full(30, 10))
    table[3, 27] = table[27, 3] = 5
    order = predictions.drawn_classes(table).tolist()
    assert sorted(order) == list(range(30))
    assert abs(order.index(3) - order.index(27)) == 1
    assert len(predictions.drawn_classes(np.ones((300, 300)))) == 100
    assert predictions.drawn_classes(table[:5, :5]).tolist() == [0, 1, 2, 3, 4]


def test_the_front_holds_what_nothing_cheaper_beats() -> None:
    assert costs.pareto([(3, 0.9), (1, 0.5), (2, 0.5), (4, 0.8), (1, 0.4)]) == [1, 0]


def a_training(*points: tuple[float, float], frozen: bool = False) -> trainings.Training:
    return trainings.Training(candidate="a@1/x", points=points, frozen=frozen)


def told(one: trainings.Training, other: trainings.Training) -> dict[str, str]:
    compared = signs(one, other)
    return {name: value.replace("\N{NARROW NO-BREAK SPACE}", " ") for name, value in compared.items()}


def test_an_asymptote_is_told_only_of_flat_curves() -> None:
    flat = a_training((1.0, 0.8), (4.0, 0.9), (7.0, 0.902), (9.0, 0.902))
    fresh = a_training((1.0, 0.3), (4.0, 0.7), (7.0, 0.703), (9.0, 0.704))
    found = told(flat, fresh)
    assert found["start"] == "80.0% after 1.0 s; from scratch 30.0%"
    assert found["slope"] == "+3.3 points per second at first; from scratch +13.3 points"
    assert found["asymptote"].startswith("90.2%; from scratch 70.4%")
    assert "has not flattened" in told(flat, a_training(*fresh.points[:2]))["asymptote"]


def test_a_head_in_closed_form_has_one_point_and_no_signs() -> None:
    fresh = a_training((1.0, 0.3), (8.0, 0.6))
    assert told(a_training((2.1, 0.9), frozen=True), fresh) == {
        "reached": "90.0% after 2.1 s; from scratch 60.0% after 8.0 s"
    }


def test_the_winner_is_held_against_scratch_and_against_no_network(tmp_path: Path) -> None:
    forest = row("pixels@16/random_forest", 0.41, control="pixels")
    made = full_folder(tmp_path / "run", pictures=False, leaderboard=(*example().leaderboard, forest))
    found = result_file.read(made)
    pair = trainings.transfer_pair(found)
    assert pair is not None
    assert [each.candidate for each in pair] == [
        "autotl:resnet14t_small@96/lp_ft:2",
        "autotl:resnet14t_small@96/scratch:all",
    ]
    drawn = training.transfer(pair, trainings.without_network(found), "accuracy")
    for label in ("pretrained", "from scratch", "best without a network"):
        assert f">{label}</text>" in drawn
    frozen = replace(found.winner, candidate="autotl:resnet14t_small@96/linear_probe")
    pair = trainings.transfer_pair(replace(found, winner=frozen))
    drawn = training.transfer(pair, trainings.without_network(found), "accuracy")
    assert ">pretrained, head only</text>" in drawn


def test_depth_is_explained_by_probes_and_by_features(folder: Path) -> None:
    found = result_file.read(folder)
    drawn = backbones.features(trainings.depth_profiles(found), "accuracy")
    assert "nearest neighbours" in drawn and ">accuracy of a linear head</text>" in drawn
    said = view(found)["depth"]["sentences"]
    plain = said[-1].replace("\N{NARROW NO-BREAK SPACE}", " ")
    assert plain.startswith(
        "Frozen features of autotl:resnet14t_small: layer group 4 of 5 is the best, 92.0%"
    )
    assert said[0].startswith("Fine-tuned: against") and "difference +4.1 points" in said[0]
    few = tuple(replace(each, rows=20) for each in found.depth_profiles)
    said = view(replace(found, depth_profiles=few))["depth"]["sentences"]
    assert "is at least as accurate as on the last, 84.0%" in said[-1]  # not significant on 20 images


def test_the_fall_of_the_loss_in_the_last_fifth() -> None:
    points = [
        CurvePoint(epoch=float(n), seconds=0, loss=loss) for n, loss in enumerate((1, 0.8, 0.6, 0.4, 0.2))
    ]
    assert trainings.loss_fall(points) == pytest.approx(0.5)
    flat = [
        CurvePoint(epoch=float(n), seconds=0, loss=loss) for n, loss in enumerate((1, 0.5, 0.4, 0.39, 0.39))
    ]
    assert trainings.loss_fall(flat) == pytest.approx(0.0)


# --------------------------------------------------------------------------- in a browser


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_browser_opens_it_without_a_network_sorts_it_and_has_no_complaint(
    folder: Path, tmp_path: Path
) -> None:
    first = "document.querySelectorAll('.board tbody')[1].rows[1].cells[1].dataset.value"
    with browser(tmp_path / "browser") as page:
        page.open(folder / "report.html")
        assert page.run(first) == "autotl:resnet14t_small@96/linear_probe"
        page.run("document.querySelectorAll('.board thead button')[3].click()")  # by time to train
        assert page.run(first) == "autotl:levit_small@96/knn"
        assert page.run("document.querySelectorAll('.board tbody')[0].rows.length") == 4  # groups stay whole
        for width, scheme in ((1200, "dark"), (360, "light")):
            page.open(folder / "report.html", width=width, scheme=scheme)
            assert page.run("document.documentElement.scrollWidth") <= width
            assert page.run("getComputedStyle(document.querySelector('svg text')).fill") == page.run(
                "getComputedStyle(document.querySelector('.note')).color"
            )
        page.paper(tmp_path / "report.pdf")
        assert page.complaints == []
    assert (tmp_path / "report.pdf").stat().st_size > 20_000
