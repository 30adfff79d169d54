"""Whether an image lies far from what the model was trained on.

The distance of an image is that of its pooled features to the k-th nearest training image (Sun, Ming, Zhu,
Li, ICML 2022). It needs no assumption about how features are spread, and leaving an image out of its own
neighbours costs nothing. The threshold is set where 1 % of held-out images of the same kind are warned of.
Torch-free: arrays in, numbers out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autotl.cache import atomic

FILE = "familiar.safetensors"  # beside the model's weights
FALSE_ALARMS = 0.01
NEIGHBOUR = 5
MOST = 2000  # training images that are kept to compare with
FEWEST = 20  # training images without which nothing can be said
ENOUGH = 50  # held-out images that can set a threshold


@dataclass(frozen=True, slots=True, eq=False)
class Familiar:
    """Training images as the model sees them, and how far from them is too far."""

    features: np.ndarray  # (m, d), of length 1
    threshold: float
    held_out: (
        int  # images the threshold was set on; 0: on training images, each left out of its own neighbours
    )

    def distance(self, features: np.ndarray) -> np.ndarray:
        """Distances (n,) of features (n, d), in units of the threshold: above 1 is far."""
        found = _nearest(_on_sphere(features), self.features)
        return np.asarray(found / self.threshold, np.float32)


def fit(features: np.ndarray, held_out: np.ndarray) -> Familiar | None:
    """What training images (m, d) and held-out ones (h, d) say of distances; None of too few.

    Training features of a fine-tuned backbone lie closer together than those of new images, so the threshold
    comes from held-out images wherever there are some.
    """
    if len(features) < FEWEST:
        return None
    known = _on_sphere(features[:MOST])
    if len(held_out) >= ENOUGH:
        distances, number = _nearest(_on_sphere(held_out), known), len(held_out)
    else:
        distances, number = _nearest(known, known, itself=True), 0
    threshold = float(np.quantile(distances, 1 - FALSE_ALARMS, method="higher"))
    return Familiar(known, max(threshold, 1e-6), number)


def write(familiar: Familiar, folder: Path) -> None:
    """Puts it beside a model's weights."""
    from safetensors.numpy import save_file

    arrays: dict[str, np.ndarray] = {
        "features": familiar.features.astype(np.float16),
        "threshold": np.array([familiar.threshold], np.float32),
        "held_out": np.array([familiar.held_out], np.int64),
    }
    with atomic(folder / FILE) as temporary:
        save_file(arrays, temporary)


def read(folder: Path) -> Familiar | None:
    """What a model folder holds of it, or None."""
    from safetensors.numpy import load_file

    if not (folder / FILE).is_file():
        return None
    arrays = load_file(folder / FILE)
    return Familiar(
        arrays["features"].astype(np.float32),
        float(arrays["threshold"][0]),
        int(arrays["held_out"][0]),
    )


def _on_sphere(features: np.ndarray) -> np.ndarray:
    features = features.astype(np.float32)
    return np.asarray(features / (np.linalg.norm(features, axis=1, keepdims=True) + 1e-12))


def _nearest(asked: np.ndarray, known: np.ndarray, *, itself: bool = False) -> np.ndarray:
    """Distance (n,) to the k-th nearest of `known`; with `itself`, `asked` is `known` and nobody is his own."""
    cosine = asked @ known.T
    if itself:
        np.fill_diagonal(cosine, -1.0)
    k = min(NEIGHBOUR, cosine.shape[1])
    kth = np.partition(cosine, -k, axis=1)[:, -k]
    return np.asarray(np.sqrt(np.maximum(2 - 2 * kth, 0.0)))
