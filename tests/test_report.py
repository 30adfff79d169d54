from __future__ import annotations

import html.parser
import shutil
import subprocess
from pathlib import Path

import pytest
from example_run import NASTY, example, row, run_folder

from autotl import report
from autotl.records import Profile
from autotl.report.view import view
from autotl.report.words import count, duration, percent

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
VOID = {"meta", "link", "br", "img", "hr", "input"}


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


@pytest.fixture
def text(tmp_path: Path) -> str:
    report.render(example(), tmp_path)
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_page_is_whole_and_asks_nothing_of_the_network(text: str) -> None:
    page = Page(text)
    assert page.open == []
    assert page.requests == []
    assert len(page.ids) == len(set(page.ids))
    assert "@import" not in text
    assert "url(" not in text


def test_it_says_what_to_use_how_good_it_is_and_how_sure(text: str) -> None:
    assert 'Use <span class="name">autotl:resnet14t_small</span>' in text
    assert "fine-tuned in its last 2 layer groups" in text
    assert "cannot be told apart from 2 other candidates" in text
    assert "94.8–98.4" in text
    assert "2 without a score, and why" in text


def test_sections_come_in_order(text: str) -> None:
    assert Page(text).ids == ["recommendation", "leaderboard", "depth", "data", "time", "repeat"]


def test_what_comes_from_files_is_escaped(tmp_path: Path) -> None:
    profile = example().profile
    nasty = Profile(
        **{name: getattr(profile, name) for name in Profile.__slots__}
        | {"classes": (NASTY, *profile.classes[1:])}
    )
    found = example(
        profile=nasty,
        leaderboard=(row(f"{NASTY}@1/knn", 0.5), row(f"{NASTY}@2/knn", None, status="failed", reason=NASTY)),
        notes=(NASTY,),
        command=NASTY,
    )
    report.render(found, tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert Page(text).scripts == 1  # the one that sorts
    assert "<script>alert" not in text
    words = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "<script>" not in words
    assert "|`" not in words.replace("\\|\\`", "")


def test_without_anything_each_section_says_so(tmp_path: Path) -> None:
    nothing = example(leaderboard=(), winner=None, decision=None, summary="", status="running", seconds={})
    report.render(nothing, tmp_path)
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
    assert report.summary(example()).startswith("Use autotl:resnet14t_small")
    assert "goes on" in report.summary(example(summary="", status="running"))
    assert "no candidate finished" in report.summary(example(summary="", status="interrupted"))


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
    for line in found["board"]["rows"]:
        assert 0 <= line["left"] <= line["dot"] <= 100
        assert line["left"] + line["width"] <= 100.01


def test_seconds_add_up() -> None:
    stages = view(example())["time"]["stages"]
    assert sum(stage["width"] for stage in stages) == pytest.approx(100, abs=0.1)
    assert stages[-1]["name"] == "everything else"


def test_markdown_has_the_same_content(tmp_path: Path) -> None:
    report.render(example(), tmp_path)
    words = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert words.startswith("# flowers: Use autotl:resnet14t")
    for heading in ("## Leaderboard", "## The data", "## Where the time went", "## To repeat it"):
        assert heading in words
    assert words.count("\n| ") == 9  # heading, rule, seven candidates


def test_nothing_half_written_is_left(tmp_path: Path) -> None:
    report.render(example(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.md"]


@pytest.mark.parametrize(
    ("value", "expected"), [(0.912, "91.2 %"), (1.0, "100.0 %"), (None, ""), (0.0, "0.0 %")]
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


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_browser_shows_it_without_a_complaint(tmp_path: Path) -> None:
    report.render(example(), run_folder(tmp_path))
    done = subprocess.run(
        [
            str(CHROMIUM),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--proxy-server=127.0.0.1:9",
            f"--user-data-dir={tmp_path / 'browser'}",
            "--enable-logging=stderr",
            "--virtual-time-budget=2000",
            "--dump-dom",
            (tmp_path / "report.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "lp_ft:2" in done.stdout
    assert "CONSOLE" not in done.stderr
