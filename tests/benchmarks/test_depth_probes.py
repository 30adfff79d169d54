"""Depth probes on stored activations: how their ranking is reckoned, and the recorded figures. No torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from example_run import example

from autotl.records import Candidate, Cost, Trial, TrialResult
from benchmarks import depths
from benchmarks.regret import grid

SELECT, TEST = 20, 60


@pytest.mark.parametrize(
    ("left", "right", "tau"),
    [
        ((1, 2, 3), (4, 5, 6), 1),
        ((1, 2, 3), (3, 2, 1), -1),
        ((1, 1, 2), (1, 2, 3), 2 / 3),
        ((1, 2), (5, 5), 0),
    ],
)
def test_tau(left: tuple[float, ...], right: tuple[float, ...], tau: float) -> None:
    assert depths.tau(left, right) == pytest.approx(tau)


def recorded(folder: Path, hits: dict[int, int]) -> grid.Recorded:
    """A set with one backbone, whose trainings by depth tell so many of the images rightly."""
    part = np.repeat([1, 2], [SELECT, TEST]).astype(np.int8)
    labels = np.zeros(SELECT + TEST, np.int64)
    about = grid.Set(
        name="made_up", classes=2, train=40, side=64, counts=np.array([20, 20]), rows=np.arange(len(part)),
        labels=labels, part=part, group=None,
    )  # fmt: skip
    found = grid.write_set(folder / "made_up", about)
    for depth, right in hits.items():
        line = grid.Trained(
            backbone="net", input_size=64, strategy="fine_tune" if depth else "linear_probe", unfreeze=depth,
            epochs=depths.EPOCHS if depth else 0.0, rows=40, seed=0, reference=0.1, machine="made up",
        )  # fmt: skip
        answers = np.arange(SELECT + TEST) >= right
        found.append(line, np.eye(2)[answers.astype(int)])
    return found


def probe(depth: int, way: depths.Way, share: float) -> depths.Probe:
    return depths.Probe(
        set="made_up", backbone="net", depth=depth, way=way, epochs=depths.EPOCHS, select=share, test=share,
        steps=8, frozen=0.9 if depth == 1 else 0.6,
    )  # fmt: skip


def test_depths_are_ranked_against_the_recorded_trainings(tmp_path: Path) -> None:
    sets = {"made_up": recorded(tmp_path, {0: 40, 1: 50, 2: 60})}  # of 80
    probes = [
        probe(1, "stored", 0.9),
        probe(2, "stored", 0.6),
        probe(1, "views", 0.7),
        probe(2, "views", 0.8),
    ]
    found = depths.orders(probes, sets)
    cell = ("made_up", "net")
    assert list(found) == ["augmented", "stored", "views"]
    assert found["augmented"][cell].both == (0.5, 0.625, 0.75)
    assert found["augmented"][cell].test == (20 / 60, 30 / 60, 40 / 60)
    assert [found[way][cell].best for way in found] == [2, 1, 2]
    page = depths.table(found)
    assert (
        "| stored, not augmented | 0.33 ± nan | 0 of 1 | -1.00 ± nan | +40.0 ± nan | +10.0 ± nan | 33.3 |"
        in page
    )
    assert "| net | 90% | 60% |" in depths.shares(probes)


def test_what_stored_activations_could_save_is_of_shallow_probes_alone() -> None:
    def trained(depth: int | str, **more: object) -> TrialResult:
        candidate = Candidate(backbone="net", input_size=64, strategy="fine_tune", unfreeze=depth)  # type: ignore[arg-type]
        trial = Trial(id="t", candidate=candidate, **more)  # type: ignore[arg-type]
        return TrialResult(
            trial=trial, status="finished", epochs_done=5.0, cost=Cost(decode=5, forward=15, backward=30)
        )

    final = trained(2, fit_on=("train", "select"), evaluate_on=("test",))
    state = example(trials=(trained(1), trained("all"), trained(2, control="scratch"), final))
    state = example(trials=state.trials, seconds={"total": 160.0})
    assert depths.saved(state) == pytest.approx(0.1)  # 4 of 5 passes of 20 seconds


def test_the_recorded_probes_are_whole() -> None:
    probes = depths.read(depths.RECORDED)
    keys = {(p.set, p.backbone, p.depth, p.way, p.epochs) for p in probes}
    assert len(keys) == len(probes) > 100
    assert all({(p.set, p.backbone, d, p.way, p.epochs) for d in depths.DEPTHS} <= keys for p in probes)
