"""The machine's class and speed: seconds of a step that is the same everywhere."""

from __future__ import annotations

import platform
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional


def machine_class() -> str:
    """Return the processor, its widest vector extensions, and the number of threads torch uses."""
    model, flags = platform.machine(), set[str]()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                model = value.strip()
            if key.strip() == "flags":
                flags = set(value.split())
    known = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if name in flags]
    vectors = " ".join(known) or "no vector flags known"
    return f"{model}, {vectors}, {torch.get_num_threads()} threads, torch {torch.__version__}"


def reference_step_seconds(repeats: int = 5) -> float:
    """Return the fastest of some forward and backward passes of a fixed small network, fp32, batch 64 at 64 pixels."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(64, 128, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(128, 200),
    ).to(memory_format=torch.channels_last)
    images = torch.randn(64, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    labels = torch.arange(64)
    best = float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        functional.cross_entropy(network(images), labels).backward()
        best = min(best, time.perf_counter() - started)
    return best


def bf16_is_faster(model: nn.Module, images: torch.Tensor) -> bool:
    """Return whether a training step under bfloat16 autocast beats fp32 here: the fastest of three each."""
    seconds = {}
    for bf16 in (False, True):
        best = float("inf")
        for _ in range(3):
            started = time.perf_counter()
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                logits = model(images)
            torch.autograd.backward(logits.float().square().mean())
            model.zero_grad(set_to_none=True)
            best = min(best, time.perf_counter() - started)
        seconds[bf16] = best
    return seconds[True] < 0.9 * seconds[False]
