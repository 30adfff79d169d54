"""Cores, memory and speed of this machine, and an estimate of a backbone's cost before torch has started.

The estimate is right within a factor of about two. It decides which downloads are worth their time and is shown
by ``--dry-run``; a run measures.
"""

from __future__ import annotations

import contextlib
import math
import os
import platform
import re
import sys
import time
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path

import numpy as np
import psutil

from autotl.records import BackboneSpec

EFFICIENCY = 0.15  # share of a matrix product's speed that convolutional networks reach
OVERHEAD = 4e-4  # seconds an image, whatever the network
TRAIN_FACTOR = 4.5  # forward and backward over forward
GPU = 5e12  # multiplies a second in a network, of an ordinary one
_SIDE = 192


def seconds_per_image(spec: BackboneSpec, *, gpu: bool = False) -> float:
    """Return the forward seconds of one image at the native input size, without decoding."""
    macs = spec.macs or 100.0 * (spec.parameters or 5e6)
    if gpu:
        return OVERHEAD / 4 + macs / GPU
    return OVERHEAD + macs / (EFFICIENCY * multiplies_per_second())


@cache
def multiplies_per_second() -> float:
    """Return the multiply-accumulates a second of this machine's processors in matrix products; takes 50 ms.

    The fastest of many small products on one core, times the cores: other processes have little effect on it.
    """
    from threadpoolctl import threadpool_limits

    generator = np.random.default_rng(0)
    left, right = (generator.random((_SIDE, _SIDE), dtype=np.float32) for _ in range(2))
    best = float("inf")
    with threadpool_limits(1):
        end = time.perf_counter() + 0.04
        while time.perf_counter() < end:
            begun = time.perf_counter()
            left @ right
            best = min(best, time.perf_counter() - begun)
    return cores() * float(_SIDE) ** 3 / best


def has_gpu(device: str = "auto") -> bool:
    """Return whether the engine will use a GPU, as far as is known without torch."""
    if device != "auto":
        return device != "cpu"
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in {"", "-1"}
    return (os.path.exists("/dev/nvidia0") and not hidden) or (
        sys.platform == "darwin" and os.uname().machine == "arm64"
    )


def gpus(device: str = "auto") -> int:
    """Return how many GPUs of this machine the engine may use, as far as is known without torch.

    NVIDIA's alone are counted, and one that the user names is one.
    """
    if device not in ("auto", "cuda"):
        return 1 if has_gpu(device) else 0
    devices = os.listdir("/dev") if os.path.isdir("/dev") else []
    there = sum(re.fullmatch(r"nvidia\d+", name) is not None for name in devices)
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    if shown is None:
        return there
    named = [name for name in shown.split(",") if name.strip() not in ("", "-1")]
    return min(there, len(named))


def one_thread() -> AbstractContextManager[object]:
    """Limit the numerical libraries that are loaded by now to one thread, within the block."""
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(1)
    return limits


BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})  # without one of them bf16 is emulated, ten times slower


CORES = "AUTOTL_CORES"  # environment variable: fewer cores than there are, for one of several workers


def cores() -> int:
    """Return the cores that this process may use: the scheduler's affinity, or fewer by the control group.

    One of several workers on a machine has its share alone (`CORES`).
    """
    try:
        granted = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        granted = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    quota = _group_quota()
    granted = min(granted, math.ceil(quota)) if quota else granted
    share = os.environ.get(CORES, "")
    return max(1, min(granted, int(share)) if share.isdigit() else granted)


def memory() -> int:
    """Return the bytes of memory that are available: free memory, or less where the control group has a limit."""
    free = int(psutil.virtual_memory().available)
    limit = _group_memory()
    return free if limit is None else max(0, min(free, limit))


def resident() -> int:
    """Return the bytes of memory that this process holds now."""
    return int(psutil.Process().memory_info().rss)


def most_resident() -> int:
    """Return the peak bytes of memory of this process; where the system does not report it, those held now."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    except OSError:
        pass
    return resident()


def held() -> int:
    """Return the bytes of memory that this process and its children hold now."""
    own = psutil.Process()
    total = int(own.memory_info().rss)
    for child in own.children(recursive=True):
        with contextlib.suppress(psutil.Error):  # the child may end meanwhile
            total += int(child.memory_info().rss)
    return total


def flags() -> frozenset[str]:
    """Return the processor's feature flags as Linux names them; empty elsewhere."""
    return frozenset(_of_processor("flags", "Features").split())


def processor() -> str:
    """Return the name of the processor."""
    return _of_processor("model name", "Model").strip() or platform.processor()


def _of_processor(*names: str) -> str:
    """Return what Linux says of the first processor under one of these names; empty elsewhere."""
    try:
        text = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return ""
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in names:
            return value
    return ""


def bf16_in_hardware() -> bool:
    """Return whether the processor multiplies bf16 itself; elsewhere bf16 is emulated and slow."""
    return platform.machine() in ("x86_64", "AMD64") and bool(flags() & BF16_FLAGS)


def _group_quota() -> float | None:
    """Return the cores that the control group allows; None where it sets no limit."""
    version_2 = _words("/sys/fs/cgroup/cpu.max")
    if len(version_2) == 2:
        return None if version_2[0] == "max" else float(version_2[0]) / float(version_2[1])
    quota, period = (
        _words("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"),
        _words("/sys/fs/cgroup/cpu/cpu.cfs_period_us"),
    )
    if quota and period and float(quota[0]) > 0:
        return float(quota[0]) / float(period[0])
    return None


def _group_memory() -> int | None:
    """Return the bytes that the control group still allows; None where it sets no limit."""
    for limit_file, used_file in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ):
        limit, used = _words(limit_file), _words(used_file)
        if limit and used and limit[0].isdigit() and int(limit[0]) < 1 << 60:
            return int(limit[0]) - int(used[0])
    return None


def _words(path: str) -> list[str]:
    try:
        return Path(path).read_text().split()
    except OSError:
        return []
