"""The regret benchmark on tiny made-up grids: definitions, restart, determinism. No torch."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from autotl.records import BackboneSpec, Interval, Split, Trial, TrialResult
from benchmarks.regret import collapse, grid, policies, record, regret, space, stability, tables
from benchmarks.regret.replay import kept, prior_from, replay, sub_pools
from benchmarks.regret.space import BASIC, FROM_HEAD, LENGTH, Wallet

BACKBONES = ("small", "medium", "large", "broad", "odd")
CLASSES, TRAIN, SELECT, TEST = 4, 160, 100, 200


def made_up(folder: Path, name: str, seed: int, lines: int | None = None) -> grid.Recorded:
    """A set whose larger backbones score more, and more so when fine-tuned; the first `lines` lines of it."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(CLASSES, size=SELECT + TEST)
    about = grid.Set(
        name=name,
        classes=CLASSES,
        train=TRAIN,
        side=200,
        counts=np.full(CLASSES, TRAIN // CLASSES),
        rows=np.arange(SELECT + TEST),
        labels=labels,
        part=np.repeat([1, 2], [SELECT, TEST]).astype(np.int8),
        group=None,
    )
    specs = [
        BackboneSpec(name=backbone, build="x:y", parameters=10**place, published=0.5 + 0.05 * place)
        for place, backbone in enumerate(BACKBONES)
    ]
    grid.write_specs(folder, specs)
    recorded = grid.write_set(folder / name, about)
    for place, backbone in enumerate(BACKBONES):
        common = {"backbone": backbone, "input_size": 96, "reference": 0.1, "machine": "made up"}
        facts: list[tuple[grid.Line, np.ndarray | None]] = [
            (grid.Embedded(images=TRAIN + SELECT + TEST, seconds=4.0 + place, **common), None)
        ]
        facts += [
            (
                grid.Scored(
                    rows=rows, values={"linear": 0.6, "knn": 0.5, "logme": place}, seconds=0.0, **common
                ),
                None,
            )
            for rows in (64, TRAIN)
        ]
        for strategy, depth in (*BASIC, *FROM_HEAD):
            for length in (0.0,) if strategy == "linear_probe" else (4.0, LENGTH):
                accuracy = 0.6 + 0.03 * place + 0.01 * length
                right = generator.random(len(labels)) < accuracy
                table = np.eye(CLASSES)[np.where(right, labels, (labels + 1) % CLASSES)]
                line = grid.Trained(
                    strategy=strategy,
                    unfreeze=depth,
                    epochs=length,
                    rows=TRAIN,
                    seed=0,
                    seconds=1.0 + 10 * length,
                    **common,
                )
                facts.append((line, table))
        for line, answers in facts:
            if lines is None or len(recorded.lines) < lines:
                recorded.append(line, answers)
    return recorded


@pytest.fixture(scope="module")
def spaces(tmp_path_factory: pytest.TempPathFactory) -> dict[str, space.Space]:
    folder = tmp_path_factory.mktemp("grid")
    for seed, name in enumerate(("one", "two", "three")):
        made_up(folder, name, seed)
    return space.read(folder)


def test_a_training_is_found_again_with_its_answers(tmp_path: Path) -> None:
    written = made_up(tmp_path, "one", 0)
    read = grid.read_set(tmp_path / "one")
    assert read.lines == written.lines
    trained = [line for line in read.lines if isinstance(line, grid.Trained)]
    assert all(read.has(line) for line in trained)
    assert not read.has(replace(trained[0], seed=1))
    first = read.probabilities(trained[0])
    assert first.dtype == np.float16
    assert first.shape == (SELECT + TEST, CLASSES)


def test_a_line_that_was_cut_is_dropped_and_the_recording_goes_on(tmp_path: Path) -> None:
    made_up(tmp_path, "one", 0, lines=10)
    path = tmp_path / "one" / "lines.jsonl"
    path.write_bytes(path.read_bytes() + b'{"kind":"trained","backb')
    recorded = grid.read_set(tmp_path / "one")
    assert len(recorded.lines) == 10
    last = next(line for line in recorded.lines if isinstance(line, grid.Trained))
    recorded.append(replace(last, seed=7), np.full((SELECT + TEST, CLASSES), 0.25))
    again = grid.read_set(tmp_path / "one")
    assert len(again.lines) == 11
    assert again.has(replace(last, seed=7))


def test_other_images_are_not_mixed_into_a_recording(tmp_path: Path) -> None:
    recorded = made_up(tmp_path, "one", 0, lines=1)
    with pytest.raises(ValueError, match="other images"):
        grid.write_set(tmp_path / "one", replace(recorded.about, rows=recorded.about.rows + 1))


class Counting:
    """An engine that answers every training alike and counts them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[Trial] = []

    def submit(self, trial: Trial, *others: object) -> Future[TrialResult]:
        self.asked.append(trial)
        rows = np.arange(SELECT + TEST)
        np.savez(
            self.folder / "answers.npz", rows=rows, proba=np.full((len(rows), CLASSES), 0.25, np.float32)
        )
        done: Future[TrialResult] = Future()
        done.set_result(
            TrialResult(
                trial=trial,
                status="finished",
                predictions="answers.npz",
                steps_done=5,
                model="model",
                epochs_done=trial.epochs,
            )
        )
        return done


def test_what_was_recorded_is_not_trained_again(tmp_path: Path) -> None:
    made_up(tmp_path, "one", 0, lines=3)
    scores = {"linear", "knn", "logme"}
    probe = record.Pass(recipes=record.FROZEN, lengths=(0.0,), backbones=("small",))
    tuned = record.Pass(recipes=(("fine_tune", 2),), lengths=(1.0, 3.0), backbones=("small",))
    engine = Counting(tmp_path)

    def go_on() -> None:
        session = record.Session(
            data=None,  # type: ignore[arg-type]
            split=None,  # type: ignore[arg-type]
            recorded=grid.read_set(tmp_path / "one"),
            engine=engine,  # type: ignore[arg-type]
            folder=tmp_path,
            specs={spec.name: spec for spec in grid.read_specs(tmp_path)},
            plugins=None,  # type: ignore[arg-type]
        )
        for wanted in (probe, tuned):
            record.train(session, "small", *wanted.recipes[0], wanted.lengths, wanted.seed)

    assert not record.complete(tmp_path / "one", tuned, scores)
    go_on()
    asked = ["0 from 0", "1 from 0", "3 from 1"]
    assert [f"{trial.epochs:g} from {trial.resumed_epochs:g}" for trial in engine.asked] == asked
    lines = [line for line in grid.read_set(tmp_path / "one").lines if isinstance(line, grid.Trained)]
    assert [(line.epochs, line.resumed) for line in lines] == [(0.0, 0.0), (1.0, 0.0), (3.0, 1.0)]
    assert record.complete(tmp_path / "one", probe, scores)
    assert record.complete(tmp_path / "one", tuned, scores)
    assert not record.complete(tmp_path / "one", tuned, {*scores, "another"})
    assert not record.complete(tmp_path / "one", replace(tuned, backbones=("small", "large")), scores)
    assert not record.complete(tmp_path / "one", replace(tuned, seed=1), scores)
    assert not record.complete(tmp_path / "other", tuned, scores)
    go_on()
    assert len(engine.asked) == 3


def test_a_part_is_cut_to_the_first_of_its_order() -> None:
    split = Split(
        part=np.repeat([0, 1, 2], 20).astype(np.int8),
        fold=np.full(60, -1, np.int8),
        order=np.random.default_rng(0).permutation(60),
        folds=0,
        select_from="held out",
        test_from="given",
        grouped=False,
        seed=0,
        facts=(),
    )
    cut = record.smaller(split, {"train": 5, "select": 20, "test": 7})
    assert [int((cut.part == code).sum()) for code in (-1, 0, 1, 2)] == [28, 5, 20, 7]
    kept = split.order[cut.part[split.order] == 0].tolist()
    assert kept == [row for row in split.order.tolist() if split.part[row] == 0][:5]


def test_rounding_keeps_the_answer() -> None:
    close = np.array([[0.3334, 0.3333, 0.3333], [0.0001, 0.9998, 0.0001], [0.3332, 0.3334, 0.3334]])
    assert (grid.short(close).argmax(1) == close.argmax(1)).all()


def test_regret_is_against_the_cell_that_the_other_half_names() -> None:
    generator = np.random.default_rng(0)
    same = np.repeat(generator.random((1, 400)) < 0.7, 5, axis=0)
    assert np.allclose(regret.regrets(same), 0)  # nothing to choose
    equal = generator.random((30, 400)) < 0.7
    lost = regret.regrets(equal)
    flattered = equal.mean(1).max() - equal.mean()
    assert (
        abs(lost.mean()) < flattered / 2
    )  # alike: the one that is named on a half is nothing much on the other
    clear = np.stack([np.ones(400, bool), np.arange(400) % 2 == 0])
    assert regret.regrets(clear)[0] == 0
    assert regret.regrets(clear)[1] == pytest.approx(0.5, abs=0.01)


def test_groups_stay_in_one_half() -> None:
    group = np.repeat([0, 1], 50)
    right = np.stack(
        [group == 0, group == 1]
    )  # each cell knows one group: what one half names fails on the other
    assert np.allclose(regret.regrets(right, group).mean(), -0.5)


def test_a_level_buys_at_least_three_mean_cells(spaces: dict[str, space.Space]) -> None:
    whole = spaces["one"]
    assert whole.level(0.01) == pytest.approx(3 * whole.cost / len(whole.cells))
    assert whole.level(0.5) == pytest.approx(whole.cost / 2)


def test_a_purse_pays_once_and_never_more_than_it_holds(spaces: dict[str, space.Space]) -> None:
    whole = spaces["one"]
    place = policies.frozen_of(whole, "small")
    wallet = Wallet(space=whole, limit=1e9)
    assert wallet.train(place) is not None
    spent = wallet.spent
    assert wallet.train(place) is not None
    assert wallet.spent == spent
    assert wallet.read("small", TRAIN, TRAIN)[0] == TRAIN
    assert wallet.spent == spent
    poor = Wallet(space=whole, limit=spent / 2)
    assert poor.train(place) is None
    assert poor.spent == 0


def test_costs_are_in_steps_of_the_machine_that_recorded(tmp_path: Path) -> None:
    made_up(tmp_path, "one", 0)
    usual = space.read(tmp_path)["one"].cost
    path = tmp_path / "one" / "lines.jsonl"
    path.write_text(path.read_text().replace('"reference":0.1,', '"reference":0.2,'))
    assert space.read(tmp_path)["one"].cost == pytest.approx(usual / 2)


def test_no_policy_spends_more_than_its_level(spaces: dict[str, space.Space]) -> None:
    whole = spaces["one"]
    prior = prior_from([spaces["two"], spaces["three"]])
    for name, policy in policies.available().items():
        wallet = Wallet(space=whole, limit=whole.level(0.1))
        choice = policy(wallet, prior, np.random.default_rng(0))
        assert 0 <= choice.place < len(whole.cells)
        assert name in policies.UNPAID or choice.spent <= wallet.limit * 1.000001, name


def test_exhaustive_validation_takes_the_best_on_select(spaces: dict[str, space.Space]) -> None:
    whole = spaces["one"]
    choice = policies.exhaustive(Wallet(space=whole, limit=0.0), {}, np.random.default_rng(0))
    assert whole.cells[choice.place].selected[whole.cells[choice.place].longest] == max(
        cell.selected[cell.longest] for cell in whole.cells
    )


def test_a_planner_of_ones_own_is_asked(spaces: dict[str, space.Space]) -> None:
    class Nothing:
        def ask(self, seconds: float) -> None:
            return None

        def tell(self, result: object) -> None:
            told.append(result)

    told: list[object] = []
    wallet = Wallet(space=spaces["one"], limit=spaces["one"].level(0.2))
    choice = policies.Autotl(make=lambda profile, ranking, seconds: Nothing())(
        wallet, {}, np.random.default_rng(0)
    )
    assert told
    assert spaces["one"].cells[choice.place].frozen


def test_a_replay_gives_the_same_outcomes_twice_and_makes_its_tables(spaces: dict[str, space.Space]) -> None:
    def run() -> list[object]:
        chosen = {name: policy for name, policy in policies.available().items() if "Optuna" not in name}
        outcomes = replay(spaces, chosen, levels=(0.2,), pools=2, seeds=2)
        return [replace(outcome, thinking=0.0) for outcome in outcomes]

    outcomes = run()
    assert outcomes == run()
    page = tables.page(spaces, outcomes)
    assert "exhaustive validation" in page
    assert "| decision logic, of a run |" in page


def test_the_prior_never_sees_its_own_set(spaces: dict[str, space.Space]) -> None:
    prior = prior_from([spaces["two"]])
    assert (
        max(prior, key=lambda recipe: prior[recipe])
        == max(spaces["two"].cells, key=lambda cell: cell.right.mean()).recipe
    )
    assert {cell.candidate.backbone for part in sub_pools(spaces["one"], 3) for cell in part.cells} <= set(
        BACKBONES
    )


@pytest.mark.process
def test_replaying_needs_no_torch(tmp_path: Path) -> None:
    made_up(tmp_path, "one", 0)
    code = (
        "import sys; from benchmarks.regret import policies, replay, space, tables;"
        f"assert space.read(__import__('pathlib').Path({str(tmp_path)!r}));"
        "assert not {'torch', 'timm'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_an_expected_accuracy_holds_within_its_own_error_and_that_of_the_test(
    spaces: dict[str, space.Space],
) -> None:
    place = 0
    right = spaces["one"].cells[place].right
    truth = float(right.mean())

    def covers(value: float, half: float) -> bool:
        expected = Interval(value=value, low=value - half, high=value + half)
        return bool(kept(spaces["one"], policies.Choice(place=place, spent=0.0, expected=expected))["covers"])

    error = 1.96 * (truth * (1 - truth) / len(right)) ** 0.5
    assert covers(truth, 0.0)
    assert covers(truth + 0.8 * error, 0.0) and covers(truth - 0.8 * error, 0.0)
    assert not covers(truth + 1.5 * error, 0.0)
    assert covers(truth + 1.5 * error, 1.5 * error)
    grouped = replace(spaces["one"], about=replace(spaces["one"].about, group=np.arange(SELECT + TEST) // 20))
    expected = Interval(value=truth + 1.5 * error, low=truth, high=truth + 1.5 * error)
    choice = policies.Choice(place=place, spent=0.0, expected=expected)
    assert kept(grouped, choice)["off"] == pytest.approx(1.5 * error)
    assert kept(grouped, policies.Choice(place=place, spent=0.0)) == {}


def test_a_training_collapsed_where_it_answers_a_constant_and_its_backbone_can_learn(tmp_path: Path) -> None:
    recorded = made_up(tmp_path, "one", 0)
    assert not any(one.collapsed for one in collapse.seen([recorded]))
    last = next(line for line in recorded.lines if isinstance(line, grid.Trained))
    labels = recorded.about.labels
    constant = np.eye(CLASSES)[np.full(len(labels), np.bincount(labels).argmax())]
    recorded.append(replace(last, strategy="fine_tune", unfreeze=7, epochs=3.0), constant)
    recorded.append(replace(last, backbone="alone", epochs=3.0), constant)
    fallen = [one.training for one in collapse.seen([recorded]) if one.collapsed]
    assert fallen == [f"{last.backbone} fine_tune:7@3#0"], (
        "the other backbone shows nowhere that it can learn"
    )
    assert "| fine-tuning, 2 epochs or more |" in collapse.table(collapse.seen([recorded]))


def test_no_collapse_in_300_allows_a_rate_of_one_percent() -> None:
    assert collapse.upper(0, 300) == pytest.approx(1 - 0.05 ** (1 / 300))
    assert 0.0156 < collapse.upper(1, 300) < 0.0158
    assert collapse.upper(3, 3) == 1.0


def test_runs_with_the_same_costs_recommend_the_same_and_others_are_counted(
    spaces: dict[str, space.Space], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stability, "LEEWAYS", (0.001,))
    monkeypatch.setattr(stability, "LEVELS", (0.2,))
    monkeypatch.setattr(stability, "RUNS", 1)
    monkeypatch.setattr(stability, "NOISE", 0.0)
    row = stability.table(spaces, 0).splitlines()[2]
    assert row.startswith("| 0.1 points | 20% | 100% | 100% | 0 of 0 |")
