"""Trials on Ray with the real worker: what they show does not depend on how many slots there are."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from made_images import pictures

from autotl.budget import Allowance
from autotl.builtin.backbones import register_backbones
from autotl.builtin.strategies import register_strategies
from autotl.engine import on_ray
from autotl.modality.image_store import decode
from autotl.protocols import EngineCall
from autotl.records import Candidate, Columns, Settings, Trial, TrialResult

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'autotl[ray]'")

pytestmark = [pytest.mark.ray, pytest.mark.process, pytest.mark.slow, pytest.mark.timeout(300)]

BACKBONE, SIDE, EACH = "autotl:levit_small", 96, 12
TRIALS = [
    Trial(
        id=f"t{number}",
        candidate=Candidate(backbone=BACKBONE, input_size=SIDE, strategy=strategy, unfreeze=unfreeze),
        epochs=epochs,
    )
    for number, (strategy, unfreeze, epochs) in enumerate([("linear_probe", 0, 0.0), ("fine_tune", 1, 2.0)])
]


def proba(folder: Path, photos: Path, slots: int) -> list[np.ndarray]:
    """The predictions of the two trials: one after another on one slot, or each on one of two."""
    files = sorted(map(str, photos.rglob("*.png")))
    labels = np.array([int(Path(file).parent.name[-1]) for file in files])
    part = np.tile([0, 0, 0, 1], len(files) // 4).astype(np.int8)
    columns = Columns(
        labels=labels, part=part, fold=np.zeros(len(files), np.int8), group=None, order=np.arange(len(files)),
        classes=tuple("0123"),
    )  # fmt: skip
    allowance = Allowance(deadline=time.monotonic() + 200)
    decode(files, folder / ".pixels", side=SIDE, allowance=allowance)
    engine = on_ray.connect(
        EngineCall(
            name="ray",
            settings=Settings(offline=True),
            folder=str(folder),
            cache=None,
            precision="fp32",
            seed=0,
            slots=slots,
        )
    )
    spec = next(spec for spec in register_backbones(None, Settings()) if spec.name == BACKBONE)
    strategies = {strategy.name: strategy for strategy in register_strategies(None)}
    try:
        engine.open(folder / ".pixels", columns, metric="accuracy", digests=None)
        engine.started(allowance)
        while len(engine.slots) < slots:
            assert not allowance.expired
            time.sleep(0.1)
        futures = [
            engine.slots[number % slots].submit(trial, spec, strategies[trial.candidate.strategy], allowance)
            for number, trial in enumerate(TRIALS)
        ]
        results: list[TrialResult] = [future.result() for future in futures]
    finally:
        engine.close()
    assert [result.status for result in results] == ["finished"] * 2, results
    return [np.load(folder / str(result.predictions))["proba"] for result in results]


def test_one_slot_and_two_predict_the_same_with_the_same_trials(tmp_path: Path) -> None:
    from ray.cluster_utils import Cluster

    photos = pictures(tmp_path / "photos", each=EACH)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_worker_niceness", "0")
        node = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 10**8}
        cluster = Cluster(initialize_head=True, head_node_args=node)
        cluster.add_node(num_cpus=1, object_store_memory=10**8)
        ray.init(cluster.address, log_to_driver=False)
        try:
            one, two = (proba(tmp_path / f"run{slots}", photos, slots) for slots in (1, 2))
        finally:
            ray.shutdown()
            cluster.shutdown()
    assert all(map(np.array_equal, one, two))
