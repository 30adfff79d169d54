"""Damaged result.json and damaged run files end in a result or in one line that names the file."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from amounts import mutants
from commands import READERS, call, contents, one_line
from example_run import full_folder
from mutants import damaged_bytes, damaged_json

from autotl.cache import atomic_write
from autotl.report import occlusion, render
from autotl.run_folder import replay, result_file, table

pytestmark = pytest.mark.usefixtures("no_drawings")

MUTANTS = mutants(120)
BUNDLE = min(40, MUTANTS)  # mutants of a test
QUICK = ("leaderboard", "decide", "replay", "diff", "csv")
REPORTED = 40  # of so many mutants, a report is written of one as well
FILES = ("manifest.csv", "trials/t30.npz", "trials/final.npz", "leaderboard.csv", "model/model.json")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up run that a replay derives again byte for byte."""
    folder = full_folder(tmp_path_factory.mktemp("mutants") / "run", images=60, pictures=False)
    (folder / "model").mkdir()
    (folder / "model" / "model.json").write_text('{"classes": ["a", "b"], "temperature": 1.5}')
    (folder / "model" / "model.safetensors").write_bytes(bytes(range(256)))
    again = replay.derive(result_file.read(folder), folder)
    atomic_write(folder / "leaderboard.csv", table.write(table.rows(again)))
    result_file.write(replace(again, files=result_file.files(folder)), folder)
    assert replay.replay(folder) == []
    return folder


@pytest.fixture
def run(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "run"))


@pytest.mark.parametrize("first", range(0, MUTANTS, BUNDLE))
def test_a_damaged_result(first: int, run: Path, record_property: Callable[[str, object], None]) -> None:
    record_property("mutants", min(BUNDLE, MUTANTS - first))
    path = run / "result.json"
    whole, others = path.read_bytes(), contents(run)
    for seed in range(first, min(first + BUNDLE, MUTANTS)):
        damaged = damaged_bytes(whole, seed) if seed % 4 == 0 else damaged_json(whole, seed)
        path.write_bytes(damaged)
        line = one_line(call(READERS[QUICK[seed % len(QUICK)]], run))
        assert not line or "result.json" in line or "run" in line, line
        if damaged != whole:
            assert one_line(call(READERS["replay"], run)), f"seed {seed} is not noticed"
        if seed % REPORTED == 1:
            one_line(call(READERS["report"], run))
        for name in (render.HTML, render.MARKDOWN):
            (run / name).unlink(missing_ok=True)
    path.write_bytes(whole)
    assert contents(run) == others


@pytest.mark.parametrize("first", range(0, MUTANTS, BUNDLE))
def test_a_damaged_file(first: int, run: Path, record_property: Callable[[str, object], None]) -> None:
    record_property("mutants", min(BUNDLE, MUTANTS - first))
    for seed in range(first, min(first + BUNDLE, MUTANTS)):
        path = run / FILES[seed % len(FILES)]
        whole = path.read_bytes()
        path.write_bytes(damaged_bytes(whole, seed))
        if path.read_bytes() != whole:
            line = one_line(call(READERS["replay"], run))
            assert path.name in line, f"seed {seed}: {path.name} is not named by {line!r}"
        line = one_line(call(READERS[QUICK[seed % len(QUICK)]], run))
        assert not line or path.name in line, line
        if seed % REPORTED == 1:
            line = one_line(call(READERS["report"], run))
            assert not line or path.name in line, line
        path.write_bytes(whole)


@pytest.mark.parametrize("name", [*FILES, "trials", "model", "result.json"])
def test_a_missing_file(name: str, run: Path) -> None:
    place = run / name
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink()
    for command, words in READERS.items():
        line = one_line(call(words, run))
        if command == "replay" and name != "leaderboard.csv":
            assert name in line
        if command in {"decide", "apply"} and name in {"trials", "trials/t30.npz"}:
            assert name in line


def test_json_deeper_than_the_stack(run: Path) -> None:
    (run / "result.json").write_bytes(b"[" * 100_000)
    assert "result.json" in one_line(call(READERS["leaderboard"], run))
    (run / "result.json").write_bytes(b'{"data": ' * 20_000)
    assert "result.json" in one_line(call(READERS["replay"], run))


def test_pictures_that_are_damaged_are_left_out(run: Path) -> None:
    (run / occlusion.FILE).write_bytes(b"no archive")
    (run / "thumbnails").mkdir(exist_ok=True)
    assert one_line(call(READERS["report"], run)) == ""


def test_predictions_that_would_fill_the_memory_are_refused(run: Path) -> None:
    import numpy as np

    np.savez_compressed(
        run / "trials" / "t30.npz", rows=np.arange(10), proba=np.zeros((10, 10**6), np.float32)
    )
    assert "t30.npz" in one_line(call(READERS["replay"], run))
