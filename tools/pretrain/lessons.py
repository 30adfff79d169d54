"""The teachers' outputs for fixed windows of every image, computed once and stored.

One file a teacher and kind: ``<teacher>.features.npy`` (n, views, d) and ``<teacher>.logits.npy``
(n, views, classes), float16, and ``<teacher>.json`` with how many rows are done, so that an
interrupted session goes on where it stopped.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from tools.pretrain.source import Source
from tools.pretrain.students import see
from tools.pretrain.teachers import Teacher
from tools.pretrain.views import normalise, render


@dataclass(frozen=True, slots=True, eq=False)
class Lessons:
    """Stored answers of one teacher."""

    teacher: str
    features: np.ndarray  # (n, views, d) float16
    logits: np.ndarray  # (n, views, classes) float16
    mean: np.ndarray  # (d,) float32, of the features over all images and views
    scale: np.ndarray  # (d,) float32, their standard deviations


def ask(
    teacher: Teacher,
    source: Source,
    windows: np.ndarray,
    folder: Path,
    size: int,
    bf16: bool,
    batch: int = 128,
) -> None:
    """Store the teacher's features and logits of `windows` (n, views, 4), rendered at `size` pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    count, views = windows.shape[:2]
    state_file = folder / f"{teacher.name}.json"
    paths = {kind: folder / f"{teacher.name}.{kind}.npy" for kind in ("features", "logits")}
    done = 0
    if state_file.exists():
        state = json.loads(state_file.read_text())
        if state["views"] != views or state["size"] != size or state["rows"] != count:
            raise ValueError(f"{state_file} was made with other views or size: {state}")
        done = int(state["done"])
    if done == 0:
        for kind, width in (("features", teacher.feature_dim), ("logits", teacher.classes)):
            np.lib.format.open_memmap(paths[kind], mode="w+", dtype=np.float16, shape=(count, views, width))
    stored = {kind: np.lib.format.open_memmap(path, mode="r+") for kind, path in paths.items()}
    started = time.monotonic()
    for start in range(done, count, batch):
        rows = slice(start, min(start + batch, count))
        pixels = np.asarray(source.images[rows])
        for view in range(views):
            images = normalise(render(pixels, windows[rows, view], size), teacher.mean, teacher.std)
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                features, logits = see(teacher.model, images)
            stored["features"][rows, view] = features.float().numpy()
            stored["logits"][rows, view] = logits.float().numpy()
        if (start // batch) % 20 == 0 or rows.stop == count:
            state = {"done": rows.stop, "rows": count, "views": views, "size": size}
            state_file.write_text(json.dumps({**state, "seconds": round(time.monotonic() - started, 1)}))


def open_lessons(folder: Path, teacher: str, rows: int) -> Lessons:
    """Open the answers for the first `rows` images. Raises `ValueError` when not all were asked."""
    state = json.loads((folder / f"{teacher}.json").read_text())
    if state["done"] < rows:
        raise ValueError(
            f"{teacher} was asked about {state['done']} images and {rows} are wanted: run teach again"
        )
    features = np.load(folder / f"{teacher}.features.npy", mmap_mode="r")[:rows]
    logits = np.load(folder / f"{teacher}.logits.npy", mmap_mode="r")[:rows]
    sample = np.asarray(features[:: max(1, rows // 4000)], dtype=np.float32).reshape(-1, features.shape[2])
    # A feature that hardly moves must not be blown up to the weight of the others.
    scale = np.maximum(sample.std(axis=0), 0.1 * float(sample.std()))
    return Lessons(teacher=teacher, features=features, logits=logits, mean=sample.mean(axis=0), scale=scale)
