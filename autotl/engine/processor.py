"""What the machine grants this process: cores, memory, and what the processor can do. No torch."""

from __future__ import annotations

import contextlib
import math
import os
import platform
from pathlib import Path

import psutil

BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})  # without one of them bf16 is emulated, ten times slower


def cores() -> int:
    """Cores this process may use: the scheduler's affinity, and the control group's share where there is one."""
    try:
        granted = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        granted = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    quota = _group_quota()
    return max(1, min(granted, math.ceil(quota)) if quota else granted)


def memory() -> int:
    """Bytes of memory that can still be taken: what is free, or less where the control group says so."""
    free = int(psutil.virtual_memory().available)
    limit = _group_memory()
    return free if limit is None else max(0, min(free, limit))


def resident() -> int:
    """Bytes of memory that this process holds now."""
    return int(psutil.Process().memory_info().rss)


def most_resident() -> int:
    """Bytes of memory that this process held at most so far; where that is not told, what it holds now."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    except OSError:
        pass
    return resident()


def held() -> int:
    """Bytes of memory that this process and those it started hold now."""
    own = psutil.Process()
    total = int(own.memory_info().rss)
    for child in own.children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it may end while we ask
            total += int(child.memory_info().rss)
    return total


def flags() -> frozenset[str]:
    """The processor's feature flags as Linux names them; empty elsewhere."""
    try:
        text = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return frozenset()
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


def bf16_in_hardware() -> bool:
    """Whether the processor multiplies bf16 itself. False says: do not even try it."""
    return platform.machine() in ("x86_64", "AMD64") and bool(flags() & BF16_FLAGS)


def _group_quota() -> float | None:
    """Cores' worth of time that the control group grants; None where it sets no limit."""
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
    """Bytes that the control group still grants; None where it sets no limit."""
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
