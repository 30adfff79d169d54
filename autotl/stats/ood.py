"""Out-of-distribution distance: how far an image is from the training images of a model.

The distance of an image is that of its pooled features to the k-th nearest training image (Sun, Ming, Zhu,
Li, ICML 2022). It needs no assumption about how features are spread, and leaving an image out of its own
neighbours costs nothing. The threshold is exceeded by 1% of held-out images of the same kind.
Torch-free: arrays in, numbers out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autotl import tensors
from autotl.cache import atomic
from autotl.errors import RunError

FILE = "ood.safetensors"  # beside the model's weights
OLD_FILE = "familiar.safetensors"  # its name in folders of autotl 0.1
FALSE_ALARMS = 0.01
NEIGHBOUR = 5
MOST = 2000  # training images that are kept to compare with
FEWEST = 20  # training images, with fewer of which there is no reference
ENOUGH = 50  # held-out images that can set a threshold


@dataclass(frozen=True, slots=True, eq=False)
class OutOfDistribution:
    """Features of training images, and the distance from them above which an image is out of distribution."""

    features: np.ndarray  # (m, d), of length 1
    threshold: float  # of the distance to the k-th nearest
    held_out: int  # images the threshold was set on; 0: training images, each left out of its own neighbours
    first: float = 0.0  # threshold of the distance to the nearest; 0 in older folders, which have none

    def distance(self, features: np.ndarray) -> np.ndarray:
        """Return distances (n,) of features (n, d), in units of the threshold: above 1 is out of distribution."""
        place = _on_sphere(features)
        far = _nearest(place, self.features) / self.threshold
        if self.first:
            # Near one training image is near: a class may have fewer images than there are neighbours.
            far = np.minimum(far, _nearest(place, self.features, 1) / self.first)
        return np.asarray(far, np.float32)


def fit(features: np.ndarray, held_out: np.ndarray) -> OutOfDistribution | None:
    """Return the reference of training features (m, d) and held-out ones (h, d), or None of too few.

    Training features of a fine-tuned backbone lie closer together than those of new images, so the threshold
    comes from held-out images wherever there are some.
    """
    if len(features) < FEWEST:
        return None
    reference = _on_sphere(features[:MOST])
    if len(held_out) >= ENOUGH:
        judged, number = _on_sphere(held_out), len(held_out)
    else:
        judged, number = reference, 0

    def threshold(neighbour: int) -> float:
        distances = _nearest(judged, reference, neighbour, itself=not number)
        return max(float(np.quantile(distances, 1 - FALSE_ALARMS, method="higher")), 1e-6)

    return OutOfDistribution(reference, threshold(NEIGHBOUR), number, threshold(1))


def write(reference: OutOfDistribution, folder: Path) -> None:
    """Write the reference beside a model's weights."""
    arrays: dict[str, np.ndarray] = {
        "features": reference.features.astype(np.float16),
        "threshold": np.array([reference.threshold], np.float32),
        "first": np.array([reference.first], np.float32),
        "held_out": np.array([reference.held_out], np.int64),
    }
    with atomic(folder / FILE) as temporary:
        tensors.save(arrays, temporary, "numpy")


def read(folder: Path) -> OutOfDistribution | None:
    """Return the reference of a model folder, or None where it has none. Raises `RunError` for a damaged one."""
    file = next((folder / name for name in (FILE, OLD_FILE) if (folder / name).is_file()), None)
    if file is None:
        return None
    try:
        arrays = tensors.load(file, "numpy")
        features, threshold = arrays["features"].astype(np.float32), float(arrays["threshold"][0])
        if (
            features.ndim != 2
            or not len(features)
            or not np.isfinite(features).all()
            or not 0 < threshold < np.inf
        ):
            raise ValueError("its values are not distances")
        first = float(arrays["first"][0]) if "first" in arrays else 0.0
        return OutOfDistribution(features, threshold, int(arrays["held_out"][0]), first)
    except Exception as error:  # safetensors has an error of its own, and numpy has others
        raise RunError(
            f"{file} cannot be read ({error}); expected features of training images as autotl writes them; restore the"
            " folder"
        ) from error


def _on_sphere(features: np.ndarray) -> np.ndarray:
    features = features.astype(np.float32)
    return np.asarray(features / (np.linalg.norm(features, axis=1, keepdims=True) + 1e-12))


def _nearest(
    features: np.ndarray, reference: np.ndarray, neighbour: int = NEIGHBOUR, *, itself: bool = False
) -> np.ndarray:
    """Return the distance (n,) to the k-th nearest of `reference`; with `itself` both are the same rows."""
    cosine = features @ reference.T
    if itself:
        np.fill_diagonal(cosine, -1.0)
    k = min(neighbour, cosine.shape[1])
    kth = np.partition(cosine, -k, axis=1)[:, -k]
    return np.asarray(np.sqrt(np.maximum(2 - 2 * kth, 0.0)))
