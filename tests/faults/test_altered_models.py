"""A model folder that is damaged or was changed gives no answer; one that was copied without its run does."""

from __future__ import annotations

import json
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from amounts import mutants
from example_run import example, run_folder
from model_folder import model_folder, picture
from mutants import damaged_bytes
from PIL import Image
from safetensors.torch import load_file, save_file

import autotl
from autotl import checksums
from autotl.engine import model
from autotl.errors import AutotlError, RunError

MUTANTS = mutants(100)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_folder(tmp_path_factory.mktemp("altered") / "model")


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "model"))


def describe(folder: Path, **changes: Any) -> None:
    described = json.loads((folder / model.DESCRIPTION).read_text())
    (folder / model.DESCRIPTION).write_text(json.dumps(described | changes))


def lines(content: bytes) -> list[str]:
    return content.decode("utf-8", "replace").splitlines()


def test_a_whole_folder_is_loaded(folder: Path) -> None:
    assert (folder / checksums.SUMS).is_file()
    model.load(folder)


@pytest.mark.parametrize("name", [model.FILE, model.DESCRIPTION, checksums.SUMS])
def test_a_changed_file_is_named(
    name: str, folder: Path, record_property: Callable[[str, object], None]
) -> None:
    record_property("mutants", MUTANTS)
    content = (folder / name).read_bytes()
    for seed in range(MUTANTS):
        damaged = damaged_bytes(content, seed)
        (folder / name).write_bytes(damaged)
        if name == checksums.SUMS and lines(damaged) == lines(content):
            continue  # another end of a line: the digests are the same
        if damaged != content:
            with pytest.raises(RunError, match=r"model\.(safetensors|json)|SHA256SUMS"):
                model.load(folder)


def test_a_changed_temperature_is_noticed(folder: Path) -> None:
    describe(folder, temperature=3.0)
    with pytest.raises(RunError, match=r"model\.json was changed or damaged"):
        model.load(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"temperature": 0},
        {"temperature": -1},
        {"temperature": "1"},
        {"classes": []},
        {"classes": ["a", "b"]},
        {"classes": ["a", "b", 3]},
        {"input_size": 0},
        {"input_size": 10**9},
        {"head": "knn"},
        {"head": "other"},
        {"precision": "int8"},
        {"backbone": {}},
    ],
)
def test_a_description_that_cannot_be_is_refused_with_digests_that_fit(
    changes: dict[str, Any], folder: Path
) -> None:
    describe(folder, **changes)
    checksums.seal(folder)
    with pytest.raises(AutotlError, match=r"model\.(json|safetensors)"):
        model.load(folder)


def test_a_temperature_of_zero_is_refused_where_denormals_are_flushed(folder: Path) -> None:
    describe(folder, temperature=0)
    checksums.seal(folder)
    torch.set_flush_denormal(True)  # as the worker does
    try:
        with pytest.raises(RunError, match=r"model\.json"):
            model.load(folder)
    finally:
        torch.set_flush_denormal(False)


@pytest.mark.parametrize("kind", ["all", "one", "head"])
def test_weights_that_are_not_numbers_are_refused(kind: str, folder: Path) -> None:
    state = load_file(folder / model.FILE)
    name = "head.bias" if kind == "head" else next(name for name in state if name.endswith("weight"))
    if kind == "one":
        state[name].view(-1)[0] = torch.nan
    else:
        state[name].fill_(torch.nan)
    save_file(state, folder / model.FILE)
    checksums.seal(folder)
    with pytest.raises(RunError, match="not numbers"):
        model.load(folder)


def test_a_run_and_a_copy_of_its_model_alone_give_the_same_answers(folder: Path, tmp_path: Path) -> None:
    picture(1, (40, 40)).save(tmp_path / "one.png")
    run = run_folder(tmp_path / "run", example())
    shutil.copytree(folder, run / "model")
    alone = Path(shutil.copytree(folder, tmp_path / "elsewhere" / "copy"))
    network = autotl.load(run).module
    with Image.open(tmp_path / "one.png") as opened, torch.inference_mode():
        logits = network(network.transform(opened)[None])
    probability, best = (logits / network.temperature).softmax(1).max(1)
    (answer,) = autotl.load(alone).predict(tmp_path / "one.png", device="cpu").itertuples()
    assert answer.label == autotl.load(alone).classes[int(best)] == network.classes[int(best)]
    assert answer.probability == pytest.approx(float(probability), abs=0.02)  # the worker may use bf16
    with pytest.raises(RunError, match=r"no result\.json"):
        _ = autotl.load(alone).leaderboard


def test_whoever_can_read_the_folder_can_read_its_files(folder: Path) -> None:
    (folder / "new").touch()
    mode = stat.S_IMODE((folder / "new").stat().st_mode)
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {mode}
