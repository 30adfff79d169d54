"""What a backbone will cost on this machine, guessed before torch has started: right within a factor of two or so.

A run measures; this is for what must be settled before it: which downloads are worth their time, and the
price that ``--dry-run`` shows.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Sequence
from functools import cache

import numpy as np

from autotl.records import BackboneSpec

__all__ = ["TRAIN_FACTOR", "has_gpu", "multiplies_per_second", "seconds_per_image", "within"]

EFFICIENCY = 0.15  # of a matrix product's pace, that networks of convolutions reach
OVERHEAD = 4e-4  # seconds an image, whatever the network
TRAIN_FACTOR = 4.5  # forward and backward over forward
GPU = 5e12  # multiplies a second in a network, of an ordinary one
_SIDE = 192

ASTRAY = 0.25  # deviation of log(taken / forecast) before a run has seen how its forecasts do,
ASTRAY_HEAD = 0.8  # the same for a head in closed form: short, and it waits for every core at once
ASTRAY_WEIGHT = 2.0  # which counts like so many forecasts
ROUGH = 0.3  # seconds, that a training may be out however short it is
Z80 = 1.281552  # two-sided 80 % point of the standard normal


def seconds_per_image(spec: BackboneSpec, size: int | None = None, *, gpu: bool = False) -> float:
    """Forward seconds of one image at `size` px (default: the native one), without decoding."""
    macs = spec.macs or 100.0 * (spec.parameters or 5e6)
    share = 1.0 if size is None else (size / spec.input_size) ** 2
    if gpu:
        return OVERHEAD / 4 + macs * share / GPU
    return OVERHEAD + macs * share / (EFFICIENCY * multiplies_per_second())


def within(seconds: float, ratios: Sequence[float], astray: float = ASTRAY) -> tuple[float, float]:
    """The 80 % interval of a forecast, by how much longer or shorter earlier trainings took than theirs.

    `ratios` are seconds taken over seconds forecast; their logarithms are taken for normal about none, with
    a deviation of `astray` as long as there are none.
    """
    squares = sum(math.log(ratio) ** 2 for ratio in ratios)
    deviation = math.sqrt((ASTRAY_WEIGHT * astray**2 + squares) / (ASTRAY_WEIGHT + len(ratios)))
    factor = math.exp(Z80 * deviation)
    return max(0.0, seconds / factor - ROUGH), seconds * factor + ROUGH


@cache
def multiplies_per_second() -> float:
    """Multiply-accumulates a second of this machine's processors in matrix products; takes some 50 ms.

    The shortest of many small products on one core, times the cores: what else is running hardly shows.
    """
    from threadpoolctl import threadpool_limits

    generator = np.random.default_rng(0)
    one, other = (generator.random((_SIDE, _SIDE), dtype=np.float32) for _ in range(2))
    best = float("inf")
    with threadpool_limits(1):
        end = time.perf_counter() + 0.04
        while time.perf_counter() < end:
            begun = time.perf_counter()
            one @ other
            best = min(best, time.perf_counter() - begun)
    return _cores() * float(_SIDE) ** 3 / best


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def has_gpu(device: str = "auto") -> bool:
    """Whether the work will be done on a GPU, as far as can be told without torch."""
    if device != "auto":
        return device != "cpu"
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in {"", "-1"}
    return (os.path.exists("/dev/nvidia0") and not hidden) or (
        sys.platform == "darwin" and os.uname().machine == "arm64"
    )
