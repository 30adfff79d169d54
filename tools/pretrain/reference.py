"""Statistics of the source at every depth of one student, for `autotl.ranking.similarity`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

from autotl.builtin.backbones import discover
from autotl.engine.backbone import build
from autotl.engine.images import to_input
from autotl.modality.image_store import square_image
from autotl.ranking.similarity import principal_axes
from tools.pretrain.source import Source

SAMPLE = 2500  # images, at each resolution
BATCH = 250


def coarse(images: np.ndarray, resolution: int) -> np.ndarray:
    """Reduce images (n, s, s, 3) uint8 to `resolution` pixels and enlarge them again."""
    side = images.shape[1]
    return np.stack([square_image(square_image(one, resolution, resolution), side, side) for one in images])


def write_reference(name: str, validation: Source, folder: Path) -> Path:
    """Write ``<domain>.reference.safetensors`` for the exported student `name` in `folder`.

    Pictures that the student was not trained on serve as sample: those of its training lie nearer to each
    other than new ones of the same kind do. They are seen at their own resolution: what comes later is reduced
    to it, so that sharpness is not taken for content; those that are smaller have a sample as coarse.
    """
    entry = next(each for each in json.loads((folder / "index.json").read_text()) if each["name"] == name)
    spec = next(each for each in discover(folder)[0] if each.name == name)
    size = validation.images.shape[1]
    network = build(spec, size, offline=True).eval()
    order = np.random.default_rng(0).permutation(len(validation.images))[:SAMPLE]

    def see(images: np.ndarray) -> list[np.ndarray]:
        batches = []
        with torch.inference_mode():
            for start in range(0, len(images), BATCH):
                pixels = images[start : start + BATCH]
                found = network.forward_groups(to_input(pixels, size, spec.preprocess, torch.device("cpu")))
                batches.append([group.numpy() for group in found])
        return [np.concatenate(parts) for parts in zip(*batches, strict=True)]

    images = validation.images[order]
    groups = see(images)
    arrays: dict[str, np.ndarray] = {}
    for index, group in enumerate(groups):
        mean, axes = (np.ascontiguousarray(each, np.float16) for each in principal_axes(group))
        arrays |= {f"mean.{index}": mean, f"axes.{index}": axes}
    for resolution in (size, size // 2):
        found = groups if resolution == size else see(coarse(images, resolution))
        placed = [
            (group - arrays[f"mean.{index}"].astype(np.float32)) @ arrays[f"axes.{index}"].astype(np.float32)
            for index, group in enumerate(found)
        ]
        arrays[f"sample.{resolution}"] = np.concatenate(placed, axis=1).astype(np.float16)
    path = folder / f"{entry['domain']}.reference.safetensors"
    about = {
        "domain": entry["domain"],
        "backbone": name,
        "sha256": entry["sha256"],
        "input_size": str(size),
    }
    save_file(arrays, path, metadata=about)
    return path
