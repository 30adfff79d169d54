"""Downloads in the background of a run: they join when they come, and are rows when they do not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from simulated_run import SPECS, TABLE, World

from autotl import pipeline
from autotl.budget import Allowance
from autotl.errors import AutotlError, WeightsUnavailable
from autotl.hookspecs import hookimpl
from autotl.plugins import manager
from autotl.records import BackboneSpec, Kind, Weights, fact
from autotl.report.wording import sentence
from autotl.run_folder import result_file
from autotl.weights import hub
from autotl.weights.downloads import Downloads
from autotl.weights.hub import TooLate

pytestmark = pytest.mark.usefixtures("no_drawings")

FAR = BackboneSpec(
    name="mine:far",
    build="m:b",
    input_size=64,
    size_step=0,
    parameters=10**6,
    macs=2e7,
    published=0.75,
    weights=Weights(kind="hub", location="someone/far", bytes=84_000_000),
)
CELLS = TABLE | {("mine:far", 64): TABLE["mine:good", 128]}


def unlimited() -> Allowance:
    return Allowance(deadline=float("inf"))


def test_what_has_come_is_taken_once_and_what_was_refused_is_a_row() -> None:
    def fetch(weights: Weights, *, allowance: Allowance) -> Path:
        if weights.location == "someone/closed":
            raise WeightsUnavailable("see the licence at http://hub/someone/closed")
        if weights.location == "someone/odd":
            raise OSError("the disk is full")
        return Path("there")

    def spec(name: str) -> BackboneSpec:
        return BackboneSpec(name=name, build="m:b", weights=Weights(kind="hub", location=f"someone/{name}"))

    downloads = Downloads(
        wanted=[spec(n) for n in ("closed", "odd", "far")], allowance=unlimited(), fetch=fetch
    )
    assert downloads.wait(5)
    (came,) = downloads.take()
    assert came.name == "far" and not hub.away(came)
    assert not downloads.wait(0) and downloads.take() == []
    refused = {skip.name: sentence(skip.reason) for skip in downloads.close()}
    assert set(refused) == {"closed", "odd"}
    assert "licence" in refused["closed"] and "disk is full" in refused["odd"]


def test_a_late_download_is_a_reason_with_backbone_and_size() -> None:
    begun = threading.Event()

    def fetch(weights: Weights, *, allowance: Allowance) -> Path:
        begun.set()
        while not allowance.expired:
            time.sleep(0.01)
        raise TooLate("late")

    downloads = Downloads(wanted=[FAR, FAR], allowance=unlimited(), fetch=fetch)
    assert begun.wait(5) and not downloads.wait(0.05)
    late = downloads.close()
    assert [skip.reason for skip in late] == [
        fact(Kind.DOWNLOAD_TOO_LATE, backbone="mine:far", bytes=84_000_000)
    ] * 2


@pytest.fixture
def guests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)

    def register(profile: Any, settings: Any) -> list[BackboneSpec]:
        return [SPECS[0], FAR]

    offering = SimpleNamespace(__name__="guest", register_backbones=hookimpl(register))
    original = manager.load_plugins
    monkeypatch.setattr(pipeline, "load_plugins", lambda: original([offering]))


def run(source: Path, out: Path, fetch: Callable[..., Path], world: World, **options: Any) -> Path:
    return pipeline.recommend(
        pipeline.Options(source=str(source), out=str(out), **({"backbones": ("mine:*",)} | options)),
        tools=replace(world.tools, fetch=fetch),
        started=0.0,
    )


@pytest.mark.usefixtures("guests")
def test_a_download_that_comes_in_time_takes_part_and_wins(photos: Path, tmp_path: Path) -> None:
    def fetch(weights: Weights, *, allowance: Allowance) -> Path:
        return tmp_path

    world = World(CELLS)
    folder = run(photos, tmp_path / "run", fetch, world, budget=120.0)
    state = result_file.read(folder)
    assert state.winner is not None and state.winner.backbone == "mine:far"
    said = [event.message for event in world.events if event.stage == "download"]
    assert said[0].startswith("84 MB in the background") and said[1] == "mine:far is here"
    assert state.skipped == ()


@pytest.mark.usefixtures("guests")
def test_a_download_that_comes_too_late_is_a_row(photos: Path, tmp_path: Path) -> None:
    let_go = threading.Event()

    def fetch(weights: Weights, *, allowance: Allowance) -> Path:
        let_go.wait(20)
        raise TooLate("late")

    # The clock of the table stands still while real threads wait, so nobody waits long in this test.
    folder = run(photos, tmp_path / "run", fetch, World(CELLS), budget=30.0)
    let_go.set()
    state = result_file.read(folder)
    assert state.winner is not None and state.winner.backbone == "mine:small"
    (row,) = [row for row in state.leaderboard if row.backbone == "mine:far"]
    assert row.status == "skipped" and sentence(row.facts[0]).startswith("84 MB had not arrived")


@pytest.mark.usefixtures("guests")
def test_when_the_only_backbone_is_refused_the_reason_is_the_error(photos: Path, tmp_path: Path) -> None:
    def fetch(weights: Weights, *, allowance: Allowance) -> Path:
        raise WeightsUnavailable("the hub refuses it; see http://hub/someone/far")

    with pytest.raises(AutotlError, match="http://hub/someone/far"):
        run(photos, tmp_path / "run", fetch, World(CELLS), backbones=("mine:far",))
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("guests")
def test_offline_nothing_is_fetched(photos: Path, tmp_path: Path) -> None:
    def fetch(weights: Weights, *, allowance: Allowance) -> Path:
        pytest.fail("a download was begun")

    world = World(CELLS | {("mine:far", 64): TABLE["mine:broken", 64]})
    folder = run(photos, tmp_path / "run", fetch, world, offline=True)
    assert any(row.backbone == "mine:far" and row.facts for row in result_file.read(folder).leaderboard)
