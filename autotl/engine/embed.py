"""Pooled features at every layer group, computed once for each image and backbone, in this run and the next."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch

from autotl.budget import Allowance
from autotl.cache import Cache, key
from autotl.engine import device as devices
from autotl.engine import stopwatch
from autotl.engine.backbone import Backbone
from autotl.engine.images import Squares, side_before_crop, to_input

VERSION = 1  # of what is stored: raised when the computation changes
BATCH = 32


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Features:
    """Features of rows: `groups[i]` is (m, d_i) float32, the last what enters the classifier."""

    rows: np.ndarray
    groups: list[np.ndarray]
    logits: np.ndarray | None
    seconds_per_image: float  # of those computed now, 0 when none was
    cached: int


def embed(
    backbone: Backbone,
    rows: np.ndarray,
    squares: Squares,
    digests: np.ndarray,
    cache: Cache | None,
    device: torch.device,
    precision: str,
    allowance: Allowance,
) -> Features:
    """Features of as many of `rows`, in their order, as the allowance grants; known ones cost nothing."""
    name = _key(backbone, precision)
    known = (cache.get(name) if cache is not None else None) or {}
    have = known.get("digests", np.zeros(0, str))
    place = {digest: index for index, digest in enumerate(have.tolist())}
    fresh = np.array([row for row in rows.tolist() if digests[row] not in place], np.int64)
    computed, seconds = _compute(backbone, fresh, squares, device, precision, allowance)
    count = len(next(iter(computed.values()))) if computed else 0
    if count:
        known = {
            column: np.concatenate([known[column], values]) if column in known else values
            for column, values in computed.items()
        } | {"digests": np.concatenate([have.astype(str), digests[fresh[:count]].astype(str)])}
        place |= {str(digests[row]): len(have) + index for index, row in enumerate(fresh[:count].tolist())}
        if cache is not None:
            cache.put(name, known)
    done = np.array([row for row in rows.tolist() if str(digests[row]) in place], np.int64)
    at = np.array([place[str(digests[row])] for row in done.tolist()], np.int64)
    depth = sum(column.startswith("g") for column in known)
    return Features(
        rows=done,
        groups=[known[f"g{index}"][at].astype(np.float32) for index in range(depth)],
        logits=known["logits"][at].astype(np.float32) if "logits" in known else None,
        seconds_per_image=seconds if count else 0.0,
        cached=len(rows) - len(fresh),
    )


def _compute(
    backbone: Backbone,
    rows: np.ndarray,
    squares: Squares,
    device: torch.device,
    precision: str,
    allowance: Allowance,
) -> tuple[dict[str, np.ndarray], float]:
    """Half-precision columns of the rows that the allowance granted, and seconds an image of their forward passes."""
    columns: dict[str, list[np.ndarray]] = {}
    preprocess, size = backbone.spec.preprocess, backbone.input_size
    backbone.eval()
    seconds, timed = 0.0, 0
    with torch.inference_mode():
        for first in range(0, len(rows), BATCH):
            if first and allowance.expired:
                break
            pixels = squares.get(
                rows[first : first + BATCH], side_before_crop(size, preprocess), preprocess.interpolation
            )
            begun = time.perf_counter()
            batch = to_input(pixels, size, preprocess, device)
            with stopwatch.on("forward"), devices.autocast(device, precision):
                groups, logits = backbone.forward_source(batch)
                devices.synchronize(device)
            if first or len(rows) <= BATCH:  # the first batch also sets the kernels up
                seconds += time.perf_counter() - begun
                timed += len(pixels)
            named = {f"g{index}": group for index, group in enumerate(groups)}
            if logits is not None:
                named["logits"] = logits
            for column, value in named.items():
                half = value.float().clamp(-6e4, 6e4).cpu().numpy().astype(np.float16)
                columns.setdefault(column, []).append(half)
    return {column: np.concatenate(parts) for column, parts in columns.items()}, seconds / max(timed, 1)


def _key(backbone: Backbone, precision: str) -> str:
    spec, weights = backbone.spec, backbone.spec.weights
    source = (
        None
        if weights is None
        else (weights.kind, weights.sha256 or weights.location, weights.revision, weights.bytes)
    )
    exact = "exact" if precision == "fp32" else precision
    return key(
        "features",
        VERSION,
        spec.build,
        spec.arguments,
        source,
        spec.init,
        spec.preprocess,
        backbone.input_size,
        exact,
    )
