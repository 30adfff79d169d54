"""The parent's side of the worker: a worker of our own stands in, so that it can die and hang at will."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from autotl import hardware
from autotl.budget import Allowance
from autotl.engine import client, messages, process, progress, slots
from autotl.engine.client import ProcessEngine
from autotl.errors import EngineError, RunError, SlotLost
from autotl.protocols import EngineCall
from autotl.records import BackboneSpec, Candidate, Columns, Progress, Settings, Strategy, Trial

# Does what the name of the backbone says. Answers carry what was opened, so that one sees who knows it.
WORKER = """
import os, queue, signal, sys, threading, time
import msgspec, numpy as np
from autotl.engine import messages
from autotl.records import Embedding, Machine, Measurement, Progress, TrialResult

requests, answers = sys.stdin.buffer, sys.stdout.buffer
waiting, cancelled, opened = queue.SimpleQueue(), set(), "nothing"

def listen():
    while (data := messages.read(requests)) is not None:
        message = messages.decode(data, messages.ToWorker)
        cancelled.add(message.number) if isinstance(message, messages.Cancel) else waiting.put(message)
    os._exit(0)

def obey(name, number):
    if name == "leaves":
        print("the disk of the worker is on fire", file=sys.stderr, flush=True)
        os._exit(3)
    if name == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "hangs":
        time.sleep(600)
    if name == "patient":
        while number not in cancelled:
            time.sleep(0.01)
        return 1
    return 7

threading.Thread(target=listen, daemon=True).start()
while True:
    request = waiting.get()
    body, number, value = request.body, request.number, None
    if isinstance(body, messages.Start):
        device = body.device if body.device.startswith("cuda") else "stand-in"
        value = Machine(device=device, precision=body.precision, threads=os.getpid())
    elif isinstance(body, messages.Open):
        opened = body.pixels
    elif isinstance(body, messages.Predict):
        path = os.path.join(os.path.dirname(body.model), f"answer-{number}.npz")
        np.savez(path, probabilities=np.array([[len(file), 0] for file in body.files], np.float32))
        value = messages.Predicted(arrays=path, errors=(None,) * len(body.files))
    else:
        name = body.backbone.name
        if name in ("RunError", "UnknownNameError", "Nonsense", "OutOfMemory"):
            messages.write(answers, messages.encode(messages.Failed(number=number, kind=name, message=f"{name} it is")))
            continue
        if isinstance(body, messages.Train):
            state = Progress(trial=body.trial.id, epoch=0.5, epochs=2.0, loss=1.0, seconds=0.1)
            messages.write(answers, messages.encode(messages.Report(number=number, progress=state, step_seconds=0.05)))
        rows = obey(name, number)
        if isinstance(body, messages.Embed):
            value = Embedding(backbone=name, input_size=body.input_size, path=opened, groups=1, rows=rows)
        elif isinstance(body, messages.Measure):
            value = Measurement(candidate=name, seconds_per_image=1, latency=1, bytes=0, precision="fp32")
        else:
            value = TrialResult(trial=body.trial, status="finished")
    raw = msgspec.Raw(messages.encode(value))
    messages.write(answers, messages.encode(messages.Done(number=number, result=raw)))
"""


@pytest.fixture
def connect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ProcessEngine]]:
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    monkeypatch.setattr(process, "WORKER", (str(script),))
    monkeypatch.setattr(progress, "USUAL", 1.0)
    made: list[ProcessEngine] = []

    def start(**options: Any) -> ProcessEngine:
        made.append(client.connect(folder=tmp_path / "run", **options))
        return made[-1]

    yield start
    for engine in made:
        engine.close()


@pytest.fixture
def engine(connect: Callable[..., ProcessEngine]) -> ProcessEngine:
    return connect()


def seconds(number: float = 60.0) -> Allowance:
    return Allowance(deadline=time.monotonic() + number)


def spec(name: str) -> BackboneSpec:
    return BackboneSpec(name=name, build="m:b")


def embed(
    engine: ProcessEngine, name: str = "fine", size: int = 64, allowance: Allowance | None = None
) -> Any:
    return engine.embed(spec(name), size, np.arange(3), allowance or seconds())


def submit(engine: ProcessEngine, name: str, allowance: Allowance | None = None, **more: Any) -> Any:
    trial = Trial(id="t1", candidate=Candidate(backbone=name, input_size=64, strategy="s"))
    return engine.submit(trial, spec(name), Strategy(name="s", summary=""), allowance or seconds(), **more)


def open_data(engine: ProcessEngine, folder: Path) -> None:
    part = np.zeros(4, np.int8)
    columns = Columns(labels=part, part=part, fold=part, group=None, order=np.arange(4), classes=("a", "b"))
    engine.open(folder, columns, metric="accuracy", digests=None)


def test_it_starts_answers_and_ends(engine: ProcessEngine) -> None:
    machine = engine.started(seconds())
    assert machine.device == "stand-in" and machine.threads == engine.pid
    worker = psutil.Process(machine.threads)
    engine.close()
    assert engine.pid is None
    assert not worker.is_running()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        embed(engine)


def test_no_pipe_stays_open(connect: Callable[..., ProcessEngine]) -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with connect() as engine:
            embed(engine)
        descriptors = psutil.Process().num_fds()
        with connect() as engine, pytest.raises(EngineError):
            embed(engine, "leaves")
        assert psutil.Process().num_fds() == descriptors
        del engine
        gc.collect()
    assert [warning for warning in seen if issubclass(warning.category, ResourceWarning)] == []


def test_closing_leaves_no_work_files_and_no_empty_log(engine: ProcessEngine, tmp_path: Path) -> None:
    embed(engine)
    engine.close()
    assert list((tmp_path / "run").iterdir()) == []


def test_answers_find_those_who_asked(engine: ProcessEngine) -> None:
    with ThreadPoolExecutor(8) as pool:
        sizes = list(pool.map(lambda size: embed(engine, size=size).input_size, range(40)))
    assert sizes == list(range(40))


def test_progress_is_passed_on(engine: ProcessEngine) -> None:
    reports: list[Progress] = []
    assert submit(engine, "fine", on_progress=reports.append).result(60).status == "finished"
    assert reports == [Progress(trial="t1", epoch=0.5, epochs=2.0, loss=1.0, seconds=0.1)]


def test_an_observer_that_raises_does_not_stop_the_results(engine: ProcessEngine) -> None:
    def broken(report: Progress) -> None:
        raise ValueError("an observer's fault")

    assert submit(engine, "fine", on_progress=broken).result(60).status == "finished"
    assert submit(engine, "fine").result(60).status == "finished"


@pytest.mark.parametrize(
    ("kind", "raised"), [("RunError", RunError), ("UnknownNameError", EngineError), ("Nonsense", EngineError)]
)
def test_errors_of_the_worker_are_raised_here(
    engine: ProcessEngine, kind: str, raised: type[Exception]
) -> None:
    with pytest.raises(raised, match=f"{kind} it is"):
        embed(engine, kind)
    assert embed(engine).rows == 7, "and the worker lives on"


def test_a_worker_that_leaves_is_told_of_with_its_last_words_and_replaced(
    engine: ProcessEngine, tmp_path: Path
) -> None:
    open_data(engine, tmp_path / "pixels")
    first = engine.started(seconds()).threads
    with pytest.raises(EngineError, match=r"exit code 3.*the disk of the worker is on fire"):
        embed(engine, "leaves")
    found = embed(engine)
    assert found.path == str(tmp_path / "pixels"), "the new one knows the data"
    assert engine.pid not in (None, first)


def test_a_worker_killed_by_the_system_says_so(engine: ProcessEngine) -> None:
    with pytest.raises(EngineError, match=r"SIGKILL.*lack of memory"):
        embed(engine, "killed")


def test_a_worker_killed_while_idle_is_replaced(engine: ProcessEngine) -> None:
    first = engine.started(seconds()).threads
    os.kill(first, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(first)], timeout=10) if psutil.pid_exists(first) else None
    end = time.monotonic() + 10
    while engine.pid is not None and time.monotonic() < end:
        time.sleep(0.01)
    assert embed(engine).rows == 7


def test_a_backbone_that_kills_twice_is_not_tried_again(engine: ProcessEngine) -> None:
    for _ in range(client.DEATHS):
        with pytest.raises(EngineError, match="exit code 3"):
            embed(engine, "leaves")
    survivor = embed(engine) and engine.pid
    with pytest.raises(EngineError, match="not tried again"):
        embed(engine, "leaves")
    refused = submit(engine, "leaves").result(60)
    assert refused.status == "failed" and "not tried again" in str(refused.error)
    assert engine.pid == survivor


def test_a_training_whose_worker_dies_is_a_failed_row(engine: ProcessEngine) -> None:
    done = submit(engine, "leaves").result(60)
    assert done.status == "failed" and done.trial.id == "t1"
    assert "exit code 3" in str(done.error)


def test_a_hang_is_ended_after_its_time(engine: ProcessEngine) -> None:
    engine.started(seconds())
    worker = psutil.Process(engine.pid)
    done = submit(engine, "hangs", seconds(0.1)).result(60)
    assert done.status == "stopped" and "had not answered" in str(done.error)
    assert not psutil.wait_procs([worker], timeout=10)[1]
    assert embed(engine).rows == 7


def test_a_start_that_takes_too_long_is_not_blamed_on_a_backbone(
    engine: ProcessEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "grace", lambda step, silence: 0.0)
    with pytest.raises(EngineError, match="its start was over; expected torch to be imported") as raised:
        engine.started(seconds(0.0))
    assert "--backbones" not in str(raised.value)


def test_a_hang_is_ended_later_where_the_caller_has_patience(
    engine: ProcessEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "grace", lambda step, silence: 0.1)
    engine.started(seconds())
    begun = time.monotonic()
    done = submit(engine, "hangs", replace(seconds(0.1), patience=1.0)).result(60)
    assert done.status == "stopped" and "end other programs" in str(done.error)
    assert time.monotonic() - begun > 1.1


def test_no_worker_is_started_for_work_whose_time_is_over(engine: ProcessEngine) -> None:
    """Each would be waited for in vain, one after another, long after the end of the budget."""
    assert submit(engine, "leaves").result(60).status == "failed"
    begun = time.monotonic()
    done = submit(engine, "fine", seconds(0.0)).result(60)
    assert done.status == "failed" and "no time left" in str(done.error)
    with pytest.raises(EngineError, match="no time left"):
        embed(engine, allowance=seconds(0.0))
    assert time.monotonic() - begun < 1.0
    assert engine.pid is None
    assert embed(engine).rows == 7


def test_those_who_only_wait_their_turn_are_not_overdue(engine: ProcessEngine) -> None:
    allowance = seconds()
    first = submit(engine, "patient", allowance)
    second = submit(engine, "fine", seconds(0.05))
    time.sleep(0.5)
    allowance.cancelled.set()
    assert first.result(60).status == "finished"
    assert second.result(60).status == "finished"


def test_taking_a_right_back_reaches_the_worker(engine: ProcessEngine) -> None:
    allowance = seconds()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(embed, engine, "patient", 64, allowance)
        time.sleep(0.2)
        assert not asked.done()
        allowance.cancelled.set()
        assert asked.result(60).rows == 1


def test_closing_tells_those_who_wait(engine: ProcessEngine) -> None:
    engine.started(seconds())
    asked = submit(engine, "hangs")
    begun = time.monotonic()
    threading.Timer(0.1, engine.close).start()
    done = asked.result(60)
    assert done.status == "stopped" and "closed" in str(done.error)
    assert time.monotonic() - begun < 5


def test_predictions_of_many_files_are_asked_for_in_parts(
    engine: ProcessEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "FILES_A_REQUEST", 2)
    (tmp_path / "answers").mkdir()
    found = engine.predict(
        str(tmp_path / "answers" / "model"), ["a", "bb", "ccc", "dddd", "eeeee"], seconds()
    )
    assert found.probabilities[:, 0].tolist() == [1, 2, 3, 4, 5] and found.errors == [None] * 5
    assert list((tmp_path / "answers").iterdir()) == [], "the files between us are gone"


def test_python_that_is_not_there(
    connect: Callable[..., ProcessEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client.sys, "executable", "/nowhere/python")
    with pytest.raises(EngineError, match="cannot be started"):
        connect()


def test_the_worker_has_the_threads_of_this_machine_and_knows_when_it_is_offline() -> None:
    start = messages.Start(
        folder="f", cache=None, device="cpu", precision="auto", seed=0, offline=True, sys_path=()
    )
    environment = process.environment(start)
    assert environment["HF_HUB_OFFLINE"] == "1"
    assert int(environment["OMP_NUM_THREADS"]) == hardware.cores()


def test_the_worker_keeps_freed_memory_but_where_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start = messages.Start(
        folder="f", cache=None, device="cpu", precision="auto", seed=0, offline=True, sys_path=()
    )
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "7")
    monkeypatch.delenv("MALLOC_MMAP_THRESHOLD_", raising=False)
    environment = process.environment(start)
    assert environment["MALLOC_TRIM_THRESHOLD_"] == "7"
    assert environment["MALLOC_MMAP_THRESHOLD_"] == process.KEPT_MEMORY["MALLOC_MMAP_THRESHOLD_"]


def test_a_message_cut_off_in_the_middle_is_the_end(tmp_path: Path) -> None:
    path = tmp_path / "stream"
    with path.open("wb") as stream:
        messages.write(stream, messages.encode(messages.Cancel(number=1)))
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with path.open("rb") as stream:
            assert messages.read(stream) is None


# --------------------------------------------------------------------------- several slots


@pytest.fixture
def two(
    connect: Callable[..., ProcessEngine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    """An engine that finds three GPUs and may use two of them, both started."""
    monkeypatch.setattr(hardware, "gpus", lambda _device: 3)
    engine = slots.connect(call_of(tmp_path / "run", slots=2))
    engine.started(seconds())
    while len(engine.slots) < 2:
        time.sleep(0.01)
    yield engine
    engine.close()


def call_of(folder: Path, slots: int | None = None, device: str = "auto") -> EngineCall:
    settings = Settings(device=device)
    return EngineCall(
        name="local", settings=settings, folder=str(folder), cache=None, precision="fp32", seed=0, slots=slots
    )


def test_each_gpu_has_a_worker_and_trials_run_at_once(two: Any, tmp_path: Path) -> None:
    devices = [slot.started(seconds()).device for slot in two.slots]
    assert devices == ["cuda:0", "cuda:1"] and {slot.kind for slot in two.slots} == {"cuda"}
    open_data(two, tmp_path)
    assert {embed(slot).path for slot in two.slots} == {str(tmp_path)}
    short = Allowance(deadline=time.monotonic() + 600)
    waiting, free = two.slots
    long = submit(waiting, "patient", short)
    assert two.wait({submit(free, "fine"), long}) != {long}  # the other one goes on
    short.cancelled.set()
    assert long.result(10).status == "finished"


def test_a_slot_that_is_lost_says_so_and_the_engine_tries_another(two: Any, tmp_path: Path) -> None:
    open_data(two, tmp_path)
    first, second = two.slots
    with pytest.raises(SlotLost, match="SIGKILL"):
        submit(second, "killed").result(10)
    assert two.slots == (first,)
    with pytest.raises(SlotLost):
        second.embedding(spec("leaves"), 64, np.arange(3), seconds()).result(10)
    assert submit(second, "fine").result(10).status == "finished"  # it has a new worker
    assert submit(two, "leaves").result(10).status == "failed"  # the second death on that backbone
    with pytest.raises(EngineError, match="2 times"):
        embed(first, "leaves")


def test_what_a_slot_has_no_memory_for_is_given_back_and_the_slot_has_a_new_worker(
    two: Any, tmp_path: Path
) -> None:
    """Else a slot without memory fails one recipe after another, while the others are busy."""
    open_data(two, tmp_path)
    first, second = two.slots
    before = second.pid
    with pytest.raises(SlotLost, match="OutOfMemory it is"):
        submit(second, "OutOfMemory").result(10)
    assert two.slots == (first,)
    with pytest.raises(SlotLost, match="OutOfMemory it is"):
        second.embedding(spec("OutOfMemory"), 64, np.arange(3), seconds()).result(10)
    assert submit(second, "fine").result(10).status == "finished" and second.pid != before
    with pytest.raises(SlotLost):  # no backbone is refused for it
        submit(first, "OutOfMemory").result(10)


def test_without_another_slot_a_trial_without_memory_has_failed(
    engine: ProcessEngine, tmp_path: Path
) -> None:
    open_data(engine, tmp_path)
    before = engine.pid
    result = submit(engine, "OutOfMemory").result(10)
    assert result.status == "failed" and result.error == "OutOfMemory it is" and engine.pid == before


def test_one_gpu_is_one_worker_and_processors_are_shared(
    connect: Callable[..., ProcessEngine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "gpus", lambda _device: 1)
    one = slots.connect(call_of(tmp_path / "one"))
    assert isinstance(one, ProcessEngine)
    one.close()
    monkeypatch.setattr(hardware, "gpus", lambda _device: 0)
    monkeypatch.setattr(hardware, "cores", lambda: 5)
    starts: list[messages.Start] = []
    monkeypatch.setattr(slots, "ProcessEngine", lambda start, **_: starts.append(start))
    monkeypatch.setattr(slots, "SlotsEngine", lambda members: members)
    slots.connect(call_of(tmp_path / "two", slots=2))
    assert [(start.number, start.cores, start.device) for start in starts] == [(0, 2, "auto"), (1, 2, "auto")]
