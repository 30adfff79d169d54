from __future__ import annotations

import importlib.util
import re
import shlex
from dataclasses import fields
from pathlib import Path

import click
import pytest

import autotl
from autotl import errors, pipeline
from autotl.cli import main
from autotl.options import Options
from autotl.records import result
from autotl.run_folder import table
from autotl.search.time_plan import time_plan

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), ROOT / "examples" / "README.md"])
READ = {page: page.read_text(encoding="utf-8") for page in PAGES}
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


def blocks(language: str) -> list[tuple[str, str]]:
    return [
        (str(page.relative_to(ROOT)), block)
        for page, text in READ.items()
        for block in re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    ]


def commands() -> list[tuple[str, str]]:
    lines = [
        (page, line)
        for language in ("sh", "text")
        for page, block in blocks(language)
        for line in block.splitlines()
    ]
    lines += [
        ("examples", line)
        for path in (ROOT / "examples").glob("*.sh")
        for line in path.read_text().splitlines()
    ]
    return [
        (page, line.removeprefix("$ "))
        for page, line in lines
        if line.removeprefix("$ ").startswith("autotl ")
    ]


def test_generated_pages_are_not_stale() -> None:
    spec = importlib.util.spec_from_file_location("write_docs", ROOT / "tools" / "write_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for path, text in module.pages().items():
        assert path.read_text(encoding="utf-8") == text, (
            f"{path.name} is stale; write it again with: make docs"
        )


@pytest.mark.parametrize(("page", "line"), commands())
def test_every_command_shown_is_one_that_exists(page: str, line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    words = words[: next((n for n, word in enumerate(words) if word in {">", ">>", "|"}), len(words))]
    if not words or words[0].startswith("-"):
        return
    command = main.commands[words[0]]
    known = {
        option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
    }
    assert {word for word in words[1:] if re.match(r"--?[a-z]", word)} <= {*known, "--help"}, page


@pytest.mark.parametrize(("page", "code"), blocks("python"))
def test_every_python_block_compiles_and_uses_public_names(page: str, code: str) -> None:
    compile(code, page, "exec")
    for name in re.findall(r"\bautotl\.(\w+)", code):
        assert name in autotl.__all__ or importlib.util.find_spec(f"autotl.{name}")
    for name in re.findall(r"\b(?:run|again)\.(\w+)", code):
        assert hasattr(autotl.Run, name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in linked(page):
        assert target.exists(), target


def linked(page: Path) -> list[Path]:
    """Return the files that a page links to."""
    return [
        (page.parent / target).resolve() for target in LINK.findall(prose(READ[page])) if "://" not in target
    ]


def prose(text: str) -> str:
    """Return the page without its code blocks."""
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def test_every_page_can_be_reached_from_the_index() -> None:
    index = DOCS / "index.md"
    reached, new = {index}, [index]
    while new:
        pages = {target for target in linked(new.pop()) if target in READ and target.is_relative_to(DOCS)}
        new += sorted(pages - reached)
        reached |= pages
    assert {page for page in PAGES if page.is_relative_to(DOCS)} == reached


def test_every_page_is_named_in_the_index_itself() -> None:
    index = DOCS / "index.md"
    pages = {page for page in PAGES if page.is_relative_to(DOCS)} - {index}
    assert pages <= set(linked(index))


def test_the_page_on_stages_has_those_of_a_run_in_their_order() -> None:
    run = re.findall(r"^([a-z_]+)  +\S", str(pipeline.__doc__), re.MULTILINE)[1:]  # without the heading
    table = READ[DOCS / "concepts" / "stages.md"].split("| --- | --- | --- |")[1].partition("\n\n")[0]
    page = [name.replace(" ", "_") for name in re.findall(r"^\| ([a-z ]+) \|", table, re.MULTILINE)]
    assert page == run and len(run) > 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_is_long(page: Path) -> None:
    assert len(prose(READ[page]).splitlines()) <= 250


def test_a_page_that_code_or_another_file_names_exists() -> None:
    folders = ("autotl", "benchmarks", "examples", "plugins", "tools")
    files = [
        path for name in folders for path in (ROOT / name).rglob("*") if path.suffix in {".py", ".md", ".sh"}
    ]
    assert files
    for path in files:
        for name in re.findall(r"docs/[\w/-]+\.md", path.read_text(encoding="utf-8")):
            assert (ROOT / name).is_file(), f"{path.relative_to(ROOT)} names {name}"


def rows(text: str) -> list[list[str]]:
    """Return the cells of all table rows, headings included, rules left out."""
    lines = [line.strip().strip("|") for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)] for line in lines]
    return [row for row in cells if not all(re.fullmatch(r":?-+:?", cell) for cell in row)]


def test_every_figure_on_the_board_has_command_commit_date_and_machine() -> None:
    board = READ[DOCS / "measurements" / "board.md"]
    machines = re.findall(r"^- \*\*(.+?)\*\*:", board, re.MULTILINE)
    head, *figures = rows(board)
    assert head == ["figure", "command", "commit", "date", "machine"]
    assert len(figures) > 50
    for row in figures:
        assert len(row) == 5, row
        assert all(row), row
        assert re.fullmatch(r"(before )?[0-9a-f]{7,}", row[2]), row
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", row[3]), row
        assert row[4] in machines, row


def test_every_measurement_page_is_on_the_board() -> None:
    board = set(linked(DOCS / "measurements" / "board.md"))
    tables = {
        DOCS / "measurements" / f"regret-{sets}-sets.md" for sets in ("ten", "fresh")
    }  # regret.md has them
    assert {*(DOCS / "measurements").glob("*.md")} - board - tables <= {DOCS / "measurements" / "board.md"}


def test_every_option_of_a_run_is_described() -> None:
    page = DOCS / "reference" / "options.md"
    described = {name for row in rows(READ[page]) for name in re.findall(r"`(\w+)`", row[1])}
    internal = {"source", "command", "more"}
    assert {field.name for field in fields(Options)} - internal <= described
    options = {
        option for parameter in main.commands["run"].params for option in parameter.opts if option[0] == "-"
    }
    missing = [option for option in options - {"--help", "-h"} if f"`{option}" not in READ[page]]
    assert not missing


def test_every_column_of_the_leaderboard_is_described() -> None:
    for column in table.COLUMNS:
        assert f"`{column}`" in READ[DOCS / "reference" / "leaderboard.md"], column


def test_every_error_is_described() -> None:
    for name in errors.__all__:
        assert f"`{name}`" in READ[DOCS / "reference" / "errors.md"].replace("autotl.", ""), name


def test_the_glossary_has_each_word_once() -> None:
    words = [row[0] for row in rows(READ[DOCS / "reference" / "glossary.md"]) if row[0] != "word"]
    assert len(words) == len(set(words))
    assert set(words) >= {
        "backbone", "head", "layer group", "unfreeze depth", "linear probe", "fine-tune", "layer decay",
        "transferability score", "candidate", "trial", "probe", "fidelity", "budget", "allowance", "slot",
        "leaderboard", "regret", "`score_val`", "test accuracy, `score_test`", "expected accuracy", "`fit_time`",
        "`pred_time`", "winner's set", "control", "belief", "prior", "time plan", "fact",
    }  # fmt: skip


def test_the_tree_of_the_package_is_the_package() -> None:
    text = READ[DOCS / "reference" / "architecture.md"]
    tree = text.split("```text\nautotl/\n")[1].split("```")[0]
    shown = {line.split()[0].rstrip("/") for line in tree.splitlines()}
    there = {
        path.name for path in (ROOT / "autotl").iterdir() if not path.name.startswith(("__pycache__", "."))
    }
    assert shown == there


def test_every_field_of_a_result_is_described() -> None:
    text = READ[DOCS / "reference" / "run-folder.md"]
    for record in (result.Recommendation, result.Winner):
        for field in fields(record):
            assert f"`{field.name}`" in text, field.name


def test_every_command_says_what_it_is_in_the_overview() -> None:
    for name, command in main.commands.items():
        assert isinstance(command, click.Command)
        assert command.short_help, name


def test_the_readme_is_short() -> None:
    assert len(READ[ROOT / "README.md"].splitlines()) < 150


def test_the_licence_is_the_one_named() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")[:200]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_percent_signs_stand_without_a_space(page: Path) -> None:
    assert not re.findall(r".*\d`?\s%.*", READ[page])


def test_the_share_of_the_doctor_is_that_of_the_time_plan() -> None:
    assert f"| doctor | {time_plan(1000.0).doctor / 1000:.0%}: " in READ[DOCS / "concepts" / "budget.md"]
