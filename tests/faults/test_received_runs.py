"""A run folder that someone sent: nothing outside it is read, written or removed."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cheap import make_cheap
from commands import READERS, call, contents, continued, one_line
from example_run import full_folder
from simulated_run import World

from autotl import load, received
from autotl.errors import RunError
from autotl.run_folder import result_file

OUTSIDE = "outside"
NAMES = (
    "/OUT/secret",
    "../OUT/secret",
    "../../OUT",
    "trials/../../OUT",
    "trials/../model",
    "trials",
    "trials/",
    "trials/./t1",
    "trials//t1",
    "model",
    ".",
    "..",
    "",
    "~/.bashrc",
    "C:\\secret",
    "trials\\..\\..\\OUT",
    "trials/\0",
    "photos/train/0/1.jpg",
)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = full_folder(tmp_path_factory.mktemp("received") / "run", images=60)
    (folder / "events.jsonl").write_text("{}\n")
    (folder / "model").mkdir()
    (folder / "model" / "model.json").write_text('{"classes": ["a", "b"]}')
    (folder / "model" / "model.safetensors").write_bytes(b"weights")
    (folder / "trials" / "t1" / "model").mkdir(parents=True)
    (folder / "trials" / "t1" / "model" / "model.json").write_text("{}")
    return folder


@pytest.fixture
def run(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "run"))


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A folder beside the run, which must be the same afterwards."""
    folder = tmp_path / OUTSIDE
    folder.mkdir()
    (folder / "secret").write_text("a private file")
    (folder / "model.json").write_text('{"classes": ["secret"]}')
    before = contents(folder)
    yield folder
    assert contents(folder) == before
    assert not [path for path in tmp_path.iterdir() if path.name not in {"run", OUTSIDE, "photos"}]


def edit(run: Path, change: Any) -> None:
    state = json.loads((run / "result.json").read_text())
    change(state)
    (run / "result.json").write_text(json.dumps(state))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("field", ["model", "predictions"])
def test_a_path_that_leads_out_is_refused(name: str, field: str, run: Path, outside: Path) -> None:
    name = name.replace("OUT", OUTSIDE).replace(
        "/outside/", f"{outside}/" if name.startswith("/") else "/outside/"
    )
    edit(run, lambda state: [trial.update({field: name}) for trial in state["trials"]])
    for words in (*READERS.values(), ("fit", "RUN"), ("run", "--continue", "RUN")):
        line = one_line(call(words, run))
        assert "result.json names" in line and "tampered" in line


@pytest.mark.parametrize("name", ["../outside/secret", "/etc/passwd", "model/../../outside/secret"])
def test_a_digest_of_a_file_elsewhere_is_refused(name: str, run: Path, outside: Path) -> None:
    edit(run, lambda state: state["files"].update({name: "0" * 64}))
    assert "result.json names" in one_line(call(("replay", "RUN"), run))


LINKED = (
    "result.json",
    "manifest.csv",
    "events.jsonl",
    "leaderboard.csv",
    "report.html",
    "model",
    "model/model.json",
    "model/model.safetensors",
    "trials",
    "trials/t1/model",
    "thumbnails",
    "explained.npz",
    ".pixels",
    ".engine",
    "engine.log",
    "notes.txt",
)


@pytest.mark.parametrize("name", LINKED)
@pytest.mark.parametrize("target", ["file", "folder", "nothing"])
def test_a_link_is_not_followed(name: str, target: str, run: Path, outside: Path) -> None:
    place = run / name
    if place.is_dir():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    place.symlink_to({"file": outside / "secret", "folder": outside, "nothing": outside / "new"}[target])
    for words in (
        *READERS.values(),
        ("fit", "RUN"),
        ("run", "--continue", "RUN"),
        ("predict", "RUN", "x.png"),
    ):
        line = one_line(call(words, run))
        assert f"{Path(name).name} is a link" in line
    with pytest.raises(RunError, match="is a link"):
        load(run)


def test_a_name_too_long_for_the_disk_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot be read"):
        load(tmp_path / ("x" * 5000))


def test_a_pipe_does_not_stop_a_command(run: Path) -> None:
    (run / "leaderboard.csv").unlink(missing_ok=True)
    os.mkfifo(run / "leaderboard.csv")
    assert "neither a file nor a folder" in one_line(call(("replay", "RUN"), run))


def test_folders_too_deep_to_be_removed_are_refused(run: Path) -> None:
    deep = run / "trials" / Path(*["d"] * (received.DEEPEST + 2))
    deep.mkdir(parents=True)
    assert "folders deep" in one_line(call(("leaderboard", "RUN"), run))


def test_a_file_with_a_second_name_elsewhere_is_copied_before_it_is_appended_to(tmp_path: Path) -> None:
    (tmp_path / "bashrc").write_text("private\n")
    os.link(tmp_path / "bashrc", tmp_path / "events.jsonl")
    received.own(tmp_path / "events.jsonl")
    with open(tmp_path / "events.jsonl", "a", encoding="utf-8") as file:
        file.write("{}\n")
    assert (tmp_path / "bashrc").read_text() == "private\n"
    assert (tmp_path / "events.jsonl").read_text() == "private\n{}\n"


def test_a_link_in_a_model_alone_is_not_followed(run: Path, outside: Path) -> None:
    model = Path(shutil.copytree(run / "model", run.parent / "run" / "copy"))
    (model / "model.safetensors").unlink()
    (model / "model.safetensors").symlink_to(outside / "secret")
    assert "is a link" in one_line(call(("predict", str(model), "x.png"), model))


@pytest.mark.slow
def test_a_report_shows_no_picture_from_elsewhere(run: Path, outside: Path) -> None:
    """A manifest and a source can name any file; only thumbnails in the folder are shown."""
    shutil.rmtree(run / "thumbnails", ignore_errors=True)
    names = [
        name for name in (run / "manifest.csv").read_text().replace(",", "\n").split() if "test/" in name
    ]
    assert (run / "photos" / names[0]).is_file()
    compared = {
        "kind": "shared_group",
        "count": 1,
        "where": names[:2],
        "action": "kept",
        "pairs": [names[:2]],
    }

    def change(state: Any) -> None:
        state["data"] |= {"source": str(run / "photos"), "findings": [compared]}

    edit(run, change)
    assert one_line(call(("report", "RUN"), run)) == ""
    assert not (run / "thumbnails").exists()


@pytest.mark.parametrize("name", ["../outside/secret", "{outside}/secret", "test/../../outside/secret"])
def test_an_export_is_compared_on_no_image_from_elsewhere(
    name: str, run: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a manifest names outside the folder of the data is not read."""
    seen: list[str] = []
    engine = SimpleNamespace(export=lambda model, folder, to, images: seen.extend(images))
    monkeypatch.setitem(sys.modules, "autotl.engine.export", engine)
    monkeypatch.setattr(importlib.import_module("autotl.engine"), "export", engine, raising=False)
    edit(run, lambda state: state["data"].update({"source": str(run / "photos")}))
    table = run / "manifest.csv"
    heading, *rows = table.read_text().splitlines()
    rows[0] = f"{name.format(outside=outside)}{rows[0][rows[0].index(',') :]}"
    table.write_text("\n".join([heading, *rows, ""]))
    load(run).export("onnx")
    assert seen and all(Path(file).is_relative_to(run / "photos") for file in seen)
    assert not any("secret" in file for file in seen)


@pytest.mark.slow
def test_what_is_outside_stays_when_a_run_is_continued(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guest: None
) -> None:
    make_cheap(monkeypatch)
    folder = World().run(photos, tmp_path / "run", budget=60.0, backbones=("mine:small",))
    packages, home = tmp_path / "site-packages", tmp_path / "home"
    for place in (packages, home):
        place.mkdir()
    (home / "model.json").write_text("{}")
    genuine = (folder / "result.json").read_bytes()
    for name in (f"{packages}/evil", "../site-packages/evil", "../home", str(home)):
        edit(folder, lambda state, name=name: [trial.update({"model": name}) for trial in state["trials"]])
        line = one_line(continued(folder, lambda: World().tools, monkeypatch))
        assert "tampered" in line
        (folder / "result.json").write_bytes(genuine)
    assert not list(packages.iterdir()) and contents(home) == {"model.json": b"{}"}


@pytest.mark.slow
def test_a_continued_run_names_no_file_to_be_written(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guest: None
) -> None:
    make_cheap(monkeypatch)
    folder = World().run(photos, tmp_path / "run", budget=60.0, backbones=("mine:small",))
    edit(folder, lambda state: state["options"].update({"history": str(tmp_path / "startup.pth")}))
    assert one_line(continued(folder, lambda: World().tools, monkeypatch)) == ""
    assert not (tmp_path / "startup.pth").exists()
    assert "history" not in result_file.read(folder).options


@pytest.mark.parametrize(
    "text",
    [
        "data = 3\n",
        "data = '{photos}'\nseed = -1\n",
        "data = '{photos}'\nbudget = '10 parsecs'\n",
        "data = '{photos}'\nmax_params = '2M'\n",
        "data = '{photos}'\nnonsense = 1\n",
        "seed = 1\n",
        "data = '{photos}\n",
        f"data = {'[' * 50_000}\n",
        f"data = '{{photos}}'\nseed = {'9' * 5000}\n",
        "data = '{photos}'\nmax_memory = inf\n",
        "data = '{photos}'\nbudget = nan\n",
        "[data]\nx = 1\n",
    ],
)
def test_options_of_a_run_that_had_hardly_begun_are_checked(text: str, photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "begun"
    folder.mkdir()
    (folder / "config.toml").write_text(text.format(photos=photos))
    assert "config.toml" in one_line(call(("run", "--continue", "RUN"), folder))
    assert sorted(path.name for path in folder.iterdir()) == ["config.toml"]


def test_a_link_in_a_run_that_had_hardly_begun_is_not_followed(tmp_path: Path, outside: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.toml").write_text("data = 'photos'\n")
    (folder / "events.jsonl").symlink_to(outside / "secret")
    assert "is a link" in one_line(call(("run", "--continue", "RUN"), folder))


@pytest.mark.slow
def test_a_run_that_had_hardly_begun_begins_again_and_writes_nowhere_else(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guest: None
) -> None:
    make_cheap(monkeypatch)
    folder = tmp_path / "begun"
    folder.mkdir()
    options = f"data = '{photos}'\nbudget = 60.0\nbackbones = ['mine:small']\nhistory = '{tmp_path / 'startup.pth'}'\n"
    (folder / "config.toml").write_text(options)
    (folder / "notes.txt").write_text("mine")
    (folder / "events.jsonl").write_text("{}\n")
    assert one_line(continued(folder, lambda: World().tools, monkeypatch)) == ""
    state = result_file.read(folder)
    assert state.status == "finished" and state.winner is not None
    assert "begun_again" in [note.kind for note in state.notes]
    assert (folder / "notes.txt").read_text() == "mine"
    assert not (tmp_path / "startup.pth").exists()
