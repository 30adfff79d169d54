"""A final fit on images outside the sample: they are read from files and shards while it learns."""

from __future__ import annotations

import io
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_trial
import toy
from PIL import Image
from test_trial import LP_FT, PROBE, TUNE

from autotl.data import unsampled as lists
from autotl.engine import fine_tuning, messages, unsampled
from autotl.engine.on_ray import place
from autotl.modality.image_store import digest_of
from autotl.records import Candidate, Columns, Strategy, Target, Trial, TrialResult, Unsampled

COUNT = 300
START = partial(messages.Start, cache=None, device="cpu", precision="fp32", seed=0, offline=True, sys_path=())
PICTURES, LABELS = toy.images(COUNT, seed=5)


def encoded(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("outside")
    for number, picture in enumerate(PICTURES):
        (made / f"{number:03d}.png").write_bytes(encoded(picture))
    return made


def in_folder(folder: Path) -> Unsampled:
    files = np.array([str(folder / f"{number:03d}.png") for number in range(COUNT)], object)
    return Unsampled(files=files, labels=LABELS)


def columns() -> Columns:
    rows = np.arange(90)
    return Columns(
        labels=test_trial.LABELS, part=np.where(rows < 60, 0, 1).astype(np.int8), fold=np.full(90, -1, np.int8),
        group=None, order=rows, classes=("a", "b", "c"),
    )  # fmt: skip


def attempt(run: Path, outside: Unsampled, strategy: Strategy, left_out: int = 0, **more: Any) -> TrialResult:
    images = lists.listed(columns(), np.arange(60, 60 + left_out), outside, seed=0)
    lists.write(images, len(images), run)
    return test_trial.attempt(run, strategy, unsampled=len(images), **more)


@pytest.mark.parametrize("strategy", [PROBE, TUNE, LP_FT])
def test_all_images_outside_the_sample_are_learned_from(
    folder: Path, tmp_path: Path, strategy: Strategy, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[str] = set()
    read = unsampled.load_image

    def noted(file: str, side: int) -> object:
        seen.add(file)
        return read(file, side)

    monkeypatch.setattr(unsampled, "load_image", noted)
    done = attempt(tmp_path, in_folder(folder), strategy, epochs=2.0 if strategy.phases else 0.0)
    assert done.status == "finished" and done.unsampled == COUNT and len(seen) > 0.9 * COUNT
    alone = test_trial.attempt(tmp_path / "alone", strategy, epochs=2.0 if strategy.phases else 0.0)
    assert alone.unsampled == 0 and done.steps_done >= 4 * alone.steps_done
    assert test_trial.accuracy(tmp_path, done)[0] >= test_trial.accuracy(tmp_path / "alone", alone)[0] - 0.05


def test_a_pass_over_many_further_images_is_made_at_a_higher_rate_than_one_over_the_sample(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    lower = fine_tuning.continued_rate

    def noted(rate: float, *, added: float, trained: float) -> float:
        asked.append(added)
        return lower(rate, added=added, trained=trained)

    monkeypatch.setattr(fine_tuning, "continued_rate", noted)
    probe = test_trial.attempt(tmp_path, TUNE)
    more = {"epochs": 7.0, "resume_from": probe.model, "resumed_epochs": 6.0}
    test_trial.attempt(tmp_path, TUNE, **more)
    attempt(tmp_path, in_folder(folder), TUNE, **more)
    assert asked == [1.0, (60 + COUNT) / 60]


def test_a_head_on_images_from_files_is_that_of_the_same_images_decoded(folder: Path, tmp_path: Path) -> None:
    """What is read from a file while it learns is what the store would have held."""
    done = attempt(tmp_path, in_folder(folder), PROBE)
    squares = unsampled.Streamed(toy.squares(test_trial.PICTURES), lists.read(tmp_path), ())
    rows = next(squares.ready(iter([squares.rows[:20]]), toy.SIDE, toy.spec().preprocess))
    shown = squares.get(rows, toy.SIDE, toy.spec().preprocess)
    for square, row in zip(shown, rows, strict=True):
        number = int(Path(squares.images.path(row - squares.first)).stem)
        assert (square == PICTURES[number]).all() and squares.images.labels[row - squares.first] == LABELS[
            number
        ]
    squares.close()
    assert done.status == "finished"


def test_images_of_shards_are_read_at_their_place(tmp_path: Path) -> None:
    contents = [encoded(picture) for picture in PICTURES]
    shard = tmp_path / "a.tar"
    shard.write_bytes(b"x" * 7 + b"".join(contents))
    sizes = np.array([len(content) for content in contents])
    outside = Unsampled(
        files=np.array([str(shard)] * COUNT, object),
        labels=LABELS,
        offset=7 + np.cumsum(sizes) - sizes,
        size=sizes,
    )
    done = attempt(tmp_path / "run", outside, PROBE)
    assert done.unsampled == COUNT


@pytest.mark.parametrize("strategy", [PROBE, TUNE])
def test_what_cannot_be_read_or_is_judged_is_left_out(
    folder: Path, tmp_path: Path, strategy: Strategy
) -> None:
    outside = in_folder(folder)
    files = outside.files.copy()
    files[3] = str(tmp_path / "absent.png")
    (tmp_path / "broken.png").write_bytes(encoded(PICTURES[0])[:60])
    files[4] = str(tmp_path / "broken.png")
    copy = test_trial.PICTURES[75]  # a row that is judged
    (tmp_path / "copy.png").write_bytes(encoded(copy))
    files[5] = str(tmp_path / "copy.png")
    outside = Unsampled(files=files, labels=outside.labels)
    session = test_trial.session
    digests = np.array([digest_of(picture) for picture in test_trial.PICTURES])

    def digested(*given: Any, **more: Any) -> Any:
        made = session(*given, **more)
        made.open(replace(made.data, digests=digests))
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(test_trial, "session", digested)
        done = attempt(tmp_path / "run", outside, strategy, epochs=4.0 if strategy.phases else 0.0)
    assert done.status == "finished" and done.unsampled == COUNT - 3


def test_on_a_machine_that_does_not_see_the_images_the_sample_alone_is_fitted(tmp_path: Path) -> None:
    files = np.array([f"/nowhere/{number}.png" for number in range(COUNT)], object)
    done = attempt(tmp_path, Unsampled(files=files, labels=LABELS), PROBE)
    assert done.status == "finished" and done.unsampled == 0
    assert test_trial.attempt(tmp_path / "no list", PROBE, unsampled=9).unsampled == 0


def test_memory_holds_so_many_features_and_the_head_has_its_time(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    width = 16
    rows = 60 + 100  # those of the sample, and what memory holds besides
    monkeypatch.setattr(
        unsampled.devices,
        "free_memory",
        lambda _: int(rows * width * unsampled.VALUE_BYTES / unsampled.MEMORY_SHARE),
    )
    assert attempt(tmp_path / "run", in_folder(folder), PROBE).unsampled == 100
    monkeypatch.undo()
    monkeypatch.setattr(unsampled, "HEAD_MARGIN", 1e9)  # a head that has no time for more than a batch
    assert attempt(tmp_path / "slow", in_folder(folder), PROBE).unsampled == unsampled.BATCH


def test_what_the_budget_left_out_comes_from_the_store(tmp_path: Path, folder: Path) -> None:
    done = attempt(tmp_path, in_folder(folder), PROBE, left_out=10, evaluate_on=())
    assert done.unsampled == COUNT + 10


@pytest.mark.parametrize("of_place", [place.InSight, place.Away])
def test_the_list_travels_with_the_trial_to_a_machine_that_lacks_it(
    tmp_path: Path, of_place: type[place.InSight]
) -> None:
    there = of_place(START(folder=str(tmp_path)), tmp_path / "sent")
    trial = Trial(id="t1", candidate=Candidate(backbone="toy", input_size=toy.SIDE, strategy="probe"))
    asked = messages.Train(trial=trial, backbone=toy.spec(), strategy=PROBE)
    assert there.wanted(asked) == {}
    more = messages.Train(trial=replace(trial, unsampled=5), backbone=toy.spec(), strategy=PROBE)
    assert there.wanted(more) == {str(tmp_path / lists.FILE): there.folder / lists.FILE}


def test_rows_between_the_data_and_the_list_stay_without_part_and_label_column(
    folder: Path, tmp_path: Path
) -> None:
    """They are images without a label, or of another source."""
    own = columns()
    other = Target(name="shape", kind="multiclass", classes=("x", "y"), values=np.arange(90) % 2)
    own = replace(own, others=(other,), group=np.arange(90) // 2)
    lists.write(lists.listed(own, np.zeros(0, np.int64), in_folder(folder), seed=0), 4, tmp_path)
    squares = toy.squares(np.concatenate([test_trial.PICTURES, PICTURES[:5]]))
    streamed = unsampled.Streamed(squares, lists.read(tmp_path), ())
    longer = unsampled.extended(own, streamed)
    assert streamed.rows.tolist() == [95, 96, 97, 98] and len(longer.labels) == 99
    assert longer.labels[95:].tolist() == streamed.images.labels.tolist()
    assert longer.part[90:].tolist() == longer.fold[90:].tolist() == [-1] * 9
    assert longer.others[0].values[90:].tolist() == [-1] * 9
    assert longer.group is not None and len(set(longer.group[90:])) == 9
    streamed.close()
