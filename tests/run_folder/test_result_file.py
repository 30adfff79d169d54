from __future__ import annotations

import json
from pathlib import Path

import pytest
from example_run import example, full_folder, run_folder

from autotl.records import Kind, fact, result
from autotl.report import wording
from autotl.run_folder import result_file

jsonschema = pytest.importorskip("jsonschema")
SHIPPED = json.loads((Path(result_file.__file__).parent / "result.schema.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def check() -> jsonschema.protocols.Validator:
    kind = jsonschema.validators.validator_for(SHIPPED)
    kind.check_schema(SHIPPED)
    return kind(SHIPPED)


@pytest.mark.parametrize(
    "found", [example(), example(winner=None, decision=None, leaderboard=(), status="running")]
)
def test_results_keep_the_schema_that_ships(found: result.Recommendation, tmp_path: Path, check) -> None:
    check.validate(json.loads((run_folder(tmp_path, found) / result_file.FILE).read_text(encoding="utf-8")))


def test_a_result_with_trials_keeps_it_and_reads_back(tmp_path: Path, check) -> None:
    folder = full_folder(tmp_path / "run", pictures=False)
    raw = json.loads((folder / result_file.FILE).read_text(encoding="utf-8"))
    check.validate(raw)
    assert len(raw["trials"]) > 10
    assert result_file.encoded(result_file.read(folder)) == (folder / result_file.FILE).read_bytes()


@pytest.mark.parametrize(
    ("field", "value"),
    [("schema_version", 3), ("metric", "luck"), ("leaderboard", [{}]), ("winner", {"candidate": "a"})],
)
def test_what_is_no_result_breaks_it(field: str, value: object, tmp_path: Path, check) -> None:
    raw = json.loads((run_folder(tmp_path) / result_file.FILE).read_text(encoding="utf-8"))
    assert not check.is_valid(raw | {field: value})
    del raw[field]
    assert check.is_valid(raw) == (field not in {"schema_version", "metric"})


def test_names_that_are_no_utf8_do_not_break_a_run(tmp_path: Path) -> None:
    folder = run_folder(tmp_path, example(notes=(fact(Kind.TEXT, text="b\udcff.png could not be read"),)))
    assert result_file.read(folder).notes == (fact(Kind.TEXT, text="b\ufffd.png could not be read"),)


def test_every_fact_is_written_with_its_sentence_and_read_without_it(tmp_path: Path) -> None:
    note = fact(Kind.ENDED_EARLY, seconds=40.0)
    folder = run_folder(tmp_path, example(notes=(note,)))
    raw = json.loads((folder / result_file.FILE).read_text(encoding="utf-8"))
    assert raw["notes"][0]["text"] == wording.sentence(note)
    assert raw["summary"].startswith("Use autotl:resnet14t_small")
    raw["notes"][0]["text"] = raw["summary"] = "something else"
    (folder / result_file.FILE).write_text(json.dumps(raw), encoding="utf-8")
    assert result_file.read(folder).notes == (note,)
