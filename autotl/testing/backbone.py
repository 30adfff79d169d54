"""Checks of one backbone: it is built, its features are sound, its layer groups freeze and train."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING
from unittest import SkipTest

import msgspec
import numpy as np

from autotl.builtin.builds import require_plain_arguments
from autotl.candidates.gather import sizes
from autotl.records import BackboneSpec
from autotl.testing.contract import described, require

if TYPE_CHECKING:
    from autotl.engine.check_support import Specimen


def _images(side: int, count: int = 4) -> np.ndarray:
    """Return different, smooth, coloured images (count, side, side, 3) uint8."""
    generator = np.random.default_rng(0)
    small = generator.integers(0, 255, (count, 4, 4, 3))
    at = (np.arange(side) * 4) // side
    noise = generator.normal(scale=12.0, size=(count, side, side, 3))
    return np.asarray((small[:, at][:, :, at] + noise).clip(0, 255), np.uint8)


@lru_cache(maxsize=1)
def _built(text: bytes, size: int | None = None) -> Specimen:
    from autotl.engine.check_support import Specimen

    return Specimen(msgspec.json.decode(text, type=BackboneSpec), size)


def _specimen(spec: BackboneSpec) -> Specimen:
    """Return the built backbone, built once for all checks. Raises `SkipTest` where its weights are not here."""
    weights = spec.weights
    if weights is not None and weights.kind != "file" and not weights.present:
        raise SkipTest(
            f"its weights are not on this machine; fetch them with: autotl backbones --fetch {spec.name}"
        )
    return _built(msgspec.json.encode(spec))


def _features(specimen: Specimen, images: np.ndarray) -> np.ndarray:
    """Return the features of images. Raises `ContractError` where two of them could not be compared."""
    features = specimen.look(images)[0][-1]
    require(
        np.isfinite(features).all(),
        "its features hold NaN or infinity; expected finite numbers: correct what the check `finite` names first",
    )
    return features


def plain_arguments(spec: BackboneSpec) -> None:
    """Its arguments describe the architecture; none makes the builder load or download."""
    require_plain_arguments(spec.arguments)


def builds(spec: BackboneSpec) -> None:
    """It can be built offline from its arguments, and its weights fit it exactly."""
    _specimen(spec)


def feature_width(spec: BackboneSpec) -> None:
    """An image gives as many features as feature_dim declares."""
    features = _specimen(spec).look(_images(spec.input_size))[0][-1]
    require(
        features.ndim == 2 and len(features) == 4,
        f"four images gave features {features.shape}; expected (4, d)",
    )
    declared = spec.feature_dim
    require(
        declared in (None, features.shape[1]),
        f"feature_dim is declared as {declared}, but the features are {features.shape[1]} wide; correct the spec, or "
        "name its classifier in classifier_name",
    )


def counted(spec: BackboneSpec) -> None:
    """Parameters and multiply-accumulates are as declared, without the classifier."""
    net = _specimen(spec).net
    require(
        spec.parameters in (None, net.parameter_count),
        f"parameters are declared as {spec.parameters}, but there are {net.parameter_count} without the classifier",
    )
    require(
        spec.macs is None or math.isclose(spec.macs, net.macs, rel_tol=0.1),
        f"macs are declared as {spec.macs:.3g}, but one image at {spec.input_size} px takes {net.macs:.3g}"
        if spec.macs
        else "",
    )
    if spec.parameters is None or spec.macs is None:
        raise SkipTest(
            f"not all is declared that was measured: parameters={net.parameter_count}, macs={net.macs:.0f}; copy both, "
            "as --dry-run, --max-params and the order of the first forward passes go by what is declared"
        )


def finite(spec: BackboneSpec) -> None:
    """Features are finite, also of black and of white images, and differ between images."""
    specimen = _specimen(spec)
    images = _images(spec.input_size)
    images[0], images[1] = 0, 255
    groups, _ = specimen.look(images)
    for number, group in enumerate(groups, start=1):
        require(
            np.isfinite(group).all(),
            f"layer group {number} gives values that are not finite; expected numbers",
        )
    spread = np.abs(groups[-1] - groups[-1].mean(0)).max()
    require(
        spread > 1e-6,
        "four different images give the same features; expected different ones: are weights missing or zero?",
    )


def deterministic(spec: BackboneSpec) -> None:
    """The same images give the same features each time: dropout and drop-path are off in eval mode."""
    specimen, images = _specimen(spec), _images(spec.input_size)
    first, second = _features(specimen, images), _features(specimen, images)
    require(
        np.array_equal(first, second),
        "the same images gave other features the second time; expected a network that obeys eval(): is "
        "F.dropout called without training=self.training, or are statistics updated?",
    )


def on_its_own(spec: BackboneSpec) -> None:
    """An image's features do not depend on the other images of its batch."""
    specimen, images = _specimen(spec), _images(spec.input_size)
    together = _features(specimen, images)[:2]
    alone = _features(specimen, images[:2])
    scale = float(np.abs(together).max()) or 1.0
    require(
        np.allclose(alone, together, rtol=0.0, atol=1e-3 * scale),
        "two images give other features in a larger batch; expected no batch statistics in eval mode",
    )


def layer_groups(spec: BackboneSpec) -> None:
    """It has 2 to 6 layer groups in the order of the forward pass; each parameter is in one, none takes over 90%."""
    net = _specimen(spec).net
    names = [name for group in net.layers.parameters for name in group]
    own = [name for name, _ in net.body.named_parameters()]
    require(sorted(names) == sorted(own), "a parameter is in no layer group, or in two")
    owners = {name.rpartition(".")[0] for name in own}
    require(
        len(net.layers.parameters) > 1 or len(owners) < 2,
        "everything is one layer group, so there is nothing between frozen and all; expected 2 to 6: does "
        "layer_pattern match the parameters' names, and do its groups name the stage?",
    )
    largest = max(net.layers.shares)
    require(
        largest <= 0.9 or len(owners) < 4,
        f"one of {len(net.layers.shares)} layer groups takes {largest:.0%} of the time; expected them more even: "
        "give layer_pattern or group_matcher, see autotl.engine.backbone",
    )


def frozen(spec: BackboneSpec) -> None:
    """Training the last groups leaves the others, with their norm statistics, unchanged bit for bit."""
    specimen, images = _specimen(spec), _images(spec.input_size)
    count = len(specimen.parameters())
    kept = specimen.net.groups
    for depth in sorted({0, 1, count - 1}):
        moved, _ = specimen.train(depth, images)
        still = {name for group in kept[: count - depth] for name in group}
        broken = sorted(name for name in moved if name in still or name.rpartition(".")[0] in still)
        require(
            not broken,
            f"with depth {depth} of {count}, {broken[0] if broken else ''} changed; expected it frozen",
        )


def unfreezes(spec: BackboneSpec) -> None:
    """Each depth trains its layer groups: gradients reach every parameter of the groups that it unfreezes."""
    specimen, images = _specimen(spec), _images(spec.input_size)
    groups = specimen.parameters()
    for depth in sorted({1, len(groups)}):
        moved, without = specimen.train(depth, images)
        require(
            not without,
            f"no gradient reaches {', '.join(sorted(without)[:3])}; expected parameters that the features depend "
            "on: is there a detach(), a no_grad(), or a layer that is not used?",
        )
        for group in groups[len(groups) - depth :]:
            require(
                moved & set(group),
                f"with depth {depth}, nothing of {group[0]} and its group changed; expected training",
            )


def without_weights(spec: BackboneSpec) -> None:
    """Built without weights and filled from a saved state it is the same: so a trained model is loaded."""
    from autotl.engine.check_support import Specimen

    specimen, images = _specimen(spec), _images(spec.input_size)
    bare = Specimen(spec, pretrained=False)
    saved, fresh = specimen.state(), bare.state()
    other = sorted(saved.keys() ^ fresh.keys()) or [n for n in saved if saved[n].shape != fresh[n].shape]
    require(not other, f"built without weights it has another architecture: {', '.join(other[:3])}")
    bare.load(saved)
    one, two = _features(specimen, images), _features(bare, images)
    require(
        np.allclose(one, two, rtol=1e-4, atol=1e-5),
        "with the saved state it gives other features; expected everything that is learned in parameters and buffers",
    )


def input_sizes(spec: BackboneSpec) -> None:
    """It takes images of the sizes that a run may try: multiples of size_step from min_size on."""
    from autotl.engine.check_support import Specimen

    width = _specimen(spec).net.feature_dim
    others = [size for size in sizes(spec, 32) if size != spec.input_size]
    if spec.size_step:
        least = -(-spec.min_size // spec.size_step) * spec.size_step
        others += [least] if least < spec.input_size else []
    for size in dict.fromkeys(others):
        features = Specimen(spec, size).look(_images(size, 2))[0][-1]
        require(
            features.shape == (2, width), f"at {size} px features are {features.shape}; expected (2, {width})"
        )


def source_classifier(spec: BackboneSpec) -> None:
    """The classifier in its weights has as many classes as declared."""
    logits = _specimen(spec).look(_images(spec.input_size))[1]
    if logits is None:
        raise SkipTest("its weights hold no classifier on the features")
    require(
        spec.source_classes in (0, logits.shape[1]),
        f"source_classes is declared as {spec.source_classes}, but the classifier has {logits.shape[1]} classes",
    )


BACKBONE: tuple[Callable[[BackboneSpec], None], ...] = (
    described,
    plain_arguments,
    builds,
    feature_width,
    counted,
    finite,
    deterministic,
    on_its_own,
    layer_groups,
    frozen,
    unfreezes,
    without_weights,
    input_sizes,
    source_classifier,
)
