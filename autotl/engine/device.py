"""Everything that differs between devices: choice, precision, memory, and synchronisation."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

from autotl import hardware
from autotl.errors import EngineError

Precision = Literal["fp32", "bf16", "fp16"]
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
TIMING_SECONDS = 1.0  # at most, to compare two precisions
_TYPES: dict[str, torch.dtype] = {"bf16": torch.bfloat16, "fp16": torch.float16}


def choose(name: str) -> torch.device:
    """Return the device of that name; ``auto`` is CUDA, then MPS, then the processor.

    Raises `EngineError` when the device is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if _mps() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise EngineError(f"no device {name!r}; expected auto, cpu, cuda, cuda:N or mps") from None
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": _mps()}.get(device.type, False)
    if there and device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        there = False
    if not there:
        raise EngineError(
            f"device {name!r} is not there (this torch sees {_seen()}); expected one that is; use --device auto"
        )
    return device


def prepare(device: torch.device) -> int:
    """Set threads and arithmetic for this process; return the number of threads.

    Denormals are flushed: they make a network whose activations fade many times slower. Kernels
    are chosen deterministically, so that the same trial gives the same predictions twice.
    """
    threads = hardware.cores()
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
    return threads


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Return the context in which a forward pass computes in that precision; parameters stay float32."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=_TYPES[precision])


def possible(device: torch.device, wanted: str) -> tuple[Precision, ...]:
    """Return the precisions to choose from: the wanted one alone, or those the device has in hardware.

    Raises `EngineError` when the device cannot do the wanted one.
    """
    if wanted not in PRECISIONS:
        raise EngineError(f"no precision {wanted!r}; expected one of {', '.join(PRECISIONS)}")
    if wanted == "fp16" and device.type == "cpu":
        raise EngineError(
            "fp16 needs a GPU; expected fp32, bf16 or auto on a processor; use --precision auto"
        )
    if wanted != "auto":
        return (wanted,)  # type: ignore[return-value]
    if device.type == "cuda":
        return ("bf16",) if torch.cuda.is_bf16_supported(including_emulation=False) else ("fp16",)
    if device.type == "cpu" and hardware.bf16_in_hardware():
        return ("fp32", "bf16")
    return ("fp32",)


def faster(
    candidates: tuple[Precision, ...], run: Callable[[Precision], None], device: torch.device
) -> Precision:
    """Return the precision in which `run` takes less time: one warm-up and two timed calls each, interleaved.

    It stops early after half of `TIMING_SECONDS`. A lower precision has to be faster by a twentieth.
    """
    if len(candidates) == 1:
        return candidates[0]
    started = time.perf_counter()
    best = dict.fromkeys(candidates, float("inf"))
    for _ in range(3):
        for precision in candidates:
            begin = time.perf_counter()
            run(precision)
            synchronize(device)
            seconds = time.perf_counter() - begin
            best[precision] = min(best[precision], seconds)
        if time.perf_counter() - started > TIMING_SECONDS / 2:
            break
    return min(candidates, key=lambda precision: best[precision] * (1.0 if precision == "fp32" else 1.05))


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def free_memory(device: torch.device) -> int:
    """Return the bytes that are free on the device (the machine's, where they are the same)."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return hardware.memory()


def peak_memory(device: torch.device) -> int:
    """Return the peak of memory in bytes: of the process so far, on the device it computes on."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return hardware.most_resident()


def out_of_memory(problem: BaseException) -> bool:
    """Return whether an exception means that memory was exhausted (on a processor it has no class of its own)."""
    if isinstance(problem, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(problem).lower()
    phrases = ("not enough memory", "can't allocate memory", "out of memory")  # of torch
    return isinstance(problem, RuntimeError) and any(phrase in text for phrase in phrases)


def release(device: torch.device) -> None:
    """Release cached memory after an allocation failed."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def describe(device: torch.device) -> str:
    """Return the device with its product name where it has one."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return str(device)


def identity(device: torch.device) -> tuple[str, ...]:
    """Return what a timing depends on besides the work: the hardware, its threads, and torch."""
    features = " ".join(sorted(hardware.flags())) or platform.processor()
    return (describe(device), platform.machine(), features, str(hardware.cores()), str(torch.__version__))


def _mps() -> bool:
    return bool(torch.backends.mps.is_available())


def _seen() -> str:
    seen = (
        ["cpu"]
        + [f"cuda:{index}" for index in range(torch.cuda.device_count())]
        + (["mps"] if _mps() else [])
    )
    return ", ".join(seen)
