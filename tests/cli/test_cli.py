from __future__ import annotations

import csv
import errno
import io
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from example_run import NASTY, example, row, run_folder

from autotl import pipeline
from autotl.cli import main
from autotl.engine import client
from autotl.errors import DatasetError, EngineError
from autotl.records import Answers, Event, Kind, Machine, fact


def invoke(*words: str | Path, **more: Any) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], **more)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return run_folder(tmp_path / "run")


@pytest.fixture
def faked(monkeypatch: pytest.MonkeyPatch) -> list[pipeline.Options]:
    """Runs end at once with the example; what they were asked is in the list."""
    asked: list[pipeline.Options] = []

    def recommend(options: pipeline.Options, *, tools: pipeline.Tools, started: float | None = None) -> Path:
        asked.append(options)
        for observe in tools.observers:
            observe(Event(time=1.0, stage="load", message="3 images", left=59.0))
            observe(
                Event(
                    time=2.0,
                    stage="probe",
                    message="done",
                    candidate="a@1/knn",
                    score=0.5,
                    best=0.5,
                    left=58.0,
                )
            )
        return run_folder(Path(str(options.out)))

    monkeypatch.setattr(pipeline, "recommend", recommend)
    return asked


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def recommend(*_: object, **__: object) -> Path:
        raise error

    monkeypatch.setattr(pipeline, "recommend", recommend)


# --------------------------------------------------------------------------- help


@pytest.mark.parametrize("name", sorted(main.commands))
def test_every_command_has_help_with_an_example(name: str) -> None:
    found = invoke(name, "--help")
    assert found.exit_code == 0
    assert f"Example: autotl {name}" in found.output
    assert max(map(len, found.output.splitlines())) <= 80


def test_help_shows_the_main_job_first() -> None:
    found = invoke("--help")
    assert found.output.partition("Run:\n")[2].split()[0] == "run"
    assert "autotl demo" in found.output


def test_help_lists_every_command_under_a_heading() -> None:
    lines = invoke("--help").output.splitlines()
    assert sorted(main.commands) == sorted(
        {line.split()[0] for line in lines if line.startswith("  ")} & set(main.commands)
    )
    assert "Plugins:" in lines


# --------------------------------------------------------------------------- run


def test_run_hands_over_every_option(faked: list[pipeline.Options], tmp_path: Path) -> None:
    found = invoke(
        *("run", "photos", "--budget", "1h30m", "--out", tmp_path / "out", "--test-size", "0.2"),
        *("--weights", tmp_path, "--backbones", "timm:resnet*,autotl:*", "--backbones", "vgg11"),
        *("--strategies", "knn", "--group", "^(..)-", "--metric", "macro_f1", "--device", "cpu"),
        *(
            "--precision",
            "bf16",
            "--seed",
            "7",
            "--offline",
            "--refit",
            "--prefer",
            "speed",
            "--label",
            "kind",
        ),
        *(
            "--max-params",
            "5M",
            "--max-latency",
            "10ms",
            "--max-memory",
            "500MB",
            "--licence",
            "MIT,Apache-2.0",
        ),
    )
    assert found.exit_code == 0, found.output
    options = faked[0]
    assert options.source == "photos"
    assert options.budget == 5400
    assert options.test_size == 0.2
    assert options.weights == (str(tmp_path),)
    assert options.backbones == ("timm:resnet*", "autotl:*", "vgg11")
    assert options.strategies == ("knn",)
    assert options.group == "^(..)-"
    assert (options.metric, options.device, options.precision, options.seed) == ("macro_f1", "cpu", "bf16", 7)
    assert options.offline
    assert options.refit
    assert (options.prefer, options.label) == ("speed", "kind")
    assert (options.max_params, options.max_latency, options.max_memory) == (5_000_000, 0.01, 500_000_000)
    assert options.licence == ("MIT", "Apache-2.0")


def test_the_end_of_a_run_is_table_words_and_report(faked: list[pipeline.Options], tmp_path: Path) -> None:
    found = invoke("run", "photos", "--out", tmp_path / "out")
    lines = found.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split()[:3] == ["backbone", "px", "strategy"]
    assert lines[2].startswith("* resnet14t_small")
    assert lines[3].startswith("= mobilenetv3_")
    assert "Use autotl:resnet14t_small at 96 px" in found.stdout
    assert "vgg11.tv_in1k@224/fine_tune:1: diverged (the loss was not finite twice)" in found.stdout


def test_progress_goes_to_standard_error_as_lines(faked: list[pipeline.Options], tmp_path: Path) -> None:
    found = invoke("run", "photos", "--out", tmp_path / "out")
    assert "[   2.0 s] probe      a@1/knn · done · 58 s left" in found.stderr
    assert "photos" not in found.stdout
    quiet = invoke("run", "photos", "--out", tmp_path / "more", "--quiet")
    assert quiet.stderr == ""
    assert quiet.stdout


def test_json_is_the_result_and_nothing_else(faked: list[pipeline.Options], tmp_path: Path) -> None:
    found = invoke("run", "photos", "--out", tmp_path / "out", "--json")
    assert json.loads(found.stdout)["winner"]["candidate"] == "autotl:resnet14t_small@96/lp_ft:2"
    assert found.stdout == (tmp_path / "out" / "result.json").read_text()
    assert found.stderr == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--budget", "soon"], "'soon' is not a duration; use 90s, 10m, 1h or plain seconds"),
        (["--budget", "0"], "'0' is not a duration"),
        (["--max-params", "many"], "'many' is not a count; use a number such as 5M"),
        (["--max-latency", "10 parsecs"], "is not a duration; use a time such as 10ms"),
        (["--group", "(unclosed"], "is not a regular expression"),
        (["--group", ""], "use a regular expression or the name of a column"),
        (["--test-size", "1"], "0<=x<1"),
        (["--seed", "-1"], "x>=0"),
        (["--metric", "auc"], "'accuracy', 'balanced_accuracy', 'macro_f1'"),
        (["--weights", "/nowhere"], "does not exist"),
        (["--licence", "permisive"], "did you mean 'permissive'?"),
        (["--backbone", "x"], "--backbones"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_says_what_was_expected(words: list[str], message: str) -> None:
    found = invoke("run", "photos", *words)
    assert found.exit_code == 2
    assert message in " ".join(found.stderr.split())


def test_a_column_of_a_csv_need_not_be_a_regular_expression(
    faked: list[pipeline.Options], tmp_path: Path
) -> None:
    assert invoke("run", "photos.csv", "--group", "who(", "--out", tmp_path / "out").exit_code == 0


# --------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (DatasetError("photos is empty;\n  expected images"), "Error: photos is empty; expected images\n"),
        (MemoryError(), "Error: this machine is out of memory; "),
        (
            OSError(errno.ENOSPC, "No space left", "/x/model"),
            "Error: the disk is full while writing /x/model; ",
        ),
        (
            OSError(errno.EROFS, "Read-only file system", "out"),
            "Error: out: read-only file system; expected a path that can be read and written; ",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "out/model"),
            "Error: out/model: permission denied; ",
        ),
    ],
)
def test_a_handled_error_is_one_line(monkeypatch: pytest.MonkeyPatch, error: Exception, message: str) -> None:
    failing(monkeypatch, error)
    found = invoke("run", "photos", "--quiet")
    assert found.exit_code == 1
    assert found.stderr.startswith(message)
    assert found.stderr.count("\n") == 1
    assert found.stdout == ""


@pytest.mark.parametrize("error", [KeyError("ours"), OSError(errno.EIO, "broken")])
def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    failing(monkeypatch, error)
    assert invoke("run", "photos").exception is error


def test_ctrl_c_shows_what_there_is_and_exits_with_130(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def recommend(options: pipeline.Options, *, tools: pipeline.Tools, **_: object) -> Path:
        run_folder(Path(str(options.out)), example(status="interrupted"))
        for observe in tools.observers:
            observe(Event(time=1.0, stage="load", message="3 images", folder=str(options.out)))
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "recommend", recommend)
    found = invoke("run", "photos", "--out", tmp_path / "out")
    assert found.exit_code == 130
    assert "* resnet14t_small" in found.stdout
    assert found.stderr.endswith("Interrupted.\n")


def test_ctrl_c_before_anything_was_recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    failing(monkeypatch, KeyboardInterrupt())
    found = invoke("run", "photos", "--out", tmp_path / "out", "--quiet")
    assert found.exit_code == 130
    assert "before the first result was recorded" in found.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_a_real_process_with_130(number: int, tmp_path: Path) -> None:
    program = (
        "import time\nfrom autotl import pipeline\nfrom autotl.cli import main\n"
        "def slow(*a, **k):\n    print('ready', flush=True)\n    time.sleep(60)\n"
        f"pipeline.recommend = slow\nmain(['run', 'photos', '--out', {str(tmp_path / 'out')!r}])\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    start = time.monotonic()
    process.send_signal(number)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 130
    assert time.monotonic() - start < 5
    assert "Traceback" not in errors


# --------------------------------------------------------------------------- leaderboard and report


def test_leaderboard_formats_agree(folder: Path) -> None:
    table = invoke("leaderboard", folder)
    assert table.exit_code == 0
    assert max(map(len, table.output.splitlines())) <= 80
    read = list(csv.DictReader(io.StringIO(invoke("leaderboard", folder, "--format", "csv").output)))
    listed = json.loads(invoke("leaderboard", folder, "--format", "json").output)
    assert [line["candidate"] for line in read] == [line["candidate"] for line in listed]
    sorted_ = invoke(
        "leaderboard", folder, "--sort", "pred_time", "--columns", "backbone,pred_time", "--format", "csv"
    )
    assert sorted_.output.splitlines()[:2] == ["backbone,pred_time", "autotl:lcnet_050,0.0004"]


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_the_leaderboard_fits_and_keeps_the_star_and_whole_identifiers(
    folder: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = invoke("leaderboard", folder).output.splitlines()
    assert max(map(len, lines)) <= columns
    assert sum(line.startswith("*") for line in lines) == 1
    text = "\n".join(lines)
    assert "resnet14t_small" in text
    assert "fine_tune:all" in text
    assert "timm:vgg11.tv_in1k@224/fine_tune:1: diverged" in " ".join(text.split())
    assert "* recommended; = not significantly worse" in " ".join(text.split())


def test_names_of_two_origins_keep_them(tmp_path: Path) -> None:
    run_folder(
        tmp_path, example(leaderboard=(row("timm:a@1/knn", 0.6), row("mine:a@1/knn", 0.5)), winner=None)
    )
    output = invoke("leaderboard", tmp_path).output
    assert "timm:a" in output and "mine:a" in output


def test_a_backbone_of_a_plugin_keeps_its_prefix(tmp_path: Path) -> None:
    run_folder(
        tmp_path, example(leaderboard=(row("mine:a@1/knn", 0.6), row("timm:b@1/knn", 0.5)), winner=None)
    )
    output = invoke("leaderboard", tmp_path).output
    assert "mine:a" in output and "timm:b" not in output


def test_controls_are_named_under_the_table(tmp_path: Path) -> None:
    control = row("pixels@16/random_forest", 0.41, control="pixels")
    run_folder(tmp_path, example(leaderboard=(*example().leaderboard, control)))
    assert "Control: random forest on pixels, no network: 41.0" in invoke("leaderboard", tmp_path).output


def test_leaderboard_of_no_run_is_a_handled_error(tmp_path: Path) -> None:
    found = invoke("leaderboard", tmp_path)
    assert found.exit_code == 1
    assert "has no result.json" in found.stderr


def test_names_cannot_command_the_terminal(tmp_path: Path) -> None:
    nasty = "\x1b[31mred\x07[bold]"
    run_folder(
        tmp_path,
        example(
            leaderboard=(row(f"{nasty}@1/knn", 0.5), row(NASTY, None, facts=(fact(Kind.TEXT, text=nasty),))),
            winner=None,
        ),
    )
    found = invoke("leaderboard", tmp_path)
    assert "\x1b" not in found.output
    assert "\x07" not in found.output
    assert "[bold]" in "".join(found.output.split())


def test_report_is_written_again(folder: Path) -> None:
    found = invoke("report", folder)
    assert found.output.strip() == str(folder / "report.html")
    assert (folder / "report.md").is_file()


# --------------------------------------------------------------------------- predict


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fake:
        def predict(self, _model: str, files: list[str], _allowance: object, _features: bool) -> Answers:
            errors = [None if Path(file).exists() else "there is no such file" for file in files]
            shares = np.tile(np.array([[0.2, 0.8]], np.float32), (len(files), 1))
            return Answers(probabilities=shares, errors=errors)

        def close(self) -> None:
            pass

    monkeypatch.setattr(client, "connect", lambda **_: Fake())


@pytest.fixture
def trained(folder: Path) -> Path:
    (folder / "model").mkdir()
    (folder / "model" / "model.json").write_text(json.dumps({"classes": ["cat", 'a "dog", maybe']}))
    return folder


@pytest.mark.usefixtures("engine")
def test_predict_writes_csv(trained: Path, tmp_path: Path) -> None:
    image = tmp_path / "x,y.png"
    image.touch()
    found = invoke("predict", trained, image, "gone.png")
    assert found.exit_code == 0
    rows = list(csv.reader(io.StringIO(found.stdout)))
    assert rows[0] == ["path", "label", "probability", "label_2", "probability_2", "warning", "error"]
    assert rows[1] == [str(image), 'a "dog", maybe', "0.800000", "cat", "0.200000", "", ""]
    assert rows[2] == ["gone.png", "", "", "", "", "", "there is no such file"]
    assert "1 of 2 files could not be read" in found.stderr


@pytest.mark.usefixtures("engine")
def test_predict_reads_a_list_from_standard_input(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "x.png").touch()
    found = invoke("predict", trained, "-", input=f"{tmp_path / 'x.png'}\n\n")
    assert len(found.stdout.splitlines()) == 2


@pytest.mark.usefixtures("engine")
def test_predict_of_nothing_readable_is_an_error(trained: Path) -> None:
    assert invoke("predict", trained, "gone.png").exit_code == 1


def test_predict_without_a_model_writes_nothing(folder: Path) -> None:
    found = invoke("predict", folder, "x.png")
    assert found.exit_code == 1
    assert found.stdout == ""


# --------------------------------------------------------------------------- listing, machine


@pytest.mark.parametrize("name", ["backbones", "strategies", "scores", "plugins"])
def test_listings_fit_and_have_json(name: str) -> None:
    found = invoke(name)
    assert found.exit_code == 0, found.output
    assert max(map(len, found.output.splitlines())) <= 80
    assert json.loads(invoke(name, "--json").stdout)


def test_scores_have_the_weight_that_a_run_begins_with() -> None:
    listed = {score["name"]: score["weight"] for score in json.loads(invoke("scores", "--json").stdout)}
    assert (listed["knn"], listed["linear"], listed["hscore"]) == (0.48, 0, 0)
    assert any(line.split()[:2] == ["knn", "0.48"] for line in invoke("scores").output.splitlines())


def test_backbones_by_pattern_and_limit() -> None:
    found = invoke("backbones", "timm:*mobilenetv3_small*", "--max-params", "800k", "--json")
    listed = json.loads(found.stdout)
    assert listed
    assert all("mobilenetv3_small" in spec["name"] and spec["parameters"] <= 800_000 for spec in listed)


def test_backbones_by_licence_memory_and_latency(monkeypatch: pytest.MonkeyPatch) -> None:
    from autotl import hardware

    monkeypatch.setattr(hardware, "multiplies_per_second", lambda: 1e11)
    monkeypatch.setattr(hardware, "has_gpu", lambda: False)
    asked = ("backbones", "timm:regnet*", "--licence", "permissive", "--max-memory", "40MB", "--json")
    listed = json.loads(invoke(*asked).stdout)
    assert listed
    assert all("NC" not in spec["licence"] and spec["parameters"] <= 1e7 for spec in listed)
    faster = json.loads(invoke(*asked, "--max-latency", "25ms").stdout)
    assert 0 < len(faster) < len(listed)


def test_what_cannot_be_used_of_a_folder_of_weights_is_said(tmp_path: Path) -> None:
    (tmp_path / "resnet18.pth").write_bytes(b"a pickle")
    found = invoke("backbones", "--weights", tmp_path)
    assert found.exit_code == 0
    assert "left out: resnet18.pth: a pickle" in found.stderr and "save_file" in found.stderr


def test_an_unknown_backbone_is_suggested_for() -> None:
    found = invoke("backbones", "timm:resnet81")
    assert found.exit_code == 1
    assert "did you mean" in found.stderr


def test_cache_says_where_and_how_much_and_prunes() -> None:
    assert re.search(r"(B|bytes) in ", invoke("cache").output)
    assert "Freed" in invoke("cache", "--prune", "1GB").output
    assert set(json.loads(invoke("cache", "--json").output)) == {"folder", "bytes", "freed"}


def test_completion_is_a_script_of_that_shell() -> None:
    assert "_AUTOTL_COMPLETE=bash_complete" in invoke("completion", "bash").output
    assert "#compdef autotl" in invoke("completion", "zsh").output


def test_profile_shows_classes_and_findings(tmp_path: Path) -> None:
    from PIL import Image

    for name, tone in (("light", 220), ("dark", 30)):
        for number in range(4):
            place = tmp_path / "data" / name / f"{number}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.effect_noise((40, 30), 40 + number).point(lambda v, t=tone: (v + t) // 2).save(place)  # type: ignore[misc]
    found = invoke("profile", tmp_path / "data")
    assert found.exit_code == 0, found.output
    assert "light" in found.output
    assert "30 px" in found.output
    assert json.loads(invoke("profile", tmp_path / "data", "--json").stdout)["images"] == 8
    copied = (tmp_path / "data" / "dark" / "0.png").read_bytes()
    (tmp_path / "data" / "light" / "also.png").write_bytes(copied)
    listed = " ".join(invoke("profile", tmp_path / "data").output.split())
    assert "different labels (with them no model is right on more than 88.9% of all): " in listed
    assert "dark/0.png = light/also.png" in listed


def test_doctor_names_versions_and_fails_when_torch_does(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def started(self, _allowance: object) -> None:
            raise EngineError("torch cannot be imported: no such symbol")

        def close(self) -> None:
            pass

    monkeypatch.setattr(client, "connect", lambda **_: Broken())
    found = invoke("doctor")
    assert found.exit_code == 1
    assert "torchvision" in found.stdout
    assert "Error: torch cannot be imported" in found.stderr


def test_doctor_sees_that_torch_and_torchvision_do_not_match(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import metadata

    from autotl.cli import doctor

    versions: Callable[[str], str] = {"torch": "2.13.0+cpu", "torchvision": "0.28.0"}.__getitem__
    monkeypatch.setattr(metadata, "version", versions)
    monkeypatch.setattr(metadata, "requires", lambda _: ["numpy", "torch==2.12.0"])
    assert "needs torch 2.12.0, but torch 2.13.0+cpu is installed" in doctor.torch_mismatch()
    monkeypatch.setattr(metadata, "requires", lambda _: ["torch==2.13.0"])
    assert "are different builds (cpu and no tag)" in doctor.torch_mismatch()


@pytest.mark.parametrize(
    ("torch", "torchvision", "requires", "matches"),
    [
        ("2.13.0+cpu", "0.28.0+cpu", "torch==2.13.0", True),
        ("2.13.0", "0.28.0", "torch (==2.13.0)", True),
        ("2.15.0", "0.29.2", "torch (>=2.14.0)", True),
        ("2.9.1", "0.29.2", "torch>=2.14.0", False),
        ("2.13.1", "0.28.0", "torch==2.13.0", False),
        ("2.13.0", "0.28.0+cpu", "torch==2.13.0", False),
    ],
)
def test_what_matches_and_what_does_not(
    monkeypatch: pytest.MonkeyPatch, torch: str, torchvision: str, requires: str, matches: bool
) -> None:
    from importlib import metadata

    from autotl.cli import doctor

    versions = {"torch": torch, "torchvision": torchvision}
    monkeypatch.setattr(metadata, "version", versions.__getitem__)
    monkeypatch.setattr(metadata, "requires", lambda _: [requires])
    assert (doctor.torch_mismatch() == "") is matches


def test_doctor_says_what_works_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fine:
        def started(self, _allowance: object) -> Machine:
            return Machine(device="cpu", precision="auto", threads=2)

        def close(self) -> None:
            pass

    monkeypatch.setattr(client, "connect", lambda **_: Fine())
    found = invoke("doctor")
    assert found.exit_code == 0, found.output
    assert max(map(len, found.output.splitlines())) <= 80
    listed = json.loads(invoke("doctor", "--json").stdout)
    assert "3 autotl" in listed["facts"]["works offline"]
    assert listed["facts"]["downloads"] == "none (HF_HUB_OFFLINE)"
    assert listed["error"] is None
