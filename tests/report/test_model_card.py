"""The model card of a run on a table: its front matter, its figures, and what a name cannot do to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from made_images import pictures
from simulated_run import SPECS, World

from autotl import pipeline
from autotl.hookspecs import hookimpl
from autotl.plugins import manager
from autotl.report import model_card
from autotl.run_folder import result_file


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    specs = [replace(spec, licence="Apache-2.0") for spec in SPECS]
    guest = SimpleNamespace(__name__="guest", register_backbones=hookimpl(lambda profile, settings: specs))
    load = manager.load_plugins
    monkeypatch.setattr(pipeline, "load_plugins", lambda: load([guest]))
    return World().run(pictures(tmp_path / "photos"), tmp_path / "run")


def test_a_run_leaves_a_card_with_its_figures(run: Path) -> None:
    text = (run / "model" / model_card.FILE).read_text()
    state = result_file.read(run)
    assert state.winner is not None
    front = text.split("---\n")[1]
    assert "license: apache-2.0\n" in front
    assert "pipeline_tag: image-classification\n" in front
    assert f"value: {state.winner.score_test}}}" in front  # as many digits as in result.json
    assert state.decision is not None and state.decision.score is not None
    assert f"| {state.decision.score.value:.1%} |" in text  # less what choosing the best flatters
    assert 'name: "photos"' in front
    assert f"| {state.winner.score_test:.1%} |" in text
    assert text.count("\n| class") == 5  # a head and four classes
    assert "The backbone's weights: Apache-2.0." in text
    assert str(run.parent) not in text, "no path of this machine"


def test_without_a_test_part_the_classes_are_judged_where_the_choice_rests(run: Path) -> None:
    state = result_file.read(run)
    trials = tuple(t for t in state.trials if "test" not in t.trial.evaluate_on)
    assert state.winner is not None
    winner = replace(state.winner, score_test=None, test_low=None, test_high=None)
    model_card.write(replace(state, trials=trials, winner=winner), run)
    text = (run / "model" / model_card.FILE).read_text()
    assert "By class, on the selection images" in text
    assert f"value: {state.winner.score_val}" in text


def test_names_cannot_break_it(run: Path) -> None:
    state = result_file.read(run)
    nasty = 'x"\n---\n| <b>*a*'
    specs = tuple(replace(spec, licence=nasty) for spec in state.backbones)
    model_card.write(replace(state, data=replace(state.data, source=nasty), backbones=specs), run)
    text = (run / "model" / model_card.FILE).read_text()
    assert text.count("\n---\n") == 1
    assert "license: other\n" in text and "<b>" not in text.split("\n---\n")[1].replace("\\<b\\>", "")


def test_no_winner_no_card(tmp_path: Path) -> None:
    from example_run import example

    (tmp_path / "model").mkdir()
    model_card.write(example(winner=None), tmp_path)
    assert not (tmp_path / "model" / model_card.FILE).exists()
