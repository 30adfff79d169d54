"""The real checkpoints beside the repository, where they are: ../shared/weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from autotl.budget import Allowance
from autotl.builtin.backbones import discover
from autotl.builtin.strategies import STRATEGIES
from autotl.data import load
from autotl.engine.backbone import Backbone, build
from autotl.engine.check_support import probabilities
from autotl.engine.embed import Store, embed
from autotl.engine.images import Squares
from autotl.engine.resolve import resolve
from autotl.modality.image_store import Pixels, decode
from autotl.plugins.manager import load_plugins
from autotl.protocols import HeadCall
from autotl.records import PARTS, BackboneSpec
from autotl.stats.folds import folds_for

FOREVER = Allowance(deadline=float("inf"))

FOLDER = Path(__file__).parents[2].parent / "shared" / "weights"
NAMES = (
    "mcunet_512kb_2mb",
    "mobilenetv1_025_128",
    "mobilenetv1_025_224_keras",
    "mobilenetv1_050_160",
    "mobilenetv1_100_224",
    "mobilenetv2_035_imagenet_frozen",
    "mobilenetv2_035_plantvillage",
    "mobilenetv2_100_inat_bird",
    "mobilenetv2_100_inat_insect",
    "mobilenetv2_100_tf2",
    "mobilenetv3_small_100_tf",
    "regnetx_002",
    "squeezenet1_1_caffe",
)
FOLDED = {"mobilenetv1_050_160", "mobilenetv2_100_inat_bird", "mobilenetv2_100_inat_insect"}


def spec_of(name: str) -> BackboneSpec:
    if not (FOLDER / f"{name}.safetensors").is_file():
        pytest.skip(f"{name}.safetensors is not in ../shared/weights")
    return {spec.name: spec for spec in discover(FOLDER)[0]}[name]


@pytest.fixture(scope="module")
def built() -> dict[str, Backbone]:
    return {}


def net_of(built: dict[str, Backbone], name: str) -> Backbone:
    if name not in built:
        built[name] = build(spec_of(name), offline=True)
    return built[name]


def noise(spec: BackboneSpec, count: int = 4) -> torch.Tensor:
    return torch.randn(count, 3, spec.input_size, spec.input_size, generator=torch.Generator().manual_seed(1))


def test_all_of_them_are_found() -> None:
    if not FOLDER.is_dir():
        pytest.skip("there is no ../shared/weights")
    specs, skipped = discover(FOLDER)
    assert skipped == []
    assert sorted(spec.name for spec in specs) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_the_same_network_as_before_its_classifier_was_taken_off(
    name: str, built: dict[str, Backbone]
) -> None:
    spec, net = spec_of(name), net_of(built, name)
    whole: nn.Module = resolve(spec.build)(**spec.arguments).eval()
    state = load_file(FOLDER / f"{name}.safetensors")
    whole.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    images = noise(spec)
    with torch.no_grad():
        wanted = whole(images)
        groups, logits = net.forward_source(images)
        assert logits is not None
        assert logits.shape == (4, spec.source_classes)
        assert torch.allclose(logits, wanted, rtol=1e-5, atol=1e-5)
        assert torch.equal(groups[-1], net(images))
        if name != "squeezenet1_1_caffe":
            assert net.source_head is not None
            assert torch.allclose(net.source_head(groups[-1]), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_what_the_index_says_is_so(name: str, built: dict[str, Backbone]) -> None:
    spec, net = spec_of(name), net_of(built, name)
    entries = json.loads((FOLDER / "index.json").read_bytes())
    entry: dict[str, Any] = next(entry for entry in entries if entry["name"] == name)
    assert net.feature_dim == spec.feature_dim == entry["feature_dim"]
    assert net.parameter_count == spec.parameters
    assert net.folded == (name in FOLDED) == (entry["batch_norm"] == "folded")
    assert 4 <= len(net.groups) <= 6
    assert spec.licence == entry["licence"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("depth", [2, "all"])
def test_five_steps_of_training_leave_what_is_frozen_as_it_was(
    name: str, depth: Any, built: dict[str, Backbone]
) -> None:
    spec, net = spec_of(name), net_of(built, name)
    size = 64
    before = {key: value.clone() for key, value in net.state_dict().items()}
    net.freeze(depth, "frozen" if net.folded else "with_group")
    net.train()
    head = nn.Linear(net.feature_dim, 2)
    trained = [p for p in net.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD([*trained, *head.parameters()], lr=1e-4)
    images, labels = noise(spec, 4)[..., :size, :size], torch.tensor([0, 1, 0, 1])
    for _ in range(5):
        loss = nn.functional.cross_entropy(head(net(images)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert torch.isfinite(loss)
    after = net.state_dict()
    kept = net.groups[: 0 if depth == "all" else len(net.groups) - depth]
    frozen = {owner for group in kept for owner in group}
    for key, value in after.items():
        owner = key.removeprefix("body.")
        if {owner, owner.rpartition(".")[0]} & frozen or (net.folded and "running" in key):
            assert torch.equal(value, before[key]), key
    assert any(not torch.equal(value, before[key]) for key, value in after.items())
    net.load_state_dict(before)
    net.freeze(0)
    net.eval()


@pytest.mark.parametrize("name", NAMES)
def test_it_takes_smaller_images(name: str) -> None:
    spec = spec_of(name)
    net = build(spec, 96, offline=True)
    with torch.no_grad():
        assert net(noise(spec)[..., :96, :96]).shape == (4, spec.feature_dim)


# --------------------------------------------------------------------------- what they are worth

FLOWERS = FOLDER.parent / "bench" / "flowers5"
# Linear probes on the test part of five flowers, percent, as measured when the checkpoints were gathered.
FLOWERS_ACCURACY = {
    "mcunet_512kb_2mb": 88.3,
    "mobilenetv1_025_128": 85.8,
    "mobilenetv1_025_224_keras": 83.5,
    "mobilenetv1_050_160": 86.6,
    "mobilenetv2_035_imagenet_frozen": 88.0,
    "regnetx_002": 88.9,
}
POINTS = 1.5  # that a figure may be lower
# One of each kind of preprocessing, those that embed the thousand images in seconds: the others take minutes.
PROBED = (
    "mcunet_512kb_2mb",
    "mobilenetv1_025_128",
    "mobilenetv1_025_224_keras",
    "mobilenetv1_050_160",
    "mobilenetv2_035_imagenet_frozen",
    "regnetx_002",
)


@dataclass(frozen=True)
class Flowers:
    squares: Squares
    labels: np.ndarray
    train: np.ndarray
    test: np.ndarray


@pytest.fixture(scope="module")
def flowers(tmp_path_factory: pytest.TempPathFactory) -> Flowers:
    if not FLOWERS.is_dir():
        pytest.skip("there is no ../shared/bench/flowers5")
    data = load.load(str(FLOWERS), {}, load_plugins(installed=False))
    store = tmp_path_factory.mktemp("flowers")
    decode(list(data.files), store, side=256, allowance=FOREVER)
    rows = [np.flatnonzero(data.given == PARTS.index(part)) for part in ("train", "test")]
    return Flowers(Squares(Pixels.open(store)), data.labels, *rows)


@pytest.mark.slow
@pytest.mark.parametrize("name", PROBED)
def test_a_linear_probe_on_it_is_as_good_as_it_was(
    name: str, built: dict[str, Backbone], flowers: Flowers
) -> None:
    net = net_of(built, name).to(memory_format=torch.channels_last)
    rows = np.concatenate([flowers.train, flowers.test])
    digests = np.arange(len(flowers.labels)).astype(str)
    found = embed(
        net,
        rows,
        Store(squares=flowers.squares, digests=digests, cache=None),
        torch.device("cpu"),
        "fp32",
        FOREVER,
    )
    features, labels, count = found.groups[-1], flowers.labels[rows], len(flowers.train)
    probe = next(strategy for strategy in STRATEGIES if strategy.name == "linear_probe")
    folds = folds_for(labels[:count], None)
    call = HeadCall(features=features[:count], labels=labels[:count], classes=5, folds=folds, seed=0)
    head = resolve(str(probe.head))(call)
    right = probabilities(head, 5, features[count:]).argmax(1) == labels[count:]
    percent = round(100 * float(right.mean()), 1)
    assert percent >= FLOWERS_ACCURACY[name] - POINTS, f"{percent}%"
