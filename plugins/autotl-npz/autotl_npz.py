"""A dataset plugin for autotl: images and labels from one .npz file, as MedMNIST ships them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from PIL import Image
from platformdirs import user_cache_path

from autotl.plugin import Dataset, DatasetError, SourceCall, Target, hookimpl

AUTOTL_API_VERSION = 4
PARTS = {"train": 0, "val": 1, "test": 2}  # prefix of the arrays: index of autotl's part
NO_PART = -1  # autotl splits these itself


@hookimpl
def load_dataset(call: SourceCall) -> Dataset | None:
    """Read `images` and `labels`, or `train_images`, `train_labels` and the same of `val` and `test`.

    Images are (n, H, W) or (n, H, W, 3) uint8, labels (n,) or (n, 1) integers or texts.
    """
    path = Path(call.source)
    if path.suffix != ".npz" or not path.is_file():
        return None
    parts = _parts(path)
    fingerprint = hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    folder = user_cache_path("autotl-npz") / fingerprint
    names, labels, given = [], [], []
    for prefix, (images, of_images) in parts.items():
        for number, image in enumerate(images):
            names.append(f"{prefix}/{number:06d}.png")
            file = folder / names[-1]
            if not file.exists():
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image).save(file)
        labels += of_images.reshape(-1).tolist()
        given += [PARTS.get(prefix, NO_PART)] * len(images)
    classes, values = np.unique(labels, return_inverse=True)
    target = Target(
        name="label",
        kind="multiclass",
        classes=tuple(map(str, classes.tolist())),
        values=values.astype(np.int64),
    )
    return Dataset(
        source=call.source,
        modality="image",
        files=np.array([str(folder / name) for name in names], object),
        names=np.array(names, object),
        targets=(target,),
        given=np.array(given, np.int8),
        fingerprint=fingerprint,
    )


def _parts(path: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return images and labels by prefix. Raises `DatasetError` when the file holds something else."""
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    prefixes = [prefix for prefix in PARTS if f"{prefix}_images" in arrays]
    keys = {prefix: f"{prefix}_" for prefix in prefixes} or {"all": ""}
    parts = {}
    for prefix, start in keys.items():
        images, labels = arrays.get(f"{start}images"), arrays.get(f"{start}labels")
        if images is None or labels is None or images.dtype != np.uint8 or len(images) != labels.size:
            raise DatasetError(
                f"{path} holds {', '.join(arrays) or 'nothing'}; expected {start}images (n, H, W) or (n, H, W, 3) "
                f"uint8 and {start}labels (n,); save it again with numpy.savez"
            )
        parts[prefix] = (images, labels)
    return parts


def autotl_check_source(folder: Path) -> str:
    """Write a file with two images into a folder and return its name: ``autotl check`` reads it."""
    images = np.stack([np.full((32, 32), value, np.uint8) for value in (0, 255)])
    np.savez(folder / "sample.npz", images=images, labels=np.array(["dark", "light"]))
    return str(folder / "sample.npz")
