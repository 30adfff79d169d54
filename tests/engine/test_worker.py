"""The worker's message loop, in this process."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import toy
from model_folder import picture

from autotl.budget import Allowance
from autotl.engine import messages, trial
from autotl.engine.worker import Worker
from autotl.errors import OutOfMemory
from autotl.modality.image_store import decode
from autotl.records import Candidate, Strategy, Trial


def test_the_data_stay_open_when_the_start_is_asked_for_again(tmp_path: Path) -> None:
    """The client gives the data at once and waits for the machine afterwards, with the same message."""
    allowance = Allowance(deadline=time.monotonic() + 60)
    picture(0, (60, 40)).save(tmp_path / "0.png")
    decode([str(tmp_path / "0.png")], tmp_path / ".pixels", side=64, allowance=allowance)
    rows = np.arange(1)
    np.savez(tmp_path / "table.npz", labels=rows, part=rows, fold=rows - 1, order=rows)
    start = messages.Start(
        folder=str(tmp_path), cache=None, device="cpu", precision="fp32", seed=0, offline=True, sys_path=()
    )
    opened = messages.Open(
        pixels=str(tmp_path / ".pixels"),
        table=str(tmp_path / "table.npz"),
        classes=("a",),
        folds=0,
        metric="accuracy",
        target="multiclass",
        modality="image",
    )
    worker = Worker()
    worker.handle(start, allowance)
    worker.handle(opened, allowance)
    assert worker.handle(start, allowance).device == "cpu"
    assert worker.session.data.columns.classes == ("a",)


@pytest.mark.parametrize("error", [MemoryError("8 GB"), RuntimeError("CUDA error: out of memory")])
def test_exhausted_memory_has_an_error_of_its_own_and_is_no_failed_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def exhausted(*_: object) -> None:
        raise error

    monkeypatch.setattr(trial, "run", exhausted)
    start = messages.Start(
        folder=str(tmp_path), cache=None, device="cpu", precision="fp32", seed=0, offline=True, sys_path=()
    )
    asked = Trial(id="t1", candidate=Candidate(backbone="toy", input_size=8, strategy="s"))
    train = messages.Train(trial=asked, backbone=toy.spec(), strategy=Strategy(name="s", summary=""))
    worker, allowance = Worker(), Allowance(deadline=time.monotonic() + 60)
    worker.handle(start, allowance)
    with pytest.raises(OutOfMemory, match=str(error)):
        worker.handle(train, allowance)
