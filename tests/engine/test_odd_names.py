"""A model answers for files, and in folders, whose names are not UTF-8."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import toy
from model_folder import model_folder, picture

from autotl import tensors
from autotl.engine.weights import read
from autotl.predict import embed, predictions
from autotl.records import Weights

pytestmark = pytest.mark.skipif(sys.platform in {"win32", "darwin"}, reason="names are text there")
ODD = os.fsdecode(b"caf\xe9")


@pytest.mark.parametrize("folder", ["plain", ODD, f"{ODD}/{ODD}"])
def test_good_and_odd_files_are_answered_in_any_folder(
    tmp_path: Path, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_folder(tmp_path / folder / "model")
    monkeypatch.chdir(tmp_path / folder)
    for number, name in enumerate(("good.png", f"{ODD}.png", "猫.png")):
        picture(number, (70, 60)).save(name)
    began = time.monotonic()
    rows = list(predictions(model, ["good.png", f"{ODD}.png", "猫.png", f"missing {ODD}.png"], device="cpu"))
    assert [row.path for row in rows] == ["good.png", f"{ODD}.png", "猫.png", f"missing {ODD}.png"]
    assert [row.error for row in rows] == [None, None, None, "there is no such file"]
    assert time.monotonic() - began < 100, "seconds, most of them for importing torch"


def test_features_of_odd_files(tmp_path: Path) -> None:
    model = model_folder(tmp_path / ODD / "model")
    picture(0, (70, 60)).save(tmp_path / f"{ODD}.png")
    assert np.isfinite(embed(model, [tmp_path / f"{ODD}.png"], device="cpu")).all()


@pytest.mark.parametrize("name", ["plain", ODD])
def test_weights_are_read_from_any_path(tmp_path: Path, name: str) -> None:
    path = tmp_path / name / "mine.safetensors"
    path.parent.mkdir()
    state = toy.Net().state_dict()
    tensors.save(state, path, "torch")
    found = read(Weights(kind="file", location=str(path)))
    assert all(
        found[key].equal(value.float() if value.is_floating_point() else value)
        for key, value in state.items()
    )
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask()


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
