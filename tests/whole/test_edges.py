"""Input at the edge, through the command: one clear line and nothing written, or a sensible small result."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from autotl.cli import main
from autotl.engine import client, slots
from autotl.report.wording import joined
from autotl.run_folder import result_file
from autotl.testing.simulated_engine import Cell, TableClock, TableEngine

EMBEDDED = Path(__file__).parents[2] / "autotl" / "embedded"


def pictures(folder: Path, each: int = 12, start: int = 0, **shades: int) -> Path:
    generator = np.random.default_rng(start)
    for label, shade in shades.items():
        (folder / label).mkdir(parents=True, exist_ok=True)
        for number in range(start, start + each):
            noise = generator.normal(scale=25, size=(32, 32, 3)) + shade
            Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(folder / label / f"{number}.png")
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> list[TableEngine]:
    """Engines that were started: none may be where data or budget are refused."""
    made: list[TableEngine] = []
    clock = TableClock()

    class Anything(dict[tuple[str, int], Cell]):
        def get(self, key: Any, default: Any = None) -> Cell:
            return Cell(seconds=0.001)

    def connect(*, folder: Path, **_: Any) -> TableEngine:
        made.append(TableEngine(folder, Anything(), clock))
        return made[-1]

    monkeypatch.setattr(client, "connect", connect)
    monkeypatch.setattr(slots, "connect", lambda call: connect(folder=Path(call.folder)))
    return made


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["run", *words, "--offline", "--quiet", "--out", "out"])


def csv_of(text: str) -> Callable[[Path], None]:
    def write(here: Path) -> None:
        pictures(here, a=60, b=180)
        (here / "data.csv").write_text(text)

    return write


REFUSED: dict[str, tuple[Callable[[Path], object], tuple[str, ...], str]] = {
    "no such folder": (lambda here: None, ("data",), "does not exist"),
    "an empty folder": (lambda here: (here / "data").mkdir(), ("data",), "holds no labelled image"),
    "images outside class folders": (
        lambda here: pictures(here, each=3, data=60),
        ("data",),
        "3 files left out: outside every class folder",
    ),
    "one class": (
        lambda here: pictures(here / "data", a=60),
        ("data",),
        "holds one class, 'a', with 12 images",
    ),
    "a single file": (
        lambda here: pictures(here, each=1, a=60),
        ("a/0.png",),
        "a single file, expected a folder of class folders",
    ),
    "nothing but broken images": (
        lambda here: [p.write_bytes(b"GIF89a") for p in pictures(here / "data", a=1, b=2).rglob("*.png")],
        ("data",),
        "not a readable image",
    ),
    "a CSV without a label": (csv_of("path,kind\na/0.png,x\n"), ("data.csv",), "holds one class, 'x'"),
    "a CSV without a path": (csv_of("label\nx\n"), ("data.csv",), "has no column 'path'"),
    "a CSV without a header": (csv_of(""), ("data.csv",), "it has: no header"),
    "a CSV without a row": (csv_of("path,label\n"), ("data.csv",), "holds no labelled image"),
    "a CSV with another split": (
        csv_of("path,label,split\na/0.png,a,holdout\n"),
        ("data.csv",),
        "holds one class, 'a'",
    ),
    "a CSV of files that are not there": (
        csv_of("path,label\nx.png,a\n"),
        ("data.csv",),
        "no such file",
    ),
    "a test part without images": (
        lambda here: ((here / "later").mkdir(), pictures(here / "data", a=60, b=180)),
        ("data", "--test", "later"),
        "--test later holds no labelled image",
    ),
    "a test part that is a file": (
        lambda here: pictures(here / "data", a=60, b=180),
        ("data", "--test", "data/a/0.png"),
        "is a single file, expected a folder",
    ),
    "a class that train lacks": (
        lambda here: (pictures(here / "data/train", a=60, b=180), pictures(here / "data/test", a=60, c=9)),
        ("data",),
        "the test part has classes that train lacks: 'c'",
    ),
    "a validation class that train lacks": (
        lambda here: (pictures(here / "data/train", a=60, b=180), pictures(here / "data/valid", a=60, c=9)),
        ("data",),
        "the select part has classes that train lacks: 'c'",
    ),
    "a budget of a second": (
        lambda here: pictures(here / "data", a=60, b=180),
        ("data", "--budget", "1s"),
        "listing 24 images and one linear probe take about 11 s; use --budget 12s or more",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_in_one_line_before_torch_starts(
    case: str, here: Path, engines: list[TableEngine]
) -> None:
    prepare, words, said = REFUSED[case]
    prepare(here)
    before = sorted(here.rglob("*"))
    found = run(*words)
    assert found.exit_code == 1, found.output
    assert found.stdout == ""
    assert len(found.stderr.splitlines()) == 1 and said in found.stderr
    assert engines == []
    assert sorted(here.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--backbones", "autotl:resnet14t_smal"), "did you mean 'autotl:resnet14t_small'"),
        (("--backbones", "resnet14t-small"), "'resnet14t_small'"),
        (("--strategies", "linear"), "or 'linear_probe'"),
        (("--backbones", "zzz*"), "no backbone 'zzz*'"),
        (("--max-params", "1k"), "no backbone is left to try"),
    ],
)
def test_names_nobody_knows_are_refused_with_a_suggestion(
    words: tuple[str, ...], said: str, here: Path, engines: list[TableEngine]
) -> None:
    pictures(here / "data", a=60, b=180)
    found = run("data", *words)
    assert found.exit_code == 1
    assert len(found.stderr.splitlines()) == 1 and said in found.stderr
    assert not (here / "out").exists()


def test_a_class_that_only_train_has_is_a_finding(here: Path, engines: list[TableEngine]) -> None:
    pictures(here / "data/train", a=60, b=180, c=120)
    pictures(here / "data/test", a=60, b=180)
    assert run("data", "--budget", "60s").exit_code == 0
    findings = {finding.kind: finding for finding in result_file.read(here / "out").data.findings}
    assert findings["one_sided_class"].where == ("c",)


@pytest.mark.parametrize("counts", [(2, 1), (1, 1), (1, 5)])
def test_a_few_images_give_a_small_result(
    counts: tuple[int, int], here: Path, engines: list[TableEngine]
) -> None:
    pictures(here / "data", each=counts[0], a=60)
    pictures(here / "data", each=counts[1], b=180)
    found = run("data", "--budget", "60s")
    assert found.exit_code == 0, found.output
    state = result_file.read(here / "out")
    assert state.data.folds >= 2 and state.winner is not None and state.winner.score_test is None
    assert (here / "out" / "report.html").exists()


def test_a_broken_image_among_good_ones_is_left_out_with_its_reason(
    here: Path, engines: list[TableEngine]
) -> None:
    data = pictures(here / "data", each=40, a=60, b=180)
    whole = (data / "a" / "3.png").read_bytes()
    (data / "a" / "3.png").write_bytes(whole[: len(whole) // 2])
    (data / "b" / "5.png").write_bytes(b"no image at all")
    assert run("data", "--budget", "60s").exit_code == 0
    manifest = (here / "out" / "manifest.csv").read_text()
    assert "breaks off" in manifest and "not a readable image" in manifest


def test_the_folder_of_another_run_is_not_written_into(here: Path, engines: list[TableEngine]) -> None:
    pictures(here / "data", a=60, b=180)
    (here / "out").mkdir()
    (here / "out" / "precious.txt").write_text("x")
    found = run("data")
    assert found.exit_code == 1 and "not empty" in found.stderr
    assert [path.name for path in (here / "out").iterdir()] == ["precious.txt"] and engines == []


# --------------------------------------------------------------------------- with the real engine


@pytest.mark.slow
def test_broken_weights_are_rows_with_a_reason_and_the_run_goes_on(here: Path) -> None:
    pictures(here / "data", a=60, b=180)
    weights = here / "weights"
    weights.mkdir()
    whole = (EMBEDDED / "resnet14t_small.safetensors").read_bytes()
    (weights / "resnet14t.safetensors").write_bytes(whole[: len(whole) // 2])
    (weights / "resnet18.safetensors").write_text("<!DOCTYPE html><title>404 Not Found</title>")
    (weights / "resnet34.pth").write_bytes(pickle.dumps({"weight": 1}))
    command = [
        "run",
        "data",
        "--weights",
        "weights",
        "--budget",
        "40s",
        "--offline",
        "--quiet",
        "--out",
        "out",
    ]
    command += ["--strategies", "linear_probe", "--backbones", "resnet14t,resnet18,autotl:mobilenet*"]
    done = subprocess.run(
        [sys.executable, "-m", "autotl", *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    state = result_file.read(here / "out")
    assert state.winner is not None and state.winner.backbone.startswith("autotl:mobilenet")
    reasons = {row.backbone: joined(row.facts) for row in state.leaderboard if row.score_val is None}
    assert "safetensors" in reasons["resnet14t"]
    assert "HTML" in reasons["resnet18"] or "page" in reasons["resnet18"]
    assert "pickle" in reasons["resnet34.pth"]


@pytest.mark.slow
def test_three_images_are_learnt_from(here: Path) -> None:
    pictures(here / "data", each=2, a=30)
    pictures(here / "data", each=1, b=220)
    command = ["run", "data", "--budget", "30s", "--offline", "--quiet", "--out", "out"]
    command += ["--backbones", "autotl:mobilenet*"]
    done = subprocess.run(
        [sys.executable, "-m", "autotl", *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    state = result_file.read(here / "out")
    assert state.winner is not None and state.data.select_from == "out-of-fold"
    assert (here / "out" / "model" / "model.safetensors").exists()
