"""How far images lie inside a source domain, told from the features of one fixed reference backbone.

Every image is asked alone: how far is its k-th nearest neighbour among a sample of the source, and what
share of fresh source images has its own farther away? The mean of that share over the images, doubled and
cut off at 1, is the value: images like the source's come out near 1, whether they are many or few and
however narrow their subject. (Nearest-neighbour support as in Kynkäänniemi et al. 2019, "Improved precision
and recall metric for assessing generative models", with ranks in the place of a hard border.)
numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from safetensors import safe_open

from autotl.records import Similarity

NEAR, MIDDLING = 0.6, 0.25
NEIGHBOUR = 5
MOST_IMAGES = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What is known of a source domain in the features of one backbone."""

    domain: str
    backbone: str  # name of the embedded backbone whose features it speaks of
    weights: str  # sha256 of that backbone's file
    input_size: int
    mean: np.ndarray  # (d,) float32
    axes: np.ndarray  # (d, p) float32: onto whitened principal axes
    sample: np.ndarray  # (m, p) float32: source images on those axes
    usual: np.ndarray  # (c,) float32, ascending: distances of fresh source images to the sample


def references() -> list[Reference]:
    """The references that ship with autotl, one a source domain."""
    folder = Path(__file__).parent / "embedded"
    return [load_reference(path) for path in sorted(folder.glob("*.reference.safetensors"))]


def load_reference(path: Path) -> Reference:
    """Reads a reference file. Raises `FileNotFoundError` where there is none."""
    with safe_open(path, framework="numpy") as file:
        about = file.metadata()
        names = ("mean", "axes", "sample", "usual")
        arrays = {name: file.get_tensor(name).astype(np.float32) for name in names}
    return Reference(
        domain=about["domain"],
        backbone=about["backbone"],
        weights=about["sha256"],
        input_size=int(about["input_size"]),
        **arrays,
    )


def distances(features: np.ndarray, reference: Reference) -> np.ndarray:
    """Distance of each row of features (n, d) to its k-th nearest source image, (n,) float32."""
    points = (features.astype(np.float32) - reference.mean) @ reference.axes
    own, theirs = (points**2).sum(axis=1), (reference.sample**2).sum(axis=1)
    squared = own[:, None] - 2.0 * points @ reference.sample.T + theirs
    nearest = np.partition(squared, NEIGHBOUR - 1, axis=1)[:, NEIGHBOUR - 1]
    return np.sqrt(np.maximum(nearest, 0.0))


def similarity(features: np.ndarray, reference: Reference, seed: int = 0) -> Similarity:
    """The similarity of images to a source domain, with a 95 % interval by resampling images.

    `features` (n, d) are the pooled features of the reference's backbone at the reference's input size;
    more than a thousand rows are sampled. Raises `ValueError` for features of another width, for none at all,
    and for values that are not finite.
    """
    if features.ndim != 2 or features.shape[1] != len(reference.mean) or not len(features):
        raise ValueError(
            f"features of shape {features.shape} given, "
            f"(n, {len(reference.mean)}) of {reference.backbone} expected"
        )
    if not np.isfinite(features).all():
        raise ValueError(
            "features hold values that are not finite: leave out the images that could not be read"
        )
    rng = np.random.default_rng(seed)
    if len(features) > MOST_IMAGES:
        features = features[rng.choice(len(features), MOST_IMAGES, replace=False)]
    found = distances(features, reference)
    farther = 1.0 - np.searchsorted(reference.usual, found) / len(reference.usual)
    drawn = farther[rng.integers(0, len(farther), (500, len(farther)))].mean(axis=1)
    low, high = (min(1.0, 2.0 * float(bound)) for bound in np.quantile(drawn, [0.025, 0.975]))
    value = min(1.0, 2.0 * float(farther.mean()))
    return Similarity(
        domain=reference.domain,
        value=round(value, 6),
        low=round(low, 6),
        high=round(high, 6),
        word=word(value),
        sentence=(
            f"features of these images overlap those of {reference.domain} photographs by {value:.2f} "
            f"({low:.2f} to {high:.2f}), as {reference.backbone} sees them at {reference.input_size} pixels"
        ),
    )


def word(value: float) -> Literal["near", "middling", "far"]:
    """The word for a value."""
    if value >= NEAR:
        return "near"
    return "middling" if value >= MIDDLING else "far"
