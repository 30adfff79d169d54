"""Compute pooled features at every layer group, once for each image and backbone, in this run and the next."""

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
from autotl.engine.images import Squares, to_input
from autotl.errors import EngineError

BATCH = 32
TIMED = 2 * BATCH  # images that a pace is measured on at least: the first batch sets the kernels up


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Store:
    """The images of a run, their digests (n,) str, and the cache of their features, None for none."""

    squares: Squares
    digests: np.ndarray
    cache: Cache | None


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
    store: Store,
    device: torch.device,
    precision: str,
    allowance: Allowance,
) -> Features:
    """Return features of as many of `rows`, in their order, as the allowance grants; cached ones cost nothing."""
    digests, cache = store.digests, store.cache
    name = "" if cache is None else _key(backbone, precision)
    cached = (cache.get(name) if cache is not None else None) or {}
    cached_digests = cached.get("digests", np.zeros(0, str))
    place = {digest: index for index, digest in enumerate(cached_digests.tolist())}
    fresh = np.array([row for row in rows.tolist() if digests[row] not in place], np.int64)
    computed, seconds = _compute(backbone, fresh, store.squares, device, precision, allowance)
    count = len(next(iter(computed.values()))) if computed else 0
    if count:
        first = len(cached_digests)
        fresh_digests = digests[fresh[:count]].astype(str)
        cached = {
            column: np.concatenate([cached[column], values]) if column in cached else values
            for column, values in computed.items()
        } | {"digests": np.concatenate([cached_digests.astype(str), fresh_digests])}
        place |= {digest: first + index for index, digest in enumerate(fresh_digests.tolist())}
        if cache is not None:
            cache.put(name, cached)
    ready = np.array([row for row in rows.tolist() if str(digests[row]) in place], np.int64)
    at = np.array([place[str(digests[row])] for row in ready.tolist()], np.int64)
    depth = sum(column.startswith("g") for column in cached)
    return Features(
        rows=ready,
        groups=[cached[f"g{index}"][at].astype(np.float32) for index in range(depth)],
        logits=cached["logits"][at].astype(np.float32) if "logits" in cached else None,
        seconds_per_image=seconds if count else 0.0,
        cached=len(rows) - len(fresh),
    )


def pace(
    backbone: Backbone,
    rows: np.ndarray,
    store: Store,
    device: torch.device,
    precision: str,
    allowance: Allowance,
) -> float:
    """Return the seconds an image of forward passes, whatever is stored of these rows."""
    return _compute(backbone, rows, store.squares, device, precision, allowance)[1]


def _compute(
    backbone: Backbone,
    rows: np.ndarray,
    squares: Squares,
    device: torch.device,
    precision: str,
    allowance: Allowance,
) -> tuple[dict[str, np.ndarray], float]:
    """Return half-precision columns of the rows that the allowance grants, and seconds an image of forward passes."""
    columns: dict[str, list[np.ndarray]] = {}
    preprocess, size = backbone.spec.preprocess, backbone.input_size
    backbone.eval()
    seconds, timed = 0.0, 0
    with torch.inference_mode():
        for first in range(0, len(rows), BATCH):
            if first and allowance.expired:
                break
            pixels = squares.get(rows[first : first + BATCH], size, preprocess)
            start = time.perf_counter()
            batch = to_input(pixels, size, preprocess, device)
            with stopwatch.on("forward"), devices.autocast(device, precision):
                groups, logits = backbone.forward_source(batch)
                devices.synchronize(device)
            if first or len(rows) <= BATCH:  # the first batch also sets the kernels up
                seconds += time.perf_counter() - start
                timed += len(pixels)
            named = {f"g{index}": group for index, group in enumerate(groups)}
            if logits is not None:
                named["logits"] = logits
            for column, value in named.items():
                _require_finite(backbone, column, value, precision)
                half = value.float().clamp(-6e4, 6e4).cpu().numpy().astype(np.float16)
                columns.setdefault(column, []).append(half)
    return {column: np.concatenate(parts) for column, parts in columns.items()}, seconds / max(timed, 1)


def _require_finite(backbone: Backbone, column: str, values: torch.Tensor, precision: str) -> None:
    """Raise `EngineError` for features that are not numbers: nothing can be computed on them, or cached."""
    finite = torch.isfinite(values).flatten(1).all(1)
    if bool(finite.all()):
        return
    layers = "its logits" if column == "logits" else f"layer group {int(column[1:]) + 1}"
    advice = "" if precision == "fp32" else f"; it computed in {precision}: try --precision fp32"
    raise EngineError(
        f"backbone {backbone.spec.name!r} gives NaN or infinity for {int((~finite).sum())} of {len(finite)} images, "
        f"in {layers}; expected finite numbers; check its weights and its preprocessing{advice}"
    )


def _key(backbone: Backbone, precision: str) -> str:
    spec = backbone.spec
    exact = "exact" if precision == "fp32" else precision
    return key(
        "features",
        backbone.digest(),
        spec.build,
        spec.arguments,
        spec.preprocess,
        backbone.input_size,
        exact,
    )
