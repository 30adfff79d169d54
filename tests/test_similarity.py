from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from autotl.similarity import (
    Depth,
    Reference,
    distances,
    least_shares,
    load_reference,
    similarity,
)

EMBEDDED = Path(__file__).parents[1] / "autotl" / "embedded"


def made_up(axes: int = 8) -> Reference:
    """A source of standard normal features at two depths."""
    rng = np.random.default_rng(0)
    depths = []
    for _ in range(2):
        depth = Depth(np.zeros(axes, np.float32), np.eye(axes, dtype=np.float32), np.empty(0, np.float32))
        usual = np.sort(distances(rng.normal(size=(400, axes)), depth.mean, depth.axes))
        depths.append(Depth(depth.mean, depth.axes, usual))
    fresh = [rng.normal(size=(400, axes)) for _ in depths]
    return Reference(
        domain="made-up",
        backbone="none",
        weights="",
        input_size=64,
        depths=tuple(depths),
        least=np.sort(least_shares(fresh, depths)),
    )


@pytest.fixture
def reference() -> Reference:
    return made_up()


def twice(points: np.ndarray) -> list[np.ndarray]:
    return [points, points[::-1]]


def test_images_of_the_source_are_near_and_growing_shifts_fall_steadily(reference: Reference) -> None:
    rng = np.random.default_rng(1)
    points = rng.normal(size=(300, 8))
    values = [similarity(twice(points + shift), reference).value for shift in (0.0, 0.5, 1.0, 2.0)]
    assert values == sorted(values, reverse=True)
    assert similarity(twice(points), reference).word == "near"
    assert similarity(twice(points + 2.0), reference).word == "far"


def test_a_narrow_set_inside_the_source_is_not_punished(reference: Reference) -> None:
    narrow = 0.2 * np.random.default_rng(2).normal(size=(200, 8))
    assert similarity(twice(narrow), reference).word == "near"


def test_a_tenth_of_the_images_agrees_within_the_interval(reference: Reference) -> None:
    points = np.random.default_rng(3).normal(size=(1000, 8)) + 0.6
    few, many = similarity(twice(points[:100]), reference), similarity(twice(points), reference)
    assert few.low <= many.value <= few.high
    assert few.high - few.low > many.high - many.low


@pytest.mark.parametrize("features", [np.zeros((0, 8)), np.zeros((3, 9)), np.full((3, 8), np.nan)])
def test_features_that_cannot_be_judged_are_refused(reference: Reference, features: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"features"):
        similarity(twice(features), reference)
    with pytest.raises(ValueError, match=r"features"):
        similarity([], reference)


def test_being_odd_at_one_depth_suffices(reference: Reference) -> None:
    points = np.random.default_rng(4).normal(size=(300, 8))
    assert similarity([points + 3.0, points], reference).word == "far"


def test_the_shipped_reference_is_small_and_belongs_to_an_embedded_backbone() -> None:
    file = EMBEDDED / "imagenet-1k.reference.safetensors"
    shipped = load_reference(file)
    assert file.stat().st_size <= 1_000_000
    assert shipped.weights in (EMBEDDED / "index.json").read_text()


def test_photographs_come_nearer_than_drawings_noise_and_flat_colours() -> None:
    values = {name: similarity(_embed(pictures), _shipped()).value for name, pictures in _pictures().items()}
    assert values["photographs"] > values["digits"] > max(values["noise"], values["flat"])
    assert values["noise"] < 0.25
    assert values["flat"] < 0.25


def _shipped() -> Reference:
    return load_reference(EMBEDDED / "imagenet-1k.reference.safetensors")


def _pictures(count: int = 60, side: int = 64) -> dict[str, np.ndarray]:
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


def _embed(pictures: np.ndarray) -> list[np.ndarray]:
    """Pooled features of every layer group by the shipped reference backbone."""
    import torch

    from autotl.builtin.backbones import discover
    from autotl.engine.backbone import build
    from autotl.engine.images import to_input

    shipped = _shipped()
    spec = next(each for each in discover(EMBEDDED)[0] if each.name == shipped.backbone)
    network = build(spec, shipped.input_size, offline=True).eval()
    pixels = to_input(pictures.copy(), shipped.input_size, spec.preprocess, torch.device("cpu"))
    with torch.inference_mode():
        return [group.numpy() for group in network.forward_groups(pixels)]
