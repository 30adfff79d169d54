"""Nothing depends on a sentence: with each replaced by its kind's name, a run and all that reads it work alike."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from simulated_run import World

import autotl
from autotl import pipeline
from autotl.cli import main
from autotl.records.facts import Kind
from autotl.report import wording
from autotl.run_folder.diff import compare
from autotl.run_folder.replay import replay

PACKAGE = Path(autotl.__file__).parent


def _story(folder: Path, photos: Path) -> dict[str, Any]:
    """Run, continue, replay, decide again, compare and report, and return what a program reads of it."""
    first = World().run(photos, folder / "first", budget=60.0)
    again = World().run(photos, folder / "again", budget=60.0, prefer="speed")
    recommend = pipeline.recommend
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            pipeline,
            "recommend",
            lambda options, **given: recommend(options, **given | {"started": 0.0, "tools": World().tools}),
        )
        run = autotl.load(first).extend("1m")
    outcome = CliRunner().invoke(main, ["report", str(first)])
    assert outcome.exit_code == 0, outcome.output
    shown = CliRunner().invoke(main, ["leaderboard", str(first)])
    assert shown.exit_code == 0, shown.output
    differences = compare(run.result, autotl.load(again).result)
    return {
        "decision": run.decision,
        "leaderboard": run.result.leaderboard,
        "winner": run.result.winner,
        "notes": run.result.notes,
        "replay": replay(first),
        "decided": run.decide(prefer="size").decision,
        "why": [reason.kind for reason in differences.why],
        "changes": (differences.data, differences.scores, differences.only_one, differences.only_other),
        "sections": (first / "report.html").read_text().count("<section"),
    }


def _named(kind: Kind) -> Callable[..., str]:
    return lambda **_: str(kind)


@pytest.mark.slow
def test_a_run_does_not_depend_on_sentences(
    guest: None, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = _story(tmp_path / "usual", photos)
    for kind in Kind:
        monkeypatch.setitem(wording.SENTENCES, kind, _named(kind))
    replaced = _story(tmp_path / "replaced", photos)
    assert replaced == usual
    assert usual["decision"].winner and usual["sections"] > 5 and not usual["replay"]


def test_every_kind_is_used_outside_the_wording() -> None:
    used = set()
    for path in PACKAGE.rglob("*.py"):
        if "wording" in path.parts or path.name == "facts.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "Kind"
            ):
                used.add(Kind[node.attr])
    assert used == set(Kind), f"not used: {set(Kind) - used}"
