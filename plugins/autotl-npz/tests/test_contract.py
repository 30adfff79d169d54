from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from autotl import testing
from autotl.plugin import DatasetError, SourceCall

autotl_npz = pytest.importorskip("autotl_npz", reason="the plugin is not installed")


def call(path: Path) -> SourceCall:
    return SourceCall(source=str(path), options={})


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autotl_npz, "user_cache_path", lambda name: tmp_path / name)


@pytest.mark.parametrize("check", testing.checks("autotl_npz"), ids=str)
def test_contract(check: testing.Check) -> None:
    check()


def test_parts_and_classes_are_as_in_the_file(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 255, (6, 8, 8, 3), np.uint8)
    np.savez(
        tmp_path / "data.npz",
        train_images=images[:4], train_labels=[[3], [7], [3], [7]],
        test_images=images[4:, :, :, 0], test_labels=[7, 3],
    )  # fmt: skip
    data = autotl_npz.load_dataset(call(tmp_path / "data.npz"))
    assert data.classes == ("3", "7")
    assert data.labels.tolist() == [0, 1, 0, 1, 1, 0]
    assert data.given.tolist() == [0, 0, 0, 0, 2, 2]
    assert all(Path(file).is_file() for file in data.files)
    assert autotl_npz.load_dataset(call(tmp_path / "data.npz")).fingerprint == data.fingerprint


def test_a_file_that_holds_something_else_is_an_error_for_the_user(tmp_path: Path) -> None:
    np.savez(tmp_path / "weights.npz", kernel=np.zeros(3))
    with pytest.raises(DatasetError, match="holds kernel; expected images"):
        autotl_npz.load_dataset(call(tmp_path / "weights.npz"))
