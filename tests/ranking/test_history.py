"""The history of past runs: what a line holds, what it changes, and that nothing in the file is ever lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from autotl.errors import RunError
from autotl.ranking import history
from autotl.ranking.screening import Screening
from autotl.records import BackboneSpec, Profile, Ranked, Ranking, Similarity

NAMES = ("good", "fair", "poor")
PRIOR = dict.fromkeys(NAMES, 0.6)
SPECS = [BackboneSpec(name=name, build="m:b", macs=1e8, published=0.6) for name in NAMES]
PROFILE = Profile(
    images=300,
    classes=("secret class", "other"),
    counts=(100, 200),
    imbalance=2.0,
    side=64,
    sides=(60, 70),
    gray=0.0,
    alpha=0.0,
    bytes=1,
    similarity=(Similarity(domain="imagenet-1k", value=0.5, low=0.4, high=0.6, level="middling"),),
)
RANKING = Ranking(
    ranked=(
        Ranked(backbone="good", input_size=64, expected=0.8, rows=100),
        Ranked(backbone="good", input_size=32, expected=0.7, rows=100),
        Ranked(backbone="fair", input_size=64, expected=0.6, rows=100),
        Ranked(backbone="poor", input_size=64, expected=0.5, rows=100),
        Ranked(backbone="unseen", input_size=64, expected=0.9),
    )
)
ONE = history.record("f1", PROFILE, RANKING)


def test_a_line_holds_figures_alone(tmp_path: Path) -> None:
    history.append(tmp_path / "new" / "history.jsonl", ONE)
    text = (tmp_path / "new" / "history.jsonl").read_text()
    assert text.count("\n") == 1 and "secret" not in text and "/" not in text
    assert ONE.scores == {"good": 0.8, "fair": 0.6, "poor": 0.5}


def test_what_is_appended_is_read_back_and_what_was_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    assert history.read(path) == ()
    history.append(path, ONE)
    before = path.read_bytes()
    history.append(path, replace(ONE, fingerprint="f2"))
    assert path.read_bytes().startswith(before)
    assert [one.fingerprint for one in history.read(path)] == ["f1", "f2"]


def test_a_file_whose_last_line_lacks_its_end_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    history.append(path, ONE)
    path.write_bytes(path.read_bytes().rstrip())
    history.append(path, ONE)
    assert len(history.read(path)) == 2


@pytest.mark.parametrize("line", ["not json", "{}", '{"autotl_memory": 1}', '["a"]', "\x00"])
def test_a_foreign_line_is_named_and_left_as_it_is(tmp_path: Path, line: str) -> None:
    path = tmp_path / "history.jsonl"
    history.append(path, ONE)
    with open(path, "a", encoding="utf-8") as file:
        file.write(line + "\n")
    before = path.read_bytes()
    with pytest.raises(RunError, match="line 2 of the history"):
        history.read(path)
    assert path.read_bytes() == before


def test_a_newer_version_and_a_folder_are_errors_that_say_so(tmp_path: Path) -> None:
    history.append(tmp_path / "history.jsonl", replace(ONE, autotl_memory=2))
    with pytest.raises(RunError, match="version is 2"):
        history.read(tmp_path / "history.jsonl")
    with pytest.raises(RunError, match="cannot be read"):
        history.read(tmp_path)


def test_what_did_better_than_its_prior_is_favoured_the_more_often_the_more() -> None:
    once = history.evidence([ONE], SPECS, PRIOR)
    often = history.evidence([ONE] * 5, SPECS, PRIOR)
    assert once["good"] > 0 > once["poor"]
    assert often["good"] > once["good"]
    screening = Screening(SPECS, dict.fromkeys(NAMES, (64,)), 500, 4, often)
    assert [entry.backbone for entry in screening.ranking().ranked] == list(NAMES)


def test_runs_of_other_backbones_say_nothing() -> None:
    assert history.evidence([replace(ONE, scores={"good": 0.8, "else": 0.1})], SPECS, PRIOR) == {}


def test_the_weight_of_a_plugins_score_is_learned_from_past_runs() -> None:
    def runs(tau: float, count: int) -> list[history.PastRun]:
        run = history.PastRun(
            autotl_memory=1, fingerprint="", images=100, classes=2, side=64, imbalance=1.0, similarity={},
            scores={}, agreement={"mine": (tau, 8)},
        )  # fmt: skip
        return [run] * count

    stated = {"mine": 0.1}
    assert history.usual_weights((), stated) == stated
    good = [history.usual_weights(runs(0.9, count), stated)["mine"] for count in (1, 3, 20)]
    bad = [history.usual_weights(runs(-0.1, count), stated)["mine"] for count in (1, 3, 20)]
    assert 0.1 < good[0] < good[1] < good[2] <= 0.2
    assert 0.1 > bad[0] > bad[1] > bad[2] >= 0
