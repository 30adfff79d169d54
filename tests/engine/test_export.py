"""Exports answer as autotl does, also in a process that has no autotl; what cannot be written says what can."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from example_run import example
from model_folder import SPEC, model_folder, picture

import autotl
from autotl import checksums
from autotl.builtin.builds import TORCHVISION
from autotl.engine import export
from autotl.errors import EngineError, RunError
from autotl.run_folder import result_file

BLOCKED = """
import runpy, sys
sys.modules["autotl"] = None
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with a model, whose images are where they were."""
    folder = tmp_path_factory.mktemp("export")
    rows = ["path,label,part,fold,group,finding"]
    for number in range(6):
        name = f"{'abc'[number % 3]}/{number}.png"
        (folder / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        picture(number, (120 + 10 * number, 100)).save(folder / "photos" / name)
        rows.append(f"{name},{name[0]},{'test' if number > 3 else 'train'},,,")
    model_folder(folder / "run" / "model")
    state = example()
    result_file.write(replace(state, data=replace(state.data, source=str(folder / "photos"))), folder / "run")
    (folder / "run" / "manifest.csv").write_text("\n".join(rows) + "\n")
    (folder / "run" / "model" / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    return folder / "run"


@pytest.mark.slow
@pytest.mark.parametrize("to", ["safetensors", "torch-export", "onnx"])
def test_an_export_runs_where_autotl_is_not(run: Path, to: export.Format, tmp_path: Path) -> None:
    if to == "onnx":
        pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
        pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    loaded = autotl.load(run)
    folder = loaded.export(to, tmp_path / "out")
    config = json.loads((folder / "config.json").read_text())
    assert config["parity"]["images"] == 6
    assert config["parity"]["on"] == "images of the run"
    assert config["parity"]["largest_difference"] < 1e-4
    assert config["parity"]["same_label"] == 1.0
    assert config["classes"] == ["a", "b", "c"]
    assert config["licence"] == "Apache-2.0"
    assert (folder / "README.md").is_file() and (folder / config["file"]).is_file()
    script = (folder / "example.py").read_text()
    assert "autotl" not in script
    assert sum(bool(line.strip()) for line in script.splitlines()) < 40
    moved = shutil.move(folder, tmp_path / "elsewhere")
    files = sorted(str(file) for file in (run.parent / "photos").rglob("*.png"))
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, str(Path(moved) / "example.py"), *files],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    told = [line.split("\t") for line in done.stdout.splitlines()]
    expected = loaded.predict(files)
    assert [row[1] for row in told] == expected["label"].tolist()
    assert [float(row[2]) for row in told] == pytest.approx(expected["probability"].tolist(), abs=0.02)


def test_a_neighbours_head_goes_where_the_network_goes(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "model", head="knn")
    with pytest.raises(EngineError, match="--to torch-export"):
        export.export(folder, tmp_path / "a", "safetensors", [])
    config = export.export(folder, tmp_path / "b", "torch-export", [])
    assert config["parity"]["on"].startswith("tensors of noise")


def test_a_network_that_timm_does_not_know_says_so(tmp_path: Path) -> None:
    spec = replace(
        SPEC,
        name="torchvision:x",
        build=TORCHVISION,
        arguments={"name": "squeezenet1_1"},
        init="random",
        weights=None,
    )
    folder = model_folder(tmp_path / "model", spec=spec, size=64)
    with pytest.raises(EngineError, match="timm can build"):
        export.export(folder, tmp_path / "out", "safetensors", [])


def test_what_predict_rounds_is_told_beside_the_parity(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "model")
    described = folder / "model.json"
    described.write_text(described.read_text().replace('"precision": "fp32"', '"precision": "bf16"'))
    checksums.seal(folder)
    parity = export.export(folder, tmp_path / "out", "safetensors", [])["parity"]
    assert parity["largest_difference"] < 1e-4  # the same arithmetic
    assert parity["to_predict"]["computes_in"] == "bf16"
    assert 0 <= parity["to_predict"]["largest_difference"] < 0.3


def test_a_difference_is_refused() -> None:
    import numpy as np

    with pytest.raises(EngineError, match=r"differs from autotl's by up to 0\.2"):
        export.measured_parity(np.array([[0.5, 0.5]]), np.array([[0.7, 0.3]]), [])


def test_a_folder_with_something_in_it_is_not_written_to(run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(RunError, match="not empty"):
        autotl.load(run).export("onnx", tmp_path)
