from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from autotl.ranking.similarity import AXES, Reference, load_reference, similarity

EMBEDDED = Path(__file__).parents[2] / "autotl" / "embedded"


def made_up() -> Reference:
    """A source of standard normal features at two depths."""
    axes = np.eye(AXES, dtype=np.float32)
    return Reference(
        domain="made-up",
        backbone="none",
        weights="",
        input_size=64,
        means=(np.zeros(AXES, np.float32),) * 2,
        axes=(axes, axes),
        samples={
            side: np.random.default_rng(0).normal(mean, size=(2000, 2 * AXES)).astype(np.float32)
            for side, mean in ((64, 0.0), (32, 2.0))
        },
    )


@pytest.fixture
def reference() -> Reference:
    return made_up()


def images(count: int, seed: int, shift: float = 0.0, spread: float = 1.0) -> list[np.ndarray]:
    """Features at both depths, shifted along one axis of the shallow one."""
    points = spread * np.random.default_rng(seed).normal(size=(2, count, AXES))
    points[0, :, 0] += shift
    return list(points)


@pytest.mark.slow
def test_images_of_the_source_are_near_and_growing_shifts_fall_steadily(reference: Reference) -> None:
    found = [similarity(images(300, 1, shift), reference) for shift in (0.0, 1.0, 2.0, 4.0)]
    values = [each.value for each in found]
    assert values == sorted(values, reverse=True)
    assert [found[0].level, found[-1].level] == ["near", "far"]


def test_a_narrow_subject_inside_the_source_is_not_punished(reference: Reference) -> None:
    shallow, deep = images(200, 2)
    deep[:, :2] = 1.0 + 0.2 * deep[:, :2]  # all of one content, of the usual appearance
    assert similarity([shallow, deep], reference).level == "near"


def test_a_tenth_of_the_images_agrees_within_the_interval(reference: Reference) -> None:
    few, many = (similarity(images(count, 3, 1.5), reference) for count in (100, 1000))
    assert few.low <= many.value <= few.high
    assert few.high - few.low > many.high - many.low


@pytest.mark.parametrize(
    "features",
    [np.zeros((0, AXES)), np.zeros((19, AXES)), np.zeros((30, AXES + 1)), np.full((30, AXES), np.nan)],
)
def test_features_that_cannot_be_judged_are_refused(reference: Reference, features: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"features"):
        similarity([features, features], reference)
    with pytest.raises(ValueError, match=r"features"):
        similarity([], reference)


def test_small_images_are_held_against_a_source_as_coarse(reference: Reference) -> None:
    soft = [group + 2.0 for group in images(300, 5)]
    assert similarity(soft, reference, side=32).level == "near"
    assert similarity(soft, reference, side=500).level == "far"


def test_being_odd_at_one_depth_suffices(reference: Reference) -> None:
    assert similarity(images(300, 4, 4.0), reference).level == "far"


def test_the_shipped_reference_is_small_and_belongs_to_an_embedded_backbone() -> None:
    file = EMBEDDED / "imagenet-1k.reference.safetensors"
    shipped = load_reference(file)
    assert file.stat().st_size <= 1_000_000
    assert shipped.weights in (EMBEDDED / "index.json").read_text()


@pytest.mark.torch
def test_photographs_come_nearer_than_drawings_noise_and_flat_colours() -> None:
    values = {name: similarity(_embed(pictures), _shipped()).value for name, pictures in _pictures().items()}
    assert values["photographs"] > max(values["digits"], values["noise"], values["flat"])
    assert max(values["digits"], values["noise"], values["flat"]) < 0.2


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
