from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from autotl.similarity import Reference, load_reference, similarity

EMBEDDED = Path(__file__).parents[1] / "autotl" / "embedded"


@pytest.fixture
def reference() -> Reference:
    rng = np.random.default_rng(0)
    sample = rng.normal(size=(800, 8)).astype(np.float32)
    empty = Reference(
        domain="made-up",
        backbone="none",
        weights="",
        input_size=64,
        mean=np.zeros(8, np.float32),
        axes=np.eye(8, dtype=np.float32),
        sample=sample,
        usual=np.empty(0, np.float32),
    )
    from autotl.similarity import distances

    usual = np.sort(distances(rng.normal(size=(400, 8)), empty))
    return Reference(
        domain=empty.domain,
        backbone=empty.backbone,
        weights="",
        input_size=64,
        mean=empty.mean,
        axes=empty.axes,
        sample=sample,
        usual=usual,
    )


def test_images_of_the_source_are_near_and_growing_shifts_fall_steadily(reference: Reference) -> None:
    rng = np.random.default_rng(1)
    points = rng.normal(size=(300, 8))
    values = [similarity(points + shift, reference).value for shift in (0.0, 0.5, 1.0, 2.0)]
    assert values == sorted(values, reverse=True)
    assert similarity(points, reference).word == "near"
    assert similarity(points + 2.0, reference).word == "far"


def test_a_narrow_set_inside_the_source_is_not_punished(reference: Reference) -> None:
    narrow = 0.2 * np.random.default_rng(2).normal(size=(200, 8))
    assert similarity(narrow, reference).word == "near"


def test_a_tenth_of_the_images_agrees_within_the_interval(reference: Reference) -> None:
    points = np.random.default_rng(3).normal(size=(1000, 8)) + 0.6
    few, many = similarity(points[:100], reference), similarity(points, reference)
    assert few.low <= many.value <= few.high
    assert few.high - few.low > many.high - many.low


@pytest.mark.parametrize("features", [np.zeros((0, 8)), np.zeros((3, 9)), np.full((3, 8), np.nan)])
def test_features_that_cannot_be_judged_are_refused(reference: Reference, features: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"features"):
        similarity(features, reference)


def test_the_shipped_reference_is_small_and_belongs_to_an_embedded_backbone() -> None:
    file = EMBEDDED / "imagenet-1k.reference.safetensors"
    shipped = load_reference(file)
    assert file.stat().st_size <= 1_000_000
    assert shipped.weights in (EMBEDDED / "index.json").read_text()


def test_photographs_come_nearer_than_drawings_noise_and_flat_colours() -> None:
    values = {name: similarity(_embed(pictures), _shipped()).value for name, pictures in _pictures().items()}
    assert values["photographs"] > max(values["digits"], values["noise"], values["flat"])
    assert values["noise"] < 0.25  # flat colours are not yet: docs/similarity.md says so


def _shipped() -> Reference:
    return load_reference(EMBEDDED / "imagenet-1k.reference.safetensors")


def _pictures(count: int = 60, side: int = 96) -> dict[str, np.ndarray]:
    """Pictures (count, side, side, 3) uint8 that scikit-learn bundles or that are made here."""
    from PIL import Image
    from sklearn.datasets import load_digits, load_sample_images

    rng = np.random.default_rng(0)

    def reduced(pixels: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR))

    photographs = []
    for turn in range(count):
        photo = load_sample_images().images[turn % 2]
        edge = int(rng.integers(180, 400))
        top, left = (int(rng.integers(0, length - edge)) for length in photo.shape[:2])
        photographs.append(reduced(photo[top : top + edge, left : left + edge]))
    digits = (load_digits().images[:count] * 15.9).astype(np.uint8)
    return {
        "photographs": np.stack(photographs),
        "digits": np.stack([reduced(np.repeat(digit[:, :, None], 3, axis=2)) for digit in digits]),
        "noise": rng.integers(0, 256, (count, side, side, 3), dtype=np.uint8),
        "flat": np.broadcast_to(
            rng.integers(0, 256, (count, 1, 1, 3), dtype=np.uint8), (count, side, side, 3)
        ),
    }


def _embed(pictures: np.ndarray) -> np.ndarray:
    """Pooled features by the shipped reference backbone."""
    import timm
    import torch
    from safetensors.torch import load_file

    entries = {each["name"]: each for each in json.loads((EMBEDDED / "index.json").read_text())}
    entry = entries[_shipped().backbone]
    model = timm.create_model(entry["arch"], pretrained=False, **entry["kwargs"]).eval()
    model.load_state_dict(
        {name: value.float() for name, value in load_file(EMBEDDED / entry["file"]).items()}
    )
    pixels = torch.from_numpy(pictures.copy()).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(entry[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
    with torch.no_grad():
        return model.forward_head(model.forward_features((pixels - mean) / std), pre_logits=True).numpy()
