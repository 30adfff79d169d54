"""Slots on Ray: actors that hold a worker of our own, on one node and on two, which can die, hang and leave."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import test_client
from test_client import open_data, seconds, spec

from autotl.budget import Allowance
from autotl.errors import EngineError, SlotLost
from autotl.protocols import EngineCall
from autotl.records import Candidate, Settings, Strategy, Trial, Weights
from autotl.weights import hub

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'autotl[ray]'")

from autotl.engine import on_ray, process  # noqa: E402
from autotl.engine.on_ray.cluster import Cluster  # noqa: E402
from autotl.engine.on_ray.engine import RayEngine  # noqa: E402

pytestmark = [pytest.mark.ray, pytest.mark.process, pytest.mark.slow, pytest.mark.timeout(120)]

# Besides what the worker of test_client does, a training writes a prediction, and one that goes on reads its model;
# an embedding writes its features and shows the pixels that it read; what a weights file holds is in the error.
WRITES = test_client.WORKER.replace(
    "        rows = obey(name, number)\n",
    """        if isinstance(body, messages.Train):
            from pathlib import Path
            at = Path(start.folder, "trials", body.trial.id, "model")
            at.mkdir(parents=True, exist_ok=True)
            before = "" if body.trial.resume_from is None else Path(start.folder, body.trial.resume_from, "w").read_text()
            (at / "w").write_text(before + body.trial.id)
        rows = obey(name, number)
""",
).replace(
    "            value = Embedding(",
    """            from pathlib import Path
            sent, kept = body.backbone.weights, ""
            if sent is not None:
                kept = Path(os.environ["AUTOTL_SENT_WEIGHTS"], messages.sent_name(sent)).read_text()
            features = body.rows.replace("rows", "features")
            seen = Path(opened, "pixels.bin").read_text()
            np.savez(features, pixels=seen, weights=kept, rows=np.load(body.rows)["rows"])
            os.unlink(body.rows)
            opened = features
            value = Embedding(""",
).replace(
    "        value = Machine(", "        start = body\n        value = Machine("
)  # fmt: skip


# One that needs more memory than there is ends as a process without memory does.
WRITES = WRITES.replace(
    "def obey(name, number):\n",
    """def obey(name, number):
    if name == "hungry":
        import resource
        resource.setrlimit(resource.RLIMIT_AS, (2**32, 2**32))
        bytearray(2**33)
""",
)


def stand_in() -> None:
    """Put the stand-in in the place of the worker, in each process that Ray starts."""
    from autotl.engine import process  # in the other process

    process.WORKER = ("-c", WRITES)


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    sys.modules.setdefault("test_on_ray", sys.modules[__name__])
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_worker_niceness", "0")
        node = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 10**8}
        cluster = Cluster(initialize_head=True, head_node_args=node)
        cluster.add_node(num_cpus=1, object_store_memory=10**8)
        ray.init(cluster.address, log_to_driver=False, runtime_env={"worker_process_setup_hook": stand_in})
        yield cluster
        ray.shutdown()
        cluster.shutdown()


@pytest.fixture
def connect(
    two_nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., RayEngine]]:
    monkeypatch.setattr(process, "WORKER", ("-c", WRITES))  # of the worker beside the run
    made: list[RayEngine] = []

    def start(slots: int | None = None) -> RayEngine:
        call = EngineCall(
            name="ray", settings=Settings(offline=True), folder=str(tmp_path / "run"), cache=None,
            precision="fp32", seed=0, slots=slots,
        )  # fmt: skip
        made.append(on_ray.connect(call))
        made[-1].started(seconds())
        wanted = slots or sum(node["Alive"] for node in ray.nodes())
        until(lambda: len(made[-1].slots) == wanted)
        return made[-1]

    yield start
    for engine in made:
        engine.close()


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> None:
    """No machine of the cluster sees the run folder."""
    monkeypatch.setattr(Cluster, "share", lambda _: None)


def until(happened: Callable[[], bool], limit: float = 60.0) -> None:
    end = time.monotonic() + limit
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.05)


def submit(slot: Any, name: str, number: str = "t1", allowance: Allowance | None = None, **more: Any) -> Any:
    observer = more.pop("on_progress", None)
    trial = Trial(id=number, candidate=Candidate(backbone=name, input_size=64, strategy="s"), **more)
    return slot.submit(trial, spec(name), Strategy(name="s", summary=""), allowance or seconds(), observer)


def workers() -> list[psutil.Process]:
    """The stand-ins that run now, which are children of actors and not of this process."""
    found = []
    for one in psutil.process_iter(["cmdline"]):
        words = one.info["cmdline"] or []
        if len(words) > 1 and WRITES in words:
            found.append(one)
    return found


def pixels(folder: Path) -> Path:
    (folder / "pixels").mkdir()
    (folder / "pixels" / "pixels.bin").write_text("the images")
    return folder / "pixels"


def test_each_node_is_a_slot_and_trials_run_at_once(
    connect: Callable[..., RayEngine], tmp_path: Path
) -> None:
    engine, states = connect(), list[Any]()
    assert len(engine.slots) == 2 and engine.slots[0].kind == engine.slots[1].kind
    open_data(engine, pixels(tmp_path))
    waits = Allowance(deadline=time.monotonic() + 600)
    long = submit(engine.slots[0], "patient", "t1", waits, on_progress=states.append)
    assert submit(engine.slots[1], "fine", "t2").result(30).status == "finished"
    until(lambda: bool(states))
    waits.cancelled.set()
    assert long.result(30).status == "finished" and states[0].trial == "t1"
    assert (tmp_path / "run" / "trials" / "t1" / "model" / "w").read_text() == "t1"
    with pytest.raises(EngineError, match="Nonsense"):
        engine.slots[0].embedding(spec("Nonsense"), 64, np.arange(3), seconds()).result(30)


def test_what_a_machine_lacks_travels_to_it_and_back(
    connect: Callable[..., RayEngine], away: None, tmp_path: Path
) -> None:
    engine = connect()
    images = pixels(tmp_path)
    open_data(engine, images)
    weights = tmp_path / "weights.safetensors"
    weights.write_text("the weights")
    backbone = test_client.BackboneSpec(
        name="fine", build="m:b", weights=Weights(kind="hub", location="far/away")
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub, "find", lambda _: weights)
        rows = np.array([4, 2])
        embedding = engine.slots[0].embedding(backbone, 64, rows, seconds()).result(30)
    with np.load(embedding.path) as stored:
        assert Path(embedding.path).is_relative_to(tmp_path / "run")
        assert str(stored["pixels"]) == "the images" and str(stored["weights"]) == "the weights"
        assert stored["rows"].tolist() == [4, 2]
    assert submit(engine.slots[0], "fine", "t1").result(30).status == "finished"
    assert (
        submit(engine.slots[1], "fine", "t2", resume_from="trials/t1/model").result(30).status == "finished"
    )
    assert (tmp_path / "run" / "trials" / "t2" / "model" / "w").read_text() == "t1t2"


def test_a_dead_and_a_hanging_worker_are_replaced(connect: Callable[..., RayEngine], tmp_path: Path) -> None:
    engine = connect(slots=1)
    with pytest.raises(SlotLost, match="SIGKILL"):
        submit(engine.slots[0], "killed").result(30)
    until(lambda: engine.slots[0].ready)
    assert submit(engine.slots[0], "fine", "t2").result(30).status == "finished"
    waits = submit(engine.slots[0], "patient", "t3", Allowance(deadline=time.monotonic() + 0.5))
    time.sleep(0.3)
    for worker in workers():
        worker.send_signal(signal.SIGSTOP)
    assert waits.result(60).status == "stopped"
    until(lambda: engine.slots[0].ready)
    assert submit(engine.slots[0], "fine", "t4").result(30).status == "finished"


def test_a_worker_without_memory_loses_its_trial_and_the_other_slot_goes_on(
    connect: Callable[..., RayEngine], tmp_path: Path
) -> None:
    engine = connect()
    waits = Allowance(deadline=time.monotonic() + 600)
    other = submit(engine.slots[1], "patient", "t1", waits)
    with pytest.raises(SlotLost, match="the worker process"):
        submit(engine.slots[0], "hungry", "t2").result(30)
    until(lambda: len(engine.slots) == 2)
    assert submit(engine.slots[0], "fine", "t3").result(30).status == "finished"
    waits.cancelled.set()
    assert other.result(30).status == "finished"


def test_a_second_run_waits_for_the_room_that_the_first_leaves(
    connect: Callable[..., RayEngine], tmp_path: Path
) -> None:
    first = connect()
    call = EngineCall(
        name="ray", settings=Settings(), folder=str(tmp_path / "second"), cache=None,
        precision="fp32", seed=0, slots=None,
    )  # fmt: skip
    second = on_ray.connect(call)
    try:
        with pytest.raises(EngineError, match="no slot of 2 began in time"):
            second.started(Allowance(deadline=time.monotonic() + 1.0))
        first.close()
        second.started(seconds())
        assert submit(second.slots[0], "fine").result(30).status == "finished"
    finally:
        second.close()


def test_a_node_that_leaves_gives_its_trial_back_and_is_no_slot(
    connect: Callable[..., RayEngine], two_nodes: Any, tmp_path: Path
) -> None:
    node = two_nodes.add_node(num_cpus=1, object_store_memory=10**8)
    engine = connect()
    assert len(engine.slots) == 3
    waits = Allowance(deadline=time.monotonic() + 600)
    running = [submit(slot, "patient", f"t{place}", waits) for place, slot in enumerate(engine.slots)]
    time.sleep(1.0)
    two_nodes.remove_node(node, allow_graceful=False)
    engine.wait(running)
    lost = [future for future in running if future.done()]
    assert len(lost) == 1
    with pytest.raises(SlotLost):
        lost[0].result()
    assert len(engine.slots) == 2
    waits.cancelled.set()
    assert [future.result(30).status for future in running if future not in lost] == ["finished"] * 2
    until(lambda: sum(node["Alive"] for node in ray.nodes()) == 2)  # Ray notices it later than the trial


def test_closing_ends_the_workers_at_once(connect: Callable[..., RayEngine], tmp_path: Path) -> None:
    engine = connect()
    submit(engine.slots[0], "hangs")
    until(lambda: bool(workers()))
    begun = time.monotonic()
    engine.close()
    until(lambda: not workers(), 5.0)
    assert time.monotonic() - begun < 5.0
    engine.close()


DRIVER = """
import sys, time
sys.path[:0] = {path!r}
import ray, test_on_ray
from autotl.engine import on_ray
from autotl.protocols import EngineCall
from autotl.records import Settings
from test_client import seconds
ray.cloudpickle.register_pickle_by_value(test_on_ray)
ray.init({address!r}, log_to_driver=False, runtime_env={{"worker_process_setup_hook": test_on_ray.stand_in}})
engine = on_ray.connect(
    EngineCall(name="ray", settings=Settings(), folder={folder!r}, cache=None, precision="fp32", seed=0, slots=1)
)
engine.started(seconds())
test_on_ray.submit(engine.slots[0], "hangs")
print("begun", flush=True)
time.sleep(600)
"""


def test_workers_end_with_the_process_of_the_run(two_nodes: Any, tmp_path: Path) -> None:
    script = DRIVER.format(path=sys.path, address=two_nodes.address, folder=str(tmp_path / "run"))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    driver = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert driver.stdout is not None and "begun" in driver.stdout.readline()
    until(lambda: bool(workers()))
    driver.kill()
    driver.wait()
    driver.stdout.close()
    until(lambda: not workers(), 30.0)
