"""How far images lie inside a source domain, told from the features of one fixed reference backbone.

Every image is asked alone: at each depth of the backbone, how far is it from the source's mean, in units of
the source's own spread (Mahalanobis distance of pooled features, as in Lee et al., "A simple unified
framework for detecting out-of-distribution samples", NeurIPS 2018), and what share of fresh source images
lies farther out? The least share over the depths counts, ranked among the same of fresh source images; the
mean of that rank over the images, doubled and cut off at 1, is the value: images like the source's come out
near 1, whether they are many or few and however narrow their subject. docs/similarity.md has the measures it
was chosen from. numpy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from safetensors import safe_open

from autotl.records import Similarity

NEAR, MIDDLING = 0.6, 0.25
MOST_IMAGES = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Depth:
    """The source in the features of one layer group."""

    mean: np.ndarray  # (d,) float32
    axes: np.ndarray  # (d, p) float32: onto whitened principal axes
    usual: np.ndarray  # (c,) float32, ascending: distances of fresh source images


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What is known of a source domain in the features of one backbone."""

    domain: str
    backbone: str  # name of the embedded backbone whose features it speaks of
    weights: str  # sha256 of that backbone's file
    input_size: int
    depths: tuple[Depth, ...]  # shallow to deep, one a layer group
    least: np.ndarray  # (c,) float32, ascending: least shares of other fresh source images


def references() -> list[Reference]:
    """The references that ship with autotl, one a source domain."""
    folder = Path(__file__).parent / "embedded"
    return [load_reference(path) for path in sorted(folder.glob("*.reference.safetensors"))]


def load_reference(path: Path) -> Reference:
    """Reads a reference file. Raises `FileNotFoundError` where there is none."""
    with safe_open(path, framework="numpy") as file:
        about = file.metadata()
        arrays = {name: file.get_tensor(name).astype(np.float32) for name in file.keys()}  # noqa: SIM118
    count = sum(name.startswith("mean.") for name in arrays)
    return Reference(
        domain=about["domain"],
        backbone=about["backbone"],
        weights=about["sha256"],
        input_size=int(about["input_size"]),
        depths=tuple(
            Depth(arrays[f"mean.{i}"], arrays[f"axes.{i}"], arrays[f"usual.{i}"]) for i in range(count)
        ),
        least=arrays["least"],
    )


def distances(features: np.ndarray, mean: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Mahalanobis distance (n,) of features (n, d) on whitened `axes` (d, p)."""
    return np.asarray(np.linalg.norm((features.astype(np.float32) - mean) @ axes, axis=1))


def least_shares(groups: Sequence[np.ndarray], depths: Sequence[Depth]) -> np.ndarray:
    """For each image the least share, over depths, of fresh source images that lie farther out; (n,)."""
    shares = [
        1 - np.searchsorted(depth.usual, distances(features, depth.mean, depth.axes)) / len(depth.usual)
        for features, depth in zip(groups, depths, strict=True)
    ]
    return np.asarray(np.min(shares, axis=0))


def similarity(groups: Sequence[np.ndarray], reference: Reference, seed: int = 0) -> Similarity:
    """The similarity of images to a source domain, with a 95 % interval by resampling images.

    `groups` are the pooled features (n, d_i) of the reference's backbone at the reference's input size, one
    array a layer group, shallow to deep; more than a thousand rows are sampled. Raises `ValueError` for
    features of other widths, for none at all, and for values that are not finite.
    """
    found = [group.shape for group in groups]
    wanted = [(found[0][0] if found else 0, len(depth.mean)) for depth in reference.depths]
    if found != wanted or not found[0][0]:
        raise ValueError(f"features of shapes {found} given, {wanted} of {reference.backbone} expected")
    if not all(np.isfinite(group).all() for group in groups):
        raise ValueError(
            "features hold values that are not finite: leave out the images that could not be read"
        )
    rng = np.random.default_rng(seed)
    if len(groups[0]) > MOST_IMAGES:
        kept = rng.choice(len(groups[0]), MOST_IMAGES, replace=False)
        groups = [group[kept] for group in groups]
    shares = least_shares(groups, reference.depths)
    ranks = np.searchsorted(reference.least, shares, side="right") / len(reference.least)
    drawn = ranks[rng.integers(0, len(ranks), (500, len(ranks)))].mean(axis=1)
    low, high = (min(1.0, 2.0 * float(bound)) for bound in np.quantile(drawn, [0.025, 0.975]))
    value = min(1.0, 2.0 * float(ranks.mean()))
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
