"""The model folder: what it answers from files, in memory and as a plain module, and what is far from it."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from model_folder import SPEC, model_folder, picture

from autotl import checksums
from autotl.budget import Allowance
from autotl.engine import messages, model
from autotl.engine.images import Squares
from autotl.engine.inference import Predictor
from autotl.engine.session import Session
from autotl.engine.worker import Worker
from autotl.modality.image_store import Pixels, decode
from autotl.stats import ood

CPU = torch.device("cpu")


def allowance(seconds: float = 100.0) -> Allowance:
    return Allowance(deadline=time.monotonic() + seconds)


@pytest.fixture(scope="module", params=["linear", "knn"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_folder(tmp_path_factory.mktemp("model"), head=request.param)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    place = tmp_path_factory.mktemp("images")
    for number, size in enumerate([(40, 30), (300, 500), (64, 64), (20, 200)]):
        picture(number, size).save(place / f"{number}.png")
    (place / "text.png").write_text("no image")
    return [str(place / f"{number}.png") for number in range(4)] + [str(place / "text.png")]


def test_files_and_the_plain_module_agree(folder: Path, files: list[str]) -> None:
    answers = Predictor(folder, CPU).predict_files(files, allowance(), features=True)
    assert answers.errors == [None] * 4 + ["not an image of a known format"]
    assert np.isnan(answers.probabilities[4]).all()
    np.testing.assert_allclose(answers.probabilities[:4].sum(1), 1, atol=1e-5)
    plain = model.plain(folder)
    assert plain.classes == ("a", "b", "c")
    from PIL import Image

    batch = torch.stack([plain.transform(Image.open(file)) for file in files[:4]])
    with torch.inference_mode():
        shares = torch.softmax(plain(batch) / plain.temperature, 1).numpy()
    np.testing.assert_allclose(shares, answers.probabilities[:4], atol=1e-4)


def test_what_the_time_does_not_allow_is_an_error(folder: Path, files: list[str]) -> None:
    answers = Predictor(folder, CPU).predict_files(files, allowance(-1.0))
    assert answers.errors == ["not predicted: the time was over"] * 5


def test_the_temperature_is_in_what_is_answered(folder: Path, files: list[str], tmp_path: Path) -> None:
    import shutil

    before = Predictor(folder, CPU).predict_files(files[:4], allowance()).probabilities
    warm = Path(shutil.copytree(folder, tmp_path / "warm"))
    text = (warm / "model.json").read_text()
    (warm / "model.json").write_text(text.replace('"temperature": 1.5', '"temperature": 3.0'))
    checksums.seal(warm)
    after = Predictor(warm, CPU).predict_files(files[:4], allowance()).probabilities
    roots = np.sqrt(before)  # twice the temperature takes the square root of the odds
    np.testing.assert_allclose(after, roots / roots.sum(1, keepdims=True), atol=1e-4)
    assert after.min() > before.min()


def test_a_worker_teaches_a_model_what_is_far(tmp_path: Path) -> None:
    names = []
    for number in range(120):
        picture(number % 6, (40, 40), noise=8, seed=number).save(tmp_path / f"{number}.png")
        names.append(str(tmp_path / f"{number}.png"))
    decode(names, tmp_path / ".pixels", side=64, allowance=allowance())
    run = tmp_path / "run"
    model_folder(run / "model")
    rows = np.arange(120)
    np.savez(tmp_path / "table.npz", labels=rows % 3, part=rows * 0, fold=rows * 0 - 1, order=rows)
    np.savez(tmp_path / "rows.npz", fitted=rows[:60], held_out=rows[60:])
    worker = Worker()
    start = messages.Start(
        folder=str(run), cache=None, device="cpu", precision="fp32", seed=0, offline=True, sys_path=()
    )
    worker.handle(start, allowance())
    opened = messages.Open(
        pixels=str(tmp_path / ".pixels"),
        table=str(tmp_path / "table.npz"),
        classes=("a", "b", "c"),
        folds=0,
        metric="accuracy",
        target="multiclass",
        modality="image",
    )
    worker.handle(opened, allowance())
    body = messages.FitOod(model="model", rows=str(tmp_path / "rows.npz"))
    assert worker.handle(body, allowance()) is True
    detector, other = run / "model" / ood.FILE, run / "model" / model.DESCRIPTION
    assert detector.stat().st_mode == other.stat().st_mode
    for number in range(5):
        picture(50 + number, (40, 40), noise=120).save(tmp_path / f"far{number}.png")
    far = [str(tmp_path / f"far{number}.png") for number in range(5)]
    predictor = Predictor(run / "model", CPU)
    assert predictor.predict_files(far, allowance()).distance.min() > 1  # type: ignore[union-attr]
    assert (predictor.predict_files(names[60:], allowance()).distance > 1).mean() < 0.05  # type: ignore[operator]


def test_a_control_without_weights_is_another_network(tmp_path: Path) -> None:
    session = Session(
        messages.Start(
            folder=str(tmp_path),
            cache=None,
            device="cpu",
            precision="fp32",
            seed=0,
            offline=True,
            sys_path=(),
        )
    )
    fresh = replace(SPEC, init="random", weights=None)
    assert session.backbone(fresh, 64) is not session.backbone(SPEC, 64)
    assert session.backbone(SPEC, 64).spec.init == "pretrained"


def test_weights_have_the_mode_of_other_files(tmp_path: Path) -> None:
    model_folder(tmp_path / "model")
    other = tmp_path / "other"
    other.touch()
    for file in (tmp_path / "model").iterdir():
        assert file.stat().st_mode == other.stat().st_mode, file.name


def test_a_few_neighbours_that_agree_are_no_certainty() -> None:
    """Five equal images around, of one class: the answer is sure of no more than five images can show."""
    features = torch.nn.functional.normalize(torch.randn(36, 8), dim=1)
    head = model.KnnHead(2, features, torch.arange(36) // 18, centre=torch.zeros(8), count=torch.tensor(5))
    shares = torch.softmax(head(features), 1)
    assert shares.max() <= (5 + 0.5) / 6 + 1e-6
    assert torch.allclose(shares.sum(1), torch.ones(36))


@pytest.mark.parametrize("side", [40, 256])
def test_prediction_reads_files_as_large_as_the_run_kept_them(tmp_path: Path, side: int) -> None:
    """Of many images a run keeps small ones: a network that was trained on these sees the same in prediction."""
    files = []
    for number in range(3):
        files.append(str(tmp_path / f"{number}.png"))
        picture(number, (300, 340)).save(files[-1])
    decode(files, tmp_path / "store", side=side, allowance=allowance())
    folder = model_folder(tmp_path / "model", decoded=side)
    predictor = Predictor(folder, CPU)
    kept = Squares(Pixels.open(tmp_path / "store"))
    description = predictor.description
    squares = kept.get(np.arange(3), description.input_size, description.backbone.preprocess)
    answers = predictor.predict_files(files, allowance())
    np.testing.assert_array_equal(answers.probabilities, predictor.predict_squares(squares)[0])
    assert kept.pixels.side == side
