"""What differs between devices, on a machine that has none: branches by pretending, choices by a made-up clock."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from autotl import hardware
from autotl.engine import device as devices
from autotl.errors import EngineError

CPU, CUDA, MPS = torch.device("cpu"), torch.device("cuda"), torch.device("mps")


@pytest.fixture
def has(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes torch believe in devices."""

    def pretend(*, cuda: int = 0, mps: bool = False, bf16: bool = True) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: bf16)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Made-up 9000")
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    pretend()
    return pretend


# --------------------------------------------------------------------------- which device


def test_auto_takes_the_best_there_is(has: Any) -> None:
    assert devices.choose("auto") == CPU
    has(mps=True)
    assert devices.choose("auto") == MPS
    has(cuda=1, mps=True)
    assert devices.choose("auto") == CUDA


def test_a_device_may_be_named(has: Any) -> None:
    has(cuda=2, mps=True)
    for name in ("cpu", "cuda", "cuda:1", "mps"):
        assert devices.choose(name) == torch.device(name)


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps"])
def test_a_device_that_is_not_there_is_an_error_that_says_what_is(has: Any, name: str) -> None:
    with pytest.raises(EngineError, match=r"is not there \(this torch sees cpu\)"):
        devices.choose(name)


def test_a_graphics_card_too_many(has: Any) -> None:
    has(cuda=2)
    with pytest.raises(EngineError, match="cpu, cuda:0, cuda:1"):
        devices.choose("cuda:2")


def test_what_is_no_device(has: Any) -> None:
    with pytest.raises(EngineError, match="expected auto, cpu"):
        devices.choose("toaster")


def test_devices_have_names_for_people(has: Any) -> None:
    has(cuda=1)
    assert devices.describe(CPU) == "cpu"
    assert devices.describe(torch.device("cuda:0")) == "cuda:0 (Made-up 9000)"


def test_preparing_sets_threads_and_flushes_denormals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "cores", lambda: 1)
    before = torch.get_num_threads()
    try:
        assert devices.prepare(CPU) == 1 == torch.get_num_threads()
        assert (torch.tensor([1e-40]) * 1.0).item() == 0.0
    finally:
        torch.set_num_threads(before)
        torch.set_flush_denormal(False)


# --------------------------------------------------------------------------- which precision


def test_what_is_asked_for_is_not_argued_with() -> None:
    assert devices.possible(CPU, "bf16") == ("bf16",)
    assert devices.possible(CUDA, "fp16") == ("fp16",)


def test_auto_offers_what_the_hardware_does(has: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for able, expected in ((True, ("fp32", "bf16")), (False, ("fp32",))):
        monkeypatch.setattr(hardware, "bf16_in_hardware", lambda able=able: able)
        assert devices.possible(CPU, "auto") == expected
    has(cuda=1, bf16=True)
    assert devices.possible(CUDA, "auto") == ("bf16",)
    has(cuda=1, bf16=False)
    assert devices.possible(CUDA, "auto") == ("fp16",)
    assert devices.possible(MPS, "auto") == ("fp32",)


@pytest.mark.parametrize(
    ("device", "wanted", "said"), [(CPU, "fp16", "needs a GPU"), (CPU, "fp8", "expected one of")]
)
def test_a_precision_that_cannot_be(device: torch.device, wanted: str, said: str) -> None:
    with pytest.raises(EngineError, match=said):
        devices.possible(device, wanted)


class Clock:
    """Goes on by what each precision takes; the first call of each takes longer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **takes: float) -> None:
        self.now, self.takes, self.calls = 0.0, takes, list[str]()
        monkeypatch.setattr(devices.time, "perf_counter", lambda: self.now)

    def run(self, precision: str) -> None:
        self.now += self.takes[precision] * (1 if precision in self.calls else 5)
        self.calls.append(precision)


@pytest.mark.parametrize(
    ("bf16", "chosen"),
    [(0.01, "bf16"), (0.0199, "fp32"), (0.02, "fp32"), (0.2, "fp32")],
)
def test_the_faster_one_is_taken_and_the_exact_one_where_it_hardly_matters(
    monkeypatch: pytest.MonkeyPatch, bf16: float, chosen: str
) -> None:
    clock = Clock(monkeypatch, fp32=0.02, bf16=bf16)
    assert devices.faster(("fp32", "bf16"), clock.run, CPU) == chosen


def test_timing_stops_where_it_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, fp32=0.3, bf16=3.0)
    assert devices.faster(("fp32", "bf16"), clock.run, CPU) == "fp32"
    assert clock.calls == ["fp32", "bf16"], "one call of each, though the first is no fair one"


def test_a_single_choice_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    assert devices.faster(("fp32",), clock.run, CPU) == "fp32" and clock.calls == []


def test_autocast_lowers_products_and_leaves_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = torch.nn.Linear(4, 4), torch.randn(2, 4)
    with devices.autocast(CPU, "bf16"):
        assert layer(x).dtype == torch.bfloat16
    with devices.autocast(CPU, "fp32"):
        assert layer(x).dtype == torch.float32
    assert layer.weight.dtype == torch.float32


# --------------------------------------------------------------------------- memory


@pytest.mark.parametrize(
    ("problem", "is_memory"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (MemoryError(), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 5 GB)"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory, said a user"), False),
    ],
)
def test_what_says_that_memory_is_exhausted(problem: BaseException, is_memory: bool) -> None:
    assert devices.out_of_memory(problem) is is_memory


def test_memory_is_asked_of_the_right_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (123, 456))
    monkeypatch.setattr(hardware, "memory", lambda: 789)
    assert devices.free_memory(CUDA) == 123
    assert devices.free_memory(CPU) == devices.free_memory(MPS) == 789


def test_waiting_and_releasing_reach_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: called.append("cuda"))
    monkeypatch.setattr(torch.mps, "synchronize", lambda: called.append("mps"))
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: called.append("cuda emptied"))
    monkeypatch.setattr(torch.mps, "empty_cache", lambda: called.append("mps emptied"))
    for device in (CPU, CUDA, MPS):
        devices.synchronize(device)
        devices.release(device)
    assert called == ["cuda", "cuda emptied", "mps", "mps emptied"]
