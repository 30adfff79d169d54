"""What answers rest on: made-up models whose grounds are known, and a real one."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from model_folder import model_folder, picture

from autotl import checksums
from autotl.budget import Allowance
from autotl.engine import messages
from autotl.engine.explain import CELLS, SHOWN, explain
from autotl.engine.worker import Worker
from autotl.modality.image_store import decode


def allowance(seconds: float = 100.0) -> Allowance:
    return Allowance(deadline=time.monotonic() + seconds)


def by_corner(images: np.ndarray) -> np.ndarray:
    """A model that looks at the upper left quarter alone: the brighter, the surer of its second class."""
    side = images.shape[1] // 2
    sure = 0.02 + 0.96 * images[:, :side, :side].mean((1, 2, 3)) / 255
    return np.stack([1 - sure, sure], 1)


def bright_spot(row: int, column: int, side: int = 64) -> np.ndarray:
    image = np.zeros((side, side, 3), np.uint8)
    image[row : row + 8, column : column + 8] = 255
    return image


def test_the_map_finds_what_the_model_goes_by() -> None:
    found = explain(np.stack([bright_spot(8, 16)]), np.array([1]), by_corner, allowance())
    assert found.maps.shape == (1, CELLS, CELLS) and found.seen.shape == (1, SHOWN, SHOWN, 3)
    assert np.unravel_index(found.maps[0].argmax(), (CELLS, CELLS)) == (1, 2)
    assert found.shares[0, 1] < found.shares[0, 0]
    elsewhere = explain(np.stack([bright_spot(48, 48)]), np.array([1]), by_corner, allowance())
    assert np.abs(elsewhere.maps).max() < 1e-6  # it does not look there


def test_what_speaks_against_an_answer_is_below_zero() -> None:
    found = explain(np.stack([bright_spot(8, 16)]), np.array([0]), by_corner, allowance())
    assert found.maps[0, 1, 2] == found.maps.min() < 0


def test_sides_that_cells_do_not_divide_are_no_matter() -> None:
    found = explain(np.stack([bright_spot(3, 3, side=37)]), np.array([1]), by_corner, allowance())
    assert np.isfinite(found.maps).all()


def test_what_the_time_does_not_allow_is_left_out() -> None:
    asked = 0

    def slow(images: np.ndarray) -> np.ndarray:
        nonlocal asked
        asked += 1
        if asked == 3:
            right.cancelled.set()  # in the middle of the second image
        return by_corner(images)

    right = allowance()
    found = explain(np.stack([bright_spot(8, 16)] * 3), np.array([1, 1, 1]), slow, right)
    assert len(found.maps) == len(found.shares) == len(found.seen) == 1
    assert len(explain(np.stack([bright_spot(8, 16)]), np.array([1]), slow, allowance(-1)).maps) == 0


def test_a_worker_explains_rows_of_the_run_with_the_temperature_of_the_folder(tmp_path: Path) -> None:
    names = []
    for number in range(3):
        picture(number, (60, 40)).save(tmp_path / f"{number}.png")
        names.append(str(tmp_path / f"{number}.png"))
    decode(names, tmp_path / ".pixels", side=64, allowance=allowance())
    run, rows = tmp_path / "run", np.arange(3)
    model_folder(run / "model")
    np.savez(tmp_path / "table.npz", labels=rows, part=rows * 0, fold=rows * 0 - 1, order=rows)
    worker = Worker()
    worker.handle(
        messages.Start(
            folder=str(run), cache=None, device="cpu", precision="fp32", seed=0, offline=True, sys_path=()
        ),
        allowance(),
    )
    worker.handle(
        messages.Open(
            pixels=str(tmp_path / ".pixels"),
            table=str(tmp_path / "table.npz"),
            classes=("a", "b", "c"),
            folds=0,
            metric="accuracy",
            target="multiclass",
            modality="image",
        ),
        allowance(),
    )

    def asked() -> tuple[np.ndarray, np.ndarray]:
        np.savez(tmp_path / "rows.npz", rows=rows[1:], classes=np.array([0, 2]))
        made = worker.handle(messages.Explain(model="model", rows=str(tmp_path / "rows.npz")), allowance())
        with np.load(made) as stored:
            return stored["maps"], stored["shares"]

    maps, shares = asked()
    assert maps.shape == (2, CELLS, CELLS) and (maps.std((1, 2)) > 0).all()
    described = run / "model" / "model.json"
    described.write_text(described.read_text().replace('"temperature": 1.5', '"temperature": 50.0'))
    checksums.seal(run / "model")
    assert (np.abs(asked()[1][:, 0] - 1 / 3) < np.abs(shares[:, 0] - 1 / 3)).all()
