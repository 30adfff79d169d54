"""A run on a disk that fills up at its n-th file, for every n: one line, and what was there before is readable."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from amounts import step
from cheap import make_cheap
from click.testing import CliRunner, Result
from commands import READERS, call, continued, one_line
from full_disk import FullDisk
from made_images import pictures
from simulated_run import World

from autotl import pipeline
from autotl.cli import main
from autotl.run_folder import result_file

pytestmark = pytest.mark.slow
MOST = 200  # files and folders, more than the run makes
BUNDLES = 5  # tests that the numbers are divided among
BUDGET = "30s"


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictures(tmp_path_factory.mktemp("data") / "few", each=8, classes=3)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, guest: None) -> None:
    make_cheap(monkeypatch)


def run(source: Path, folder: Path, patch: Any) -> Result:
    """``autotl run`` on the simulated engine."""
    original = pipeline.recommend
    tools = World().tools
    with patch.context() as inner:
        inner.setattr(
            pipeline,
            "recommend",
            lambda options, **given: original(options, **given | {"started": 0.0, "tools": tools}),
        )
        words = ["run", str(source), "--out", str(folder), "--budget", BUDGET, "--backbones", "mine:small"]
        return CliRunner().invoke(main, [*words, "--quiet"])


def whole(folder: Path) -> None:
    """Fail for what is half written in a run folder, where there is one."""
    if not folder.exists():
        return
    names = [str(path.relative_to(folder)) for path in folder.rglob("*")]
    assert not [name for name in names if name.endswith((".tmp", ".new", ".old"))]
    if "events.jsonl" in names:
        assert (folder / "events.jsonl").read_bytes().endswith(b"\n")
    if "result.json" in names:
        assert not result_file.altered(folder)
        assert one_line(call(READERS["leaderboard"], folder)) == ""
        if result_file.read(folder).winner is not None:
            assert (folder / "model" / "model.json").read_bytes()


def test_the_run_itself(few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FullDisk(tmp_path / "run").mounted() as disk:
        assert one_line(run(few, tmp_path / "run", monkeypatch)) == ""
    assert 80 < disk.made < MOST
    whole(tmp_path / "run")


@pytest.mark.parametrize("first", range(BUNDLES))
def test_a_disk_that_fills_up(
    first: int,
    few: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    faults = 0
    for number in range(first * step(4), MOST, BUNDLES * step(4)):
        folder = tmp_path / str(number)
        with FullDisk(folder, full_at=number).mounted() as disk:
            line = one_line(run(few, folder, monkeypatch))
        if not disk.refused:  # the run makes fewer files
            break
        faults += 1
        # What a run can do without costs no error: pictures of the report.
        assert line.startswith("Error: the disk is full") or (not line and disk.refused == 1), line
        assert "--budget" not in line
        whole(folder)
    record_property("faults", faults)


@pytest.mark.parametrize("number", [45, 75, 112])
def test_a_run_goes_on_once_there_is_space(
    number: int, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    with FullDisk(folder, full_at=number).mounted() as disk:
        one_line(run(few, folder, monkeypatch))
    assert disk.refused
    scored = {
        trial.trial.id: trial.score_val
        for trial in result_file.read(folder).trials
        if trial.score_val is not None
    }
    assert one_line(continued(folder, lambda: World().tools, monkeypatch)) == ""
    after = result_file.read(folder)
    assert after.status == "finished" and after.winner is not None
    assert scored.items() <= {trial.trial.id: trial.score_val for trial in after.trials}.items()
    whole(folder)
