from __future__ import annotations

import json
from pathlib import Path

import pytest
from example_run import example, full_folder, run_folder

from autotl.records import Kind, Phase, Skipped, Strategy, encoding, fact, result
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
    assert encoding.encode(result_file.read(folder)) == (folder / result_file.FILE).read_bytes()


@pytest.mark.parametrize(
    ("field", "value"),
    [("schema_version", 2), ("metric", "luck"), ("leaderboard", [{}]), ("winner", {"candidate": "a"})],
)
def test_what_is_no_result_breaks_it(field: str, value: object, tmp_path: Path, check) -> None:
    raw = json.loads((run_folder(tmp_path) / result_file.FILE).read_text(encoding="utf-8"))
    assert not check.is_valid(raw | {field: value})
    del raw[field]
    assert check.is_valid(raw) == (field not in {"schema_version", "metric"})


def test_names_that_are_no_utf8_do_not_break_a_run(tmp_path: Path) -> None:
    folder = run_folder(tmp_path, example(notes=("b\udcff.png could not be read",)))
    assert result_file.read(folder).notes == ("b\ufffd.png could not be read",)


def test_a_result_that_an_earlier_autotl_wrote_still_opens(tmp_path: Path) -> None:
    """Fields that are gone are ignored, and sentences that are facts now are kept as text."""
    folder = full_folder(tmp_path / "run", pictures=False)
    path = folder / result_file.FILE
    stored = json.loads(path.read_text(encoding="utf-8"))
    gone = {"objective": None, "prepare": None, "sampler": None, "combine": None, "worth": None, "parents": 0}
    phase = {"trains": "k", "views": 1, "data": "labelled"}
    stored["strategies"] = [{"name": "tune", "summary": "a fine-tuning", "phases": [phase], **gone}]
    stored["backbones"] = [
        {"name": "mine:net", "build": "mine:build", "text_head": None, "modality": "image"}
    ]
    for trial in stored["trials"]:
        trial["trial"].update(resume_from=None, parents=[])
        trial.update(classes_seen=3, trained_parameters=0.1)
    stored["skipped"] = [{"name": "mine:late", "reason": "84 MB had not arrived"}]
    path.write_text(json.dumps(stored), encoding="utf-8")
    opened = result_file.read(folder)
    assert opened.strategies == (Strategy(name="tune", summary="a fine-tuning", phases=(Phase(),)),)
    assert opened.backbones[0].name == "mine:net" and len(opened.trials) == len(stored["trials"])
    assert opened.skipped == (
        Skipped(name="mine:late", reason=fact(Kind.TEXT, text="84 MB had not arrived")),
    )
