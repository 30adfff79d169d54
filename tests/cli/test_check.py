from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from autotl.cli import main

GUEST = """
from autotl.hookspecs import hookimpl
from autotl.records import Score

@hookimpl
def register_scores():
    return [Score(name="mine", summary="mine", compute="{compute}")]
"""


@pytest.fixture
def guest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    monkeypatch.setattr("sys.path", [*sys.path])
    return (
        tmp_path / f"{re.sub(r'[^a-z_]', '_', request.node.name)}.py"
    )  # a module is imported once, so each has its own name


def test_a_sound_plugin_is_a_table_and_exit_code_0(guest: Path) -> None:
    guest.write_text(GUEST.format(compute="autotl.builtin.scores:linear"))
    done = CliRunner().invoke(main, ["check", str(guest)])
    assert done.exit_code == 0, done.output
    assert "score mine" in done.output and "checks passed" in done.output
    assert max(map(len, done.output.splitlines())) <= 80


def test_a_broken_plugin_says_what_is_broken_and_exits_with_1(guest: Path) -> None:
    guest.write_text(GUEST.format(compute="autotl.builtin.scores:nothing"))
    done = CliRunner().invoke(main, ["check", str(guest)])
    assert done.exit_code == 1
    assert "FAILED" in done.stdout and "requirement:" in done.stdout
    assert "the first" in done.stderr and "cannot be imported" in done.stderr


def test_as_json_it_is_every_check_with_its_promise(guest: Path) -> None:
    guest.write_text("import nothing_of_that_name")
    done = CliRunner().invoke(main, ["check", str(guest), "--json"])
    assert done.exit_code == 1
    (found,) = json.loads(done.stdout)
    assert found["check"] == "imports" and found["status"] == "failed" and "nothing_of" in found["message"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("while True: pass", r"took over 2 s, in f \(.*\.py, line"),
        ("os._exit(7)", "ended its process with exit code 7"),
        ("os.kill(os.getpid(), 11)", "ended its process by SIGSEGV"),
        ("re.match('(a*)*b', 'a' * 60)", "took over 12 s and did not let go of Python"),
    ],
    ids=("hangs", "exits", "crashes", "hangs_in_c"),
)
def test_a_check_that_hangs_or_crashes_is_named_and_the_others_are_made(
    guest: Path, body: str, message: str
) -> None:
    function = f"\ndef f(*args):\n    import os, re\n    {body}\n"
    guest.write_text(GUEST.format(compute=f"{guest.stem}:f") + function)
    done = CliRunner().invoke(main, ["check", str(guest), "--json", "--limit", "2"])
    outcomes = json.loads(done.stdout)
    of_score = [outcome for outcome in outcomes if outcome["subject"] == "score mine"]
    (failed,) = [outcome for outcome in of_score if outcome["status"] == "failed"]
    assert failed["check"] == "gives_a_number" and re.search(message, failed["message"]), failed
    assert [outcome["status"] for outcome in of_score[3:]] == ["skipped"] * 5


def test_an_unknown_plugin_is_one_line() -> None:
    done = CliRunner().invoke(main, ["check", "autotl.strategie"])
    assert done.exit_code == 1
    assert "did you mean 'autotl.strategies'" in done.stderr
