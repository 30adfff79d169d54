"""``autotl evaluate``: the model of a run on labelled images that it has not seen."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from example_run import run_folder
from PIL import Image

import autotl
from autotl.cli import main
from autotl.engine import client
from autotl.errors import DatasetError
from autotl.modality.image_store import load_image
from autotl.records import Answers
from autotl.records.result import Guest
from autotl.run_folder import result_file
from autotl.stats import ood

pytestmark = pytest.mark.usefixtures("no_drawings")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run whose engine answers by the first pixel: its red share is the probability of the class red."""

    class Fake:
        def __init__(self, **_: Any) -> None:
            pass

        def predict(self, _model: str, files: list[str], _allowance: object, features: bool) -> Answers:
            red = np.array([load_image(file, 8)[0][0, 0, 0] / 255 for file in files], np.float32)
            return Answers(
                probabilities=np.stack([red, 1 - red], 1), errors=[None] * len(files), distance=2 * red
            )

        def close(self) -> None:
            pass

    monkeypatch.setattr(client, "connect", Fake)
    folder = run_folder(tmp_path / "run")
    (folder / "model").mkdir()
    (folder / "model" / "model.json").write_text('{"classes": ["red", "other"]}')
    (folder / "model" / ood.FILE).write_bytes(b"")
    return folder


def images(folder: Path, **reds: list[int]) -> Path:
    for label, values in reds.items():
        (folder / label).mkdir(parents=True)
        for number, red in enumerate(values):
            Image.new("RGB", (16, 16), (red, number, 0)).save(folder / label / f"{number}.png")
    return folder


def test_an_evaluation_has_scores_confusions_calibration_and_shift(run: Path, tmp_path: Path) -> None:
    data = images(tmp_path / "new", red=[250, 240, 10, 230], other=[5, 6, 7, 200, 8, 9])
    (data / "red" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    found = autotl.load(run).evaluate(data)
    assert found.images == 10
    assert found.score.value == pytest.approx(0.8)
    assert {(line.name, line.images) for line in found.classes} == {("red", 4), ("other", 6)}
    assert set(found.confusions) == {("red", "other", 1), ("other", "red", 1)}
    assert found.far == 4 and found.far_p is not None and found.far_p < 1e-4
    assert found.positive == "red" and found.expected is not None
    printed = " ".join(CliRunner().invoke(main, ["evaluate", str(run), str(data)]).output.split())
    assert "accuracy 80.0%" in printed and "Shift: 4 of 10 images are far" in printed
    as_json = CliRunner().invoke(main, ["evaluate", str(run), str(data), "--json"]).output
    assert json.loads(as_json)["images"] == 10


def test_labels_that_the_model_does_not_have_are_counted_and_named(run: Path, tmp_path: Path) -> None:
    data = images(tmp_path / "new", red=[250, 240], blue=[3, 4, 5])
    found = autotl.load(run).evaluate(data)
    assert (found.images, found.unknown) == (2, (("blue", 3),))
    printed = " ".join(CliRunner().invoke(main, ["evaluate", str(run), str(data)]).output.split())
    assert "Labels that the model does not have are not counted: blue (3)." in printed


def test_data_without_a_label_of_the_model_are_refused(run: Path, tmp_path: Path) -> None:
    data = images(tmp_path / "new", blue=[3, 4], green=[5, 6])
    with pytest.raises(DatasetError, match="it has blue, green, expected red, other"):
        autotl.load(run).evaluate(data)


def without_its_plugin(run: Path) -> Path:
    """Record that a plugin which is not here read the data of a run."""
    gone = Guest(plugin="mine", package="autotl-mine", version="1.2", contributed=("data",))
    result_file.write(replace(result_file.read(run), plugins=(gone,)), run)
    (run.parent / "photos.mine").write_bytes(b"rows")
    return run.parent / "photos.mine"


MISSING = "plugin 'mine' read the data of the run and is not installed; expected autotl-mine 1.2; install it"


def test_a_source_of_a_missing_plugin_names_the_plugin(run: Path) -> None:
    source = without_its_plugin(run)
    with pytest.raises(DatasetError, match=rf"^{MISSING}, if .*photos.mine is its source\. Without it: "):
        autotl.load(run).evaluate(source)


def test_prediction_of_a_source_of_a_missing_plugin_names_the_plugin(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(_self: object, _model: str, files: list[str], *_: object) -> Answers:
        return Answers(probabilities=np.zeros((len(files), 2)), errors=["no image"] * len(files))

    monkeypatch.setattr(client.connect, "predict", unreadable)
    source = without_its_plugin(run)
    named, image = autotl.load(run).predictions([str(source), str(source.with_suffix(".png"))])
    assert named.error == f"no image; {MISSING}, if this is its source" and image.error == "no image"
    done = CliRunner().invoke(main, ["predict", str(run), str(source), "--quiet"])
    assert done.exit_code == 1 and MISSING in done.stderr
    (run / "result.json").unlink()
    (alone,) = autotl.load(run / "model").predictions([str(source)])
    assert alone.error == "no image"
