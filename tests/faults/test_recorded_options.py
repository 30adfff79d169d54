"""Options that a received result.json records: whatever they hold, they are used or one line names the file."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import call, one_line
from example_run import full_folder
from made_images import pictures
from mutants import STRANGE

from autotl.builtin.sources import expression
from autotl.errors import AutotlError, RunError
from autotl.options import DEFAULTS, Options, goal_of, options_of_record, settings_of
from autotl.plugins.manager import load_plugins
from autotl.run_folder import result_file
from autotl.stages.load import load

VALUES: tuple[Any, ...] = (
    *STRANGE, "cuda:99", "(", "[", "a\0b", "x/" * 3000, 1e-300, ["a\0"], 2**70, ["*"], [1], "utf-7", "hidden",
)  # fmt: skip
RESULT = Path("received/result.json")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictures(tmp_path_factory.mktemp("data") / "photos", each=6)


def refused(call: Callable[[], object]) -> str:
    """Return the message of a call that is refused, "" where it is not; any other error fails the test."""
    try:
        call()
    except AutotlError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", [*DEFAULTS, "nonsense"])
def test_an_option_is_used_or_named(name: str, photos: Path) -> None:
    plugins = load_plugins()
    for value in VALUES:
        recorded = {"source": str(photos), name: value}
        problem = refused(lambda recorded=recorded: options_of_record(recorded, RESULT))
        if problem:
            assert str(RESULT) in problem and name in problem
            continue
        options = Options(**options_of_record(recorded, RESULT))
        goal_of(options)
        settings_of(options)
        assert len(refused(lambda options=options: load(options, plugins))) < 20_000


@pytest.mark.process
@pytest.mark.parametrize("group", ["(0+)+!", "(0|00)+!", "0*0*0*0*0*0*0*0*!", "((.*)*)*!"])
def test_an_expression_that_would_be_matched_for_ever_is_named(
    group: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it was recorded or given: each letter of a name doubles its time, or so."""
    monkeypatch.setattr(expression, "SECONDS", 0.3)
    source = pictures(tmp_path / "photos", each=1, classes=2)
    for file in source.rglob("*.*"):
        file.rename(file.with_name(f"{'0' * 200}{file.suffix}"))
    options = Options(**options_of_record({"source": str(source), "group": group}, RESULT))
    assert "was not matched with 2 paths within 0.3 s" in refused(lambda: load(options, load_plugins()))


def test_an_expression_too_deep_to_be_read_is_named(photos: Path) -> None:
    options = Options(**options_of_record({"source": str(photos), "group": "(" * 5000 + ")" * 5000}, RESULT))
    assert "is no regular expression" in refused(lambda: load(options, load_plugins()))


def test_an_option_without_a_value_that_it_needs_is_named() -> None:
    with pytest.raises(RunError, match=r"received/result\.json records 'None' as the option source"):
        options_of_record({}, RESULT)


def sealed(state: dict[str, Any]) -> bytes:
    """Return the JSON as whoever changes a file on purpose writes it: with a digest that fits."""
    content = json.dumps(state | {"sha256": ""}, indent=1).encode() + b"\n"
    before, after = content.rsplit(b'"sha256": ""', 1)
    return b'%s"sha256": "%s"%s' % (before, hashlib.sha256(content).hexdigest().encode(), after)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return full_folder(tmp_path_factory.mktemp("recorded") / "run", images=60, pictures=False)


@pytest.mark.parametrize("command", [("fit", "RUN"), ("run", "--continue", "RUN", "--budget", "+1m")])
@pytest.mark.parametrize(
    "options", [{"source": 3}, {"nonsense": 1}, {"seed": -1}, {"backbones": 7}, {"weights": [None]}, {}]
)
def test_a_command_names_the_file(
    command: tuple[str, ...], options: dict[str, Any], original: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(original, tmp_path / "run"))
    state = json.loads((run / "result.json").read_text())
    (run / "result.json").write_bytes(sealed(state | {"options": options}))
    assert not result_file.altered(run)
    assert "result.json records" in one_line(call(command, run))
