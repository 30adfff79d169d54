"""A run folder of autotl 0.1 (schema 1) still opens in every command that reads one."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from autotl import load
from autotl.cli import main
from autotl.records import Kind
from autotl.records.result import ModelIs
from autotl.run_folder import result_file

ARCHIVE = (
    Path(__file__).parent / "run-0.1.0.zip"
)  # 300 striped images of 16 px, a network of 12 thousand parameters


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(tmp_path)
    monkeypatch.chdir(tmp_path)  # its images and weights are named relative to it
    return Path("run")


def run(*words: str | Path) -> str:
    done = CliRunner().invoke(main, [*map(str, words)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_its_sentences_are_facts_of_kind_text(folder: Path) -> None:
    state = load(folder).result
    assert state.schema_version == 2
    assert state.winner is not None and state.winner.model_is is ModelIs.REFITTED
    assert state.decision is not None and state.decision.reasons
    assert {reason.kind for reason in state.decision.reasons} == {Kind.TEXT}
    assert result_file.version(folder) == 1, "reading does not change the folder"


@pytest.mark.parametrize("command", ["leaderboard", "report", "replay", "decide"])
def test_it_opens(folder: Path, command: str) -> None:
    output = run(command, folder)
    if command in {"leaderboard", "decide"}:
        assert "fine_tune:all" in output


@pytest.mark.slow
def test_its_model_predicts(folder: Path) -> None:
    assert "photos/down/001.png,down," in run("predict", folder, "photos/down/001.png", "--quiet")


@pytest.mark.slow
def test_it_can_be_continued(folder: Path) -> None:
    before = load(folder).result
    run("run", "--continue", folder, "--budget", "+15s", "--offline", "--quiet")
    after = load(folder).result
    assert after.status == "finished" and result_file.version(folder) == 2
    assert len(after.trials) >= len(before.trials)
