"""Statistics of the source in the features of one student, for `autotl.similarity`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from safetensors.torch import load_file

from autotl.similarity import Reference, distances
from tools.pretrain.source import Source
from tools.pretrain.students import build, find_student
from tools.pretrain.train import predict

AXES = 64
FRESH = 1000  # images that calibrate, apart from those of the sample


def write_reference(name: str, validation: Source, folder: Path) -> Path:
    """Writes ``<domain>.reference.safetensors`` for the exported student `name` in `folder`.

    Pictures that the student was not trained on serve as sample: those of its training lie nearer to each
    other than new ones of the same kind do.
    """
    entry = next(each for each in json.loads((folder / "index.json").read_text()) if each["name"] == name)
    student = find_student(name)
    model = build(student, entry["num_classes"])
    state = {key: value.float() for key, value in load_file(folder / entry["file"]).items()}
    model.load_state_dict(state, strict=True)
    # At the pictures' own resolution: what comes later is reduced to it, so that sharpness is not content.
    size = validation.images.shape[1]
    features, _ = predict(model, validation.images, size)
    order = np.random.default_rng(0).permutation(len(features))
    sample, fresh = features[order[FRESH:]], features[order[:FRESH]]
    mean = sample.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(sample.T))
    axes = (vectors[:, ::-1][:, :AXES] / np.sqrt(values[::-1][:AXES] + 1e-6)).astype(np.float16)
    centre = mean.astype(np.float16)
    points = ((sample - centre.astype(np.float32)) @ axes.astype(np.float32)).astype(np.float16)
    reference = Reference(
        domain=entry["domain"],
        backbone=name,
        weights=entry["sha256"],
        input_size=size,
        mean=centre.astype(np.float32),
        axes=axes.astype(np.float32),
        sample=points.astype(np.float32),
        usual=np.empty(0, np.float32),
    )
    usual = np.sort(distances(fresh, reference)).astype(np.float32)
    path = folder / f"{entry['domain']}.reference.safetensors"
    about = {
        "domain": entry["domain"],
        "backbone": name,
        "sha256": entry["sha256"],
        "input_size": str(size),
    }
    arrays = {"mean": centre, "axes": np.ascontiguousarray(axes), "sample": points, "usual": usual}
    save_file(arrays, path, metadata=about)
    return path
