"""Trials whose weights are joined: what a function of a strategy makes of the models of finished ones."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_trial
import torch
import toy
from safetensors.torch import load_file

from autotl import checksums
from autotl.budget import Allowance
from autotl.builtin.combining import between
from autotl.builtin.fine_tuning import FINE_TUNING
from autotl.engine import model
from autotl.errors import Declined, EngineError
from autotl.plugin import Checkpoint, ObjectiveCall
from autotl.records import Candidate, Parent, Phase, Strategy, Trial, TrialResult

SOUP = next(strategy for strategy in FINE_TUNING if strategy.name == "soup")
TUNE = replace(test_trial.TUNE, phases=(Phase(trains="k", lr=5e-3),))


def parent(done: TrialResult) -> Parent:
    return Parent(strategy="tune", model=str(done.model), score=0.5, epochs=done.epochs_done)


def run(folder: Path, strategy: Strategy, **more: Any) -> TrialResult:
    """Run a trial of a network with statistics of its own: the plain toy's are as if they were folded away."""
    candidate = Candidate(
        backbone="toy",
        input_size=toy.SIDE,
        strategy=strategy.name,
        unfreeze=0 if strategy.head_only else "all",
        hyper=(("flip", 0),),
    )
    asked = Trial(id=f"t{more.get('seed', 0)}", candidate=candidate, keep_model=True, **more)
    allowance = Allowance(deadline=time.monotonic() + 60)
    network = toy.spec(build="toy:Elsewhere")
    return test_trial.trial.run(test_trial.session(folder), asked, network, strategy, allowance)


def attempt(folder: Path, seed: int) -> TrialResult:
    done = run(folder, TUNE, epochs=2.0 + seed, seed=seed)
    assert done.model is not None
    return done


def joined(folder: Path, strategy: Strategy, members: Sequence[TrialResult]) -> TrialResult:
    parents = tuple(map(parent, members))
    epochs = max((one.epochs for one in parents), default=1.0)
    return run(folder, strategy, epochs=epochs, resumed_epochs=epochs, parents=parents)


TAUGHT: list[torch.Tensor] = []


def keeping(call: ObjectiveCall) -> torch.Tensor:
    assert call.teacher is not None
    TAUGHT.append(call.teacher)
    return call.loss(call.logits, call.targets)


STUDENT = replace(TUNE, parents=("tune",), phases=(replace(TUNE.phases[0], objective=f"{__name__}:keeping"),))


def test_a_student_learns_from_the_mean_of_what_its_teachers_predict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autotl.engine.model.require_installed", lambda *_: None)  # of the toy backbone
    TAUGHT.clear()
    parents = tuple(parent(attempt(tmp_path, seed)) for seed in range(2))
    student = run(tmp_path, STUDENT, epochs=1.0, seed=3, parents=parents)
    assert student.status == "finished" and len(TAUGHT) == student.steps_done
    session = test_trial.session(tmp_path)
    rows = np.flatnonzero(session.data.columns.part == 0)
    squares = session.data.squares.get(rows, toy.SIDE, toy.spec().preprocess)
    tables = [session.predictor(one.model).predict_squares(squares)[0] for one in parents]
    given = torch.cat(TAUGHT).exp().numpy()
    apart = np.abs(given[:, None] - np.mean(tables, axis=0)[None]).max(2).min(1)
    assert apart.max() < 1e-4 and given.std() > 0


def test_a_student_without_a_teacher_or_with_one_of_other_classes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Declined, match="none that teaches"):
        run(tmp_path, STUDENT, epochs=1.0)
    monkeypatch.setattr("autotl.engine.model.require_installed", lambda *_: None)
    teacher = attempt(tmp_path, 0)
    description = tmp_path / str(teacher.model) / model.DESCRIPTION
    description.write_text(description.read_text().replace('"a"', '"another"'))
    checksums.seal(description.parent)
    with pytest.raises(EngineError, match="expected those of this run"):
        run(tmp_path, STUDENT, epochs=1.0, parents=(parent(teacher),))


def backwards(parents: Sequence[Checkpoint]) -> dict[str, torch.Tensor]:
    return {name: weight.T if weight.ndim == 2 else weight for name, weight in parents[0].weights.items()}


def test_a_soup_is_the_mean_of_its_members_and_no_worse_than_their_mean(tmp_path: Path) -> None:
    members = [attempt(tmp_path, seed) for seed in range(3)]
    soup = joined(tmp_path, SOUP, members)
    assert soup.status == "finished" and soup.epochs_done == 4
    states = [load_file(tmp_path / str(done.model) / model.FILE) for done in (*members, soup)]
    for name in ("head.weight", "backbone.body.stages.0.0.weight"):
        assert torch.allclose(states[3][name], torch.stack([s[name] for s in states[:3]]).mean(0), atol=1e-6)
    means = [s["backbone.body.stages.2.1.running_mean"] for s in states]
    assert not torch.allclose(means[3], torch.stack(means[:3]).mean(0), atol=1e-4), "measured again"
    accuracies = [test_trial.accuracy(tmp_path, done)[0] for done in (*members, soup)]
    assert accuracies[3] >= np.mean(accuracies[:3]) - 1e-9


def test_it_declines_without_trials_and_for_trials_of_different_networks(tmp_path: Path) -> None:
    with pytest.raises(Declined, match="there are not two trials"):
        joined(tmp_path, SOUP, [])
    probe = run(tmp_path, Strategy(name="knn", summary="", head="autotl.builtin.heads:knn"))
    with pytest.raises(Declined, match="different networks"):
        joined(tmp_path, SOUP, [attempt(tmp_path, 0), probe])


def test_what_does_not_fit_the_network_is_named(tmp_path: Path) -> None:
    members = [attempt(tmp_path, 0)] * 2
    with pytest.raises(EngineError, match="something else than weights by name"):
        joined(tmp_path, replace(SOUP, combine=f"{__name__}:backwards"), members)


def test_between_takes_the_best_fine_tuning_and_the_frozen_backbone() -> None:
    def checkpoint(epochs: float, value: float) -> Checkpoint:
        return Checkpoint(strategy="s", score=0.5, epochs=epochs, weights={"w": torch.tensor([value])})

    assert between([checkpoint(6, 4.0), checkpoint(0, 2.0), checkpoint(6, 9.0)])["w"].item() == 3.0
    with pytest.raises(Declined):
        between([checkpoint(6, 4.0), checkpoint(6, 9.0)])
