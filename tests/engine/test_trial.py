"""From a trial to its result, by a worker in this process: what is answered when something goes wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toy
from safetensors.torch import load_file

from autotl.budget import Allowance
from autotl.engine import closed_form, fine_tuning, messages, model, timing, train, trial
from autotl.engine import device as devices
from autotl.engine.augment import augment
from autotl.engine.model import Model
from autotl.engine.progress import Send
from autotl.engine.session import Data, Session
from autotl.engine.setting import Setting
from autotl.errors import EngineError
from autotl.records import (
    Candidate,
    Columns,
    Depth,
    Kind,
    Phase,
    Preprocess,
    Progress,
    Strategy,
    Trial,
    TrialResult,
)

PICTURES, LABELS = toy.images(90)
TUNE = Strategy(name="tune", summary="", phases=(Phase(trains="k", lr=2e-2, augment="none"),), depths=True)
LP_FT = Strategy(
    name="lp_ft", summary="", head="autotl.builtin.heads:logistic",
    phases=(Phase(trains="k", lr=1e-3, augment="none"),), depths=True,
)  # fmt: skip
PROBE = Strategy(name="probe", summary="", head="autotl.builtin.heads:linear")


def started(folder: Path, precision: str = "fp32") -> Session:
    return Session(
        messages.Start(
            folder=str(folder),
            cache=str(folder / "cache"),
            device="cpu",
            precision=precision,
            seed=0,
            offline=True,
            sys_path=(),
        )
    )


def session(folder: Path, *, folds: int = 0) -> Session:
    made, rows = started(folder), np.arange(90)
    columns = Columns(
        labels=LABELS,
        part=np.where(rows < 60, 0, 1).astype(np.int8) if not folds else np.zeros(90, np.int8),
        fold=(rows // 3 % folds).astype(np.int8) if folds else np.full(90, -1, np.int8),
        group=None,
        order=rows,
        classes=("a", "b", "c"),
        folds=folds,
    )
    digests, squares = rows.astype(str), toy.squares(PICTURES)
    made.open(Data(columns=columns, digests=digests, metric="accuracy", squares=squares))
    return made


def attempt(
    folder: Path,
    strategy: Strategy = TUNE,
    *,
    folds: int = 0,
    allowance: Allowance | None = None,
    send: Send | None = None,
    **more: Any,
) -> TrialResult:
    hyper = {"flip": 0} | more.pop("hyper", {})
    candidate = Candidate(
        backbone="toy", input_size=toy.SIDE, strategy=strategy.name,
        unfreeze="all" if strategy.phases else 0, hyper=tuple(sorted(hyper.items())),
    )  # fmt: skip
    epochs = more.pop("epochs", 6.0 if strategy.phases else 0.0)
    asked = Trial(id="t1", candidate=candidate, epochs=epochs, keep_model=True, **more)
    right = allowance or Allowance(deadline=time.monotonic() + 60)
    return trial.run(session(folder, folds=folds), asked, toy.spec(), strategy, right, send)


def attempt_elsewhere(folder: Path, depth: Depth) -> TrialResult:
    """A fine-tuning from a fitted head, of a network whose statistics are those of other images."""
    candidate = Candidate(
        backbone="toy", input_size=toy.SIDE, strategy=LP_FT.name, unfreeze=depth, hyper=(("flip", 0),)
    )
    asked = Trial(id="t1", candidate=candidate, epochs=1.0)
    right = Allowance(deadline=time.monotonic() + 60)
    return trial.run(session(folder), asked, toy.spec(build="toy:Elsewhere"), LP_FT, right)


def lowered(done: TrialResult) -> list[str]:
    """The causes for which the rate was lowered."""
    return [note.values["cause"] for note in done.notes if note.kind == Kind.RATE_LOWERED]


def accuracy(folder: Path, done: TrialResult) -> tuple[float, int]:
    with np.load(folder / str(done.predictions)) as stored:
        return float((stored["proba"].argmax(1) == LABELS[stored["rows"]]).mean()), len(stored["rows"])


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., Any]], list[dict[str, Any]]]:
    """Puts something before each fit, and lists what each was given."""

    def before(happens: Callable[..., Any]) -> list[dict[str, Any]]:
        seen: list[dict[str, Any]] = []
        original = train.fit

        def fit(*parts: Any) -> Any:
            model, setting, hyper = parts[0], parts[5], parts[7]
            seen.append({"batch": setting.batch, "lr": hyper.get("lr"), "weights": train.snapshot(model)})
            happens(len(seen), setting)
            return original(*parts)

        monkeypatch.setattr(train, "fit", fit)
        return seen

    return before


@pytest.mark.parametrize("strategy", [TUNE, PROBE])
def test_a_trial_leaves_predictions_and_a_model(tmp_path: Path, strategy: Strategy) -> None:
    done = attempt(tmp_path, strategy)
    assert done.status == "finished" and done.error is None and done.head == "linear"
    right, count = accuracy(tmp_path, done)
    assert count == 30 and right > 0.8
    assert (tmp_path / str(done.model) / "model.safetensors").exists()
    assert done.parameters and done.macs and done.latency and done.cost.seconds > 0
    assert done.epochs_done == (6 if strategy.phases else 0)


@pytest.mark.parametrize("strategy", [TUNE, PROBE])
def test_out_of_fold_every_row_is_judged_once(tmp_path: Path, strategy: Strategy) -> None:
    done = attempt(tmp_path, strategy, folds=3)
    with np.load(tmp_path / str(done.predictions)) as stored:
        assert sorted(stored["rows"].tolist()) == list(range(90))
        assert np.array_equal(stored["fold"], stored["rows"] // 3 % 3)


def test_a_head_that_predicts_some_images_at_once_predicts_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All at once, the neighbours of 17,000 images took gigabytes."""
    near = replace(PROBE, head="autotl.builtin.heads:knn")
    tables = []
    for number in (2048, 7):
        monkeypatch.setattr(closed_form, "AT_ONCE", number)
        done = attempt(tmp_path / str(number), near)
        with np.load(tmp_path / str(number) / str(done.predictions)) as stored:
            tables.append(stored["proba"])
    np.testing.assert_allclose(*tables, atol=1e-6)


def test_out_of_memory_halves_the_batch_as_often_as_it_takes(tmp_path: Path, fits: Any) -> None:
    def short_of_memory(_: int, setting: Any) -> None:
        if setting.batch > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")

    seen = fits(short_of_memory)
    done = attempt(tmp_path, hyper={"batch": 32})
    assert [fit["batch"] for fit in seen] == [32, 16, 8, 4]
    assert done.status == "finished" and done.epochs_done == 6
    assert [note.values["batch"] for note in done.notes if note.kind == Kind.BATCH_HALVED] == [16, 8, 4]
    assert len({fit["lr"] for fit in seen}) == 1, "that is no reason to learn more slowly"


def test_out_of_memory_with_the_smallest_batch_is_an_error(tmp_path: Path, fits: Any) -> None:
    def none_left(_: int, setting: Any) -> None:
        raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes")

    fits(none_left)
    with pytest.raises(RuntimeError, match="not enough memory"):
        attempt(tmp_path)


def test_a_training_that_diverges_begins_again_more_slowly(tmp_path: Path, fits: Any) -> None:
    def diverges(turn: int, _: Any) -> None:
        if turn == 1:
            raise train.Diverged

    seen = fits(diverges)
    done = attempt(tmp_path)
    assert done.status == "finished"
    assert lowered(done)[0] == "diverged"
    assert seen[1]["lr"] == pytest.approx(2e-2 * fine_tuning.RATES[1])
    assert all(torch.equal(value, seen[1]["weights"][name]) for name, value in seen[0]["weights"].items())


def test_a_rate_far_too_high_is_seen_early_and_lowered(tmp_path: Path, fits: Any) -> None:
    seen = fits(lambda turn, setting: None)
    done = attempt(tmp_path, hyper={"lr": 10.0})
    assert done.status == "finished" and set(lowered(done)) <= {"diverged", "constant"} and lowered(done)
    assert [fit["lr"] for fit in seen] == pytest.approx(
        [rate * 10 for rate in fine_tuning.RATES[: len(seen)]]
    )
    assert accuracy(tmp_path, done)[0] > 0.8, "as good as another rate would have been"


def test_the_curve_shows_the_score_while_choosing_and_never_of_the_test_part(tmp_path: Path) -> None:
    kept, train.FOLLOWED = train.FOLLOWED, 1.0
    try:
        done = attempt(tmp_path / "select")
        tested = attempt(tmp_path / "test", evaluate_on=("test",))
    finally:
        train.FOLLOWED = kept
    scores = [point.score for point in done.curve]
    assert all(score is not None for score in scores) and scores[-1] == pytest.approx(
        accuracy(tmp_path / "select", done)[0]
    )
    assert all(point.score is None for point in tested.curve)


def test_one_that_diverges_at_every_rate_is_a_row_without_a_score(tmp_path: Path, fits: Any) -> None:
    def diverges(turn: int, _: Any) -> None:
        raise train.Diverged

    seen = fits(diverges)
    done = attempt(tmp_path)
    assert len(seen) == len(fine_tuning.RATES)
    assert done.status == "diverged" and done.predictions is None and done.model is None and done.error


def test_one_that_learns_nothing_begins_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original, turns = train.fit, []

    def fit(*parts: Any) -> Any:
        course = original(*parts)
        turns.append(course)
        loss = float(np.log(3)) if len(turns) == 1 else 0.1  # a constant prediction's, then a low one
        return replace(course, curve=[replace(point, loss=loss) for point in course.curve])

    monkeypatch.setattr(train, "fit", fit)
    done = attempt(tmp_path)
    assert len(turns) == 2, "the first training ended with the loss of a constant prediction"
    assert done.status == "finished"
    assert lowered(done) == ["constant"]


@pytest.mark.parametrize("depth", [1, 2, "all"])
def test_a_fitted_head_meets_the_features_it_was_fitted_on(tmp_path: Path, depth: Depth) -> None:
    """Batch norm that trains uses batch statistics: a head fitted on features made with the source's is lost."""
    done = attempt_elsewhere(tmp_path, depth)
    assert done.curve[0].loss < 0.5 * np.log(3), "it begins where the head was, far below a guess"
    assert accuracy(tmp_path, done)[0] > 0.9


def test_folds_that_were_stopped_are_all_predicted(tmp_path: Path) -> None:
    """Each has its share of the time: without predictions on every row the trial would have no score."""
    done = attempt(tmp_path, folds=3, epochs=10.0**6, allowance=Allowance(deadline=time.monotonic() + 3.0))
    assert done.status == "stopped" and done.error is None
    with np.load(tmp_path / str(done.predictions)) as stored:
        assert sorted(stored["rows"]) == list(range(90))


def test_time_that_runs_out_is_stopped_not_failed(tmp_path: Path) -> None:
    done = attempt(
        tmp_path, allowance=Allowance(deadline=time.monotonic() + 2.0), hyper={"lr": 1e-3}, rows=59
    )
    assert done.status in ("finished", "stopped")
    long = Trial(
        id="t2",
        candidate=Candidate(
            backbone="toy", input_size=toy.SIDE, strategy="tune", unfreeze=1, hyper=(("flip", 0),)
        ),
        epochs=10.0**6,
    )
    done = trial.run(session(tmp_path), long, toy.spec(), TUNE, Allowance(deadline=time.monotonic() + 2.0))
    assert done.status == "stopped" and 0 < done.epochs_done < 10**6
    assert accuracy(tmp_path, done)[1] == 30, "and yet every image is judged"


@pytest.mark.parametrize("strategy", [TUNE, LP_FT], ids=lambda strategy: strategy.name)
def test_a_training_is_continued_from_the_model_of_a_shorter_one(tmp_path: Path, strategy: Strategy) -> None:
    shorter = attempt(tmp_path, strategy)
    longer = {"epochs": 9.0, "resume_from": shorter.model, "resumed_epochs": shorter.epochs_done}
    done = attempt(tmp_path, strategy, **longer)
    assert done.status == "finished" and done.epochs_done == 9.0
    assert done.steps_done < shorter.steps_done, "three epochs are paid for, not nine"
    assert 6.0 < done.curve[0].epoch <= 9.0
    assert done.curve[0].loss < shorter.curve[0].loss, "it starts where the shorter one ended"
    assert done.model != shorter.model


def test_a_continued_training_that_learns_nothing_at_any_rate_counts_the_epochs_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorter = attempt(tmp_path)
    original = train.fit

    def fit(*parts: Any) -> Any:
        course = original(*parts)
        return replace(course, curve=[replace(point, loss=float(np.log(3))) for point in course.curve])

    monkeypatch.setattr(train, "fit", fit)
    done = attempt(tmp_path, epochs=9.0, resume_from=shorter.model, resumed_epochs=6.0)
    assert len(lowered(done)) == len(fine_tuning.RATES) - 1
    assert done.status == "finished" and done.epochs_done == 9.0
    assert 6.0 < done.curve[0].epoch <= 9.0


@pytest.mark.parametrize("hyper", [{}, {"lr": 0.01}], ids=["own rate", "another"])
def test_a_training_is_continued_at_a_lower_rate_the_fewer_epochs_it_adds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hyper: dict[str, Any]
) -> None:
    rates: list[float] = []
    begin = train.phase_optimiser

    def noted(*arguments: Any) -> Any:
        optimiser = begin(*arguments)
        rates.append(max(group["lr"] for group in optimiser.param_groups))
        return optimiser

    monkeypatch.setattr(train, "phase_optimiser", noted)
    first = attempt(tmp_path, hyper=hyper)
    for epochs in (7.0, 9.0, 30.0):
        attempt(tmp_path, hyper=hyper, epochs=epochs, resume_from=first.model, resumed_epochs=6.0)
    shares = [rate / rates[0] for rate in rates[1:]]
    assert shares == pytest.approx([1 / 19, 1 / 7, 4 / 7]), "1, 3 and 24 epochs more than 6"


def test_a_training_is_not_continued_from_elsewhere(tmp_path: Path) -> None:
    for folder, told in (("../else", "outside the run folder"), ("trials/none/model", "cannot be read")):
        with pytest.raises(EngineError, match=told):
            attempt(tmp_path, epochs=9.0, resume_from=folder, resumed_epochs=6.0)


def test_the_same_trial_gives_the_same_predictions(tmp_path: Path) -> None:
    tables = []
    for name in ("a", "b"):
        done = attempt(tmp_path / name)
        with np.load(tmp_path / name / str(done.predictions)) as stored:
            tables.append(stored["proba"])
    assert np.array_equal(*tables)


def test_the_precision_is_timed_once_for_one_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Timings that take turns would give one seed two models, and features computed twice."""
    monkeypatch.setattr(devices, "possible", lambda device, wanted: ("fp32", "bf16"))
    found = iter(("bf16", "fp32", "fp32"))
    monkeypatch.setattr(devices, "faster", lambda choices, run, device: next(found))

    def chosen(training: bool = False) -> str:
        return started(tmp_path, "auto").precision(toy.backbone(), training)

    assert [chosen(), chosen()] == ["bf16", "bf16"]
    assert [chosen(training=True), chosen(training=True)] == ["fp32", "fp32"], "backward has its own"
    monkeypatch.setattr(devices, "possible", lambda device, wanted: ("fp32", "fp16"))
    assert chosen() == "fp32", "what cannot be here is not remembered"


def test_timed_batches_tell_step_answer_augmentation_and_memory_apart(tmp_path: Path) -> None:
    candidate = Candidate(backbone="toy", input_size=toy.SIDE, strategy="tune", unfreeze="all")
    found = timing.measure(session(tmp_path), candidate, toy.spec())
    assert found.seconds_per_image > 0 and found.latency > 0 and found.prepare > 0
    assert found.peak > found.bytes > 0


@pytest.mark.parametrize(("enough", "batches"), [(60.0, 3), (0.0, 1)])
def test_batches_are_timed_until_enough_seconds_are_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, enough: float, batches: int
) -> None:
    augmented = []

    def counted(*arguments: Any) -> Any:
        augmented.append(arguments)
        return augment(*arguments)

    monkeypatch.setattr(timing, "ENOUGH", enough)
    monkeypatch.setattr(timing, "augment", counted)
    candidate = Candidate(backbone="toy", input_size=toy.SIDE, strategy="tune", unfreeze="all")
    assert timing.measure(session(tmp_path), candidate, toy.spec()).seconds_per_image > 0
    assert len(augmented) == batches


def test_timed_batches_are_remembered_on_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate = Candidate(backbone="toy", input_size=toy.SIDE, strategy="tune", unfreeze="all")
    measured = timing.measure(session(tmp_path), candidate, toy.spec())
    monkeypatch.setattr(timing, "timed_batches", lambda *_: pytest.fail("timed again"))
    again = timing.measure(session(tmp_path), replace(candidate, strategy="other"), toy.spec())
    assert again.seconds_per_image == measured.seconds_per_image
    assert again.candidate == replace(candidate, strategy="other").id


@pytest.mark.parametrize("folds", [0, 3])
def test_a_training_reports_its_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folds: int) -> None:
    monkeypatch.setattr("autotl.engine.progress.REPORT_SECONDS", 0.0)
    reports: list[tuple[Progress, float]] = []
    done = attempt(tmp_path, folds=folds, send=lambda state, step: reports.append((state, step)))
    epochs = [state.epoch for state, _ in reports]
    assert epochs == sorted(epochs) and 0 < epochs[0] < 1 and epochs[-1] == 6
    assert all(state.trial == "t1" and state.epochs == 6 and step > 0 for state, step in reports)
    seconds = [state.seconds for state, _ in reports]
    assert seconds == sorted(seconds) and seconds[-1] <= done.cost.seconds + 0.5
    if not folds:
        assert reports[-1][0].loss == pytest.approx(done.curve[-1].loss, rel=0.5)


def test_a_backbone_is_kept_for_each_preprocessing(tmp_path: Path) -> None:
    made = session(tmp_path)
    plain, padded = toy.spec(), toy.spec(preprocess=Preprocess(geometry="pad"))
    for spec in (plain, padded, plain):
        assert made.backbone(spec, toy.SIDE).spec.preprocess == spec.preprocess


@pytest.mark.parametrize("folds", [0, 2])
def test_flips_are_compared_on_the_labels_of_the_data(tmp_path: Path, folds: int) -> None:
    made = session(tmp_path, folds=folds)
    candidate = Candidate(backbone="toy", input_size=toy.SIDE, strategy="tune", unfreeze=1)
    asked = Trial(id="t1", candidate=candidate, epochs=1.0)
    done = trial.run(made, asked, toy.spec(), TUNE, Allowance(deadline=time.monotonic() + 60))
    (note,) = [note for note in done.notes if note.kind == Kind.FLIPS]
    assert note.values["plain"] > 0.8


@pytest.mark.parametrize("norm", ["with_group", "frozen", "adapt"])
def test_a_phase_moves_the_statistics_that_its_norm_names(tmp_path: Path, norm: Any) -> None:
    """with_group: those of trained groups; frozen: none; adapt: all. Weights of frozen groups never move."""
    strategy = Strategy(
        name="tune", summary="", phases=(Phase(trains="k", norm=norm, augment="none"),), depths=True
    )
    candidate = Candidate(
        backbone="toy", input_size=toy.SIDE, strategy="tune", unfreeze=1, hyper=(("flip", 0),)
    )
    asked = Trial(id="t1", candidate=candidate, epochs=1.0, keep_model=True)
    made = session(tmp_path)
    done = trial.run(
        made, asked, toy.spec(build="toy:Elsewhere"), strategy, Allowance(deadline=time.monotonic() + 60)
    )
    after = load_file(tmp_path / str(done.model) / "model.safetensors")
    before = made.fresh(toy.spec(build="toy:Elsewhere"), toy.SIDE).state_dict()
    moved = {
        name.removeprefix("backbone.")
        for name, value in after.items()
        if name.startswith("backbone.") and not torch.equal(value, before[name.removeprefix("backbone.")])
    }
    statistics = {name.split(".")[2] for name in moved if "running" in name}
    assert statistics == {"with_group": {"2"}, "frozen": set(), "adapt": {"0", "1", "2"}}[norm]
    assert {name.split(".")[2] for name in moved if "running" not in name and "num_batches" not in name} == {
        "2"
    }


@pytest.mark.parametrize("trains_in", ["fp32", "bf16"])
def test_a_backbone_predicts_in_one_precision_whatever_trained_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trains_in: str
) -> None:
    """Otherwise the leaderboard has two latencies for one network, and the score is not of what ships."""
    made, used = session(tmp_path), set()
    monkeypatch.setattr(made, "precision", lambda backbone, training=False: trains_in if training else "bf16")
    predict = train.predict

    def noted(model: Model, rows: np.ndarray, setting: Setting) -> tuple[np.ndarray, Any]:
        used.add(setting.precision)
        return predict(model, rows, setting)

    monkeypatch.setattr(train, "predict", noted)
    for strategy, epochs in ((PROBE, 0.0), (TUNE, 1.0)):
        candidate = Candidate(
            backbone="toy", input_size=toy.SIDE, strategy=strategy.name, unfreeze="all" if epochs else 0
        )
        asked = Trial(id=strategy.name, candidate=candidate, epochs=epochs, keep_model=True)
        done = trial.run(made, asked, toy.spec(), strategy, Allowance(deadline=time.monotonic() + 60))
        assert done.precision == (trains_in if epochs else "bf16")
        assert model.describe(tmp_path / str(done.model)).precision == "bf16"
    assert used == {"bf16"} and len(made.latencies) == 1


def test_one_backbone_has_one_latency_whatever_its_head_is(tmp_path: Path) -> None:
    """Heads differ by their own time alone; what neighbours store counts as size."""
    made = session(tmp_path)
    done = {}
    for name in ("linear", "knn"):
        strategy = Strategy(name=name, summary="", head=f"autotl.builtin.heads:{name}")
        candidate = Candidate(backbone="toy", input_size=toy.SIDE, strategy=name)
        done[name] = trial.run(
            made,
            Trial(id=name, candidate=candidate),
            toy.spec(),
            strategy,
            Allowance(deadline=time.monotonic() + 60),
        )
    assert len(made.latencies) == 1
    (body,) = made.latencies.values()
    for one in done.values():
        assert one.latency is not None and one.latency > body
    assert (done["knn"].parameters or 0) > (done["linear"].parameters or 0)
    assert {name: one.head for name, one in done.items()} == {"linear": "linear", "knn": "knn"}


def plenty() -> Allowance:
    return Allowance(deadline=time.monotonic() + 60)


def test_features_from_the_cache_have_the_pace_of_those_that_were_computed(tmp_path: Path) -> None:
    """Without one their fine-tunings could not be forecast: a second run was offered less than the first."""
    first = session(tmp_path).features(toy.spec(), toy.SIDE, np.arange(80), plenty())
    second = session(tmp_path).features(toy.spec(), toy.SIDE, np.arange(80), plenty())
    assert second.cached == 80 and second.seconds_per_image == first.seconds_per_image > 0
    more = session(tmp_path).features(toy.spec(), toy.SIDE, np.arange(85), plenty())
    assert (
        more.cached == 80 and more.seconds_per_image == first.seconds_per_image
    )  # five say little of the pace


def test_a_pace_that_is_not_known_of_this_machine_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session(tmp_path).features(toy.spec(), toy.SIDE, np.arange(80), plenty())
    monkeypatch.setattr("autotl.engine.device.identity", lambda device: ("another machine",))
    found = session(tmp_path).features(toy.spec(), toy.SIDE, np.arange(80), plenty())
    assert found.cached == 80 and found.seconds_per_image > 0
