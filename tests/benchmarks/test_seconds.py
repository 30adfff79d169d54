"""Where the seconds of a run went: read from a made-up result.json. No torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from example_run import example, run_folder

from autotl.records.result import Recommendation
from benchmarks import seconds

SECONDS = {"budget": 60.0, "total": 50.0, "decode": 4.0, "start": 3.0, "search": 40.0, "controls": 1.0}
WORKED = {"search": {"forward": 10.0, "backward": 20.0, "decode": 6.0, "build": 1.0}, "start": {"other": 2.0}}


def made_up() -> Recommendation:
    return example(seconds=SECONDS, worked=WORKED)


def test_every_second_has_a_name_and_is_counted_once() -> None:
    spent = seconds.seconds(made_up(), end=52.0)
    assert sum(spent.values()) == pytest.approx(52.0)
    assert spent["backward and optimiser"] == 20.0
    assert spent["decode, resize, augment"] == 10.0  # before the search and in it
    assert spent["deciding"] == pytest.approx(3.0)  # of the search, while the engine waited
    assert spent["start: torch"] == pytest.approx(1.0)
    assert spent[seconds.BETWEEN] == pytest.approx(2.0)
    assert spent["report"] == pytest.approx(2.0)  # written after result.json
    assert seconds.passes(spent) == pytest.approx(40 / 52)


def test_stages_and_kinds_without_a_name_keep_their_own() -> None:
    state = example(seconds={"total": 9.0, "new": 9.0}, worked={"new": {"warp": 5.0}})
    spent = seconds.seconds(state, end=0.0)
    assert {what: took for what, took in spent.items() if took} == {"warp": 5.0, "new": 4.0}


def test_a_table_is_printed_without_torch(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "ten", made_up())
    (folder / "events.jsonl").write_text('{"time": 1.0}\n{"time": 52.0}\n')
    code = (
        f"import sys; sys.argv[1:] = [{str(folder)!r}]; from benchmarks.seconds import main;"
        " main(standalone_mode=False); assert 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "| backward and optimiser | 20.0 s, 38.5% |" in done.stdout
    assert "| **forward, backward, decode** | **76.9%** |" in done.stdout
    assert "Below 90%: ten." in done.stdout


def test_a_run_that_does_not_tell_is_refused(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "old", example())
    with pytest.raises(SystemExit, match="run it again"):
        seconds.main([str(folder)], standalone_mode=False)
