from __future__ import annotations

import importlib.util
import re
import shlex
from dataclasses import fields
from pathlib import Path

import click
import pytest

import autotl
from autotl.cli import main
from autotl.records import result

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "examples" / "README.md"])
READ = {page: page.read_text(encoding="utf-8") for page in PAGES}


def blocks(language: str) -> list[tuple[str, str]]:
    return [
        (page.name, block)
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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", READ[page]):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_every_field_of_a_result_is_described() -> None:
    text = READ[ROOT / "docs" / "run-folder.md"]
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
