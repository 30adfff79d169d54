"""Features are computed once for each image and backbone."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import toy
from safetensors.torch import save_file

from autotl.budget import Allowance
from autotl.cache import Cache
from autotl.engine import embed as stage
from autotl.engine import identity
from autotl.engine.backbone import Backbone, build
from autotl.engine.embed import Features, Store, embed
from autotl.engine.identity import source_digest
from autotl.errors import EngineError
from autotl.records import Weights

PICTURES, _ = toy.images(80)
DIGESTS = np.array([f"{row:032x}" for row in range(80)])


class Counted:
    """A backbone that counts the images that go through it."""

    def __init__(self, backbone: Backbone | None = None) -> None:
        self.backbone = backbone or toy.backbone()
        self.images = 0
        original = self.backbone.forward_source

        def forward(x: torch.Tensor) -> object:
            self.images += len(x)
            return original(x)

        self.backbone.forward_source = forward  # type: ignore[method-assign, assignment]

    def embed(
        self,
        rows: object,
        cache: Cache | None,
        allowance: Allowance | None = None,
        digests: np.ndarray = DIGESTS,
        precision: str = "fp32",
    ) -> Features:
        right = allowance or Allowance(deadline=time.monotonic() + 60)
        self.images = 0
        return embed(
            self.backbone,
            np.array(rows),
            Store(squares=toy.squares(PICTURES), digests=digests, cache=cache),
            torch.device("cpu"),
            precision,
            right,
        )


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path)


def test_features_are_the_backbones_own_at_every_group() -> None:
    found = Counted().embed([3, 1, 2], None)
    assert found.rows.tolist() == [3, 1, 2] and found.cached == 0
    assert [group.shape for group in found.groups] == [(3, 8), (3, 12), (3, 16)]
    backbone = toy.backbone()
    image = stage.to_input(PICTURES[[3, 1, 2]], toy.SIDE, backbone.spec.preprocess, torch.device("cpu"))
    with torch.inference_mode():
        assert np.allclose(found.groups[-1], backbone(image).numpy(), atol=1e-2)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("group", [0, 2])
def test_features_that_are_not_finite_are_refused_by_name_and_not_cached(
    value: float, group: int, cache: Cache
) -> None:
    broken = Counted()
    original = broken.backbone.forward_source

    def forward(x: torch.Tensor) -> object:
        groups, logits = original(x)
        groups[group][1] = value
        return groups, logits

    broken.backbone.forward_source = forward  # type: ignore[method-assign, assignment]
    name = broken.backbone.spec.name
    with pytest.raises(EngineError, match=rf"'{name}' gives NaN or infinity for 1 of 3.*group {group + 1}"):
        broken.embed([3, 1, 2], cache)
    assert Counted().embed([3, 1, 2], cache).cached == 0


def test_what_is_known_costs_nothing(cache: Cache) -> None:
    first = Counted()
    one = first.embed(range(50), cache)
    assert first.images == 50 and one.seconds_per_image > 0
    second = Counted()
    again = second.embed(range(50), cache)
    assert second.images == 0 and again.cached == 50 and again.seconds_per_image == 0
    assert np.array_equal(one.groups[-1], again.groups[-1])


def test_a_longer_prefix_computes_only_what_is_new(cache: Cache) -> None:
    counted = Counted()
    rows = np.random.default_rng(0).permutation(80)
    computed = []
    for length in (10, 30, 80, 30):
        found = counted.embed(rows[:length], cache)
        computed.append(counted.images)
        assert found.rows.tolist() == rows[:length].tolist()
    assert computed == [10, 20, 50, 0]
    whole = Counted().embed(rows, None)
    assert np.allclose(counted.embed(rows, cache).groups[-1], whole.groups[-1], atol=1e-3)


def test_rows_in_another_order_get_their_own_features(cache: Cache) -> None:
    counted = Counted()
    forth = counted.embed([5, 6, 7], cache).groups[-1]
    back = counted.embed([7, 5], cache).groups[-1]
    assert counted.images == 0
    assert np.array_equal(back, forth[[2, 0]])


def test_when_time_is_over_there_are_fewer_rows_and_the_rest_later(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "BATCH", 8)
    counted = Counted()
    found = counted.embed(range(40), cache, Allowance(deadline=0.0))
    assert found.rows.tolist() == list(range(8)), "one batch in any case"
    assert counted.embed(range(40), cache).rows.tolist() == list(range(40))
    assert counted.images == 32


def test_known_rows_come_also_when_time_is_over(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "BATCH", 8)
    counted = Counted()
    counted.embed(range(20, 30), cache)
    found = counted.embed(range(40), cache, Allowance(deadline=0.0))
    assert found.rows.tolist() == [*range(8), *range(20, 30)]


def test_equal_images_are_one(cache: Cache) -> None:
    digests = DIGESTS.copy()
    digests[40:] = digests[:40]
    counted = Counted()
    counted.embed(range(40), cache, digests=digests)
    found = counted.embed(range(80), cache, digests=digests)
    assert counted.images == 0 and np.array_equal(found.groups[-1][:40], found.groups[-1][40:])


def test_another_precision_size_or_preprocessing_is_another_entry(cache: Cache) -> None:
    counted = Counted()
    counted.embed(range(8), cache)
    counted.embed(range(8), cache, precision="bf16")
    assert counted.images == 8
    for other in (
        build(toy.spec(), 24),
        build(toy.spec(preprocess=replace(toy.spec().preprocess, mean=(0.5, 0.5, 0.5))), toy.SIDE),
    ):
        changed = Counted(other)
        changed.embed(range(8), cache)
        assert changed.images == 8


def test_the_name_of_a_backbone_is_not_what_it_is(cache: Cache) -> None:
    Counted().embed(range(8), cache)
    renamed = Counted(build(toy.spec(name="mine"), toy.SIDE))
    renamed.embed(range(8), cache)
    assert renamed.images == 0


def test_a_damaged_entry_is_computed_again(cache: Cache) -> None:
    counted = Counted()
    counted.embed(range(8), cache)
    (entry,) = cache.folder.glob("??/*")
    entry.write_bytes(entry.read_bytes()[:100])
    counted.embed(range(8), cache)
    assert counted.images == 8


def test_no_rows_at_all(cache: Cache) -> None:
    assert len(Counted().embed(np.zeros(0, np.int64), cache).rows) == 0


def test_the_weights_count_not_where_they_lie(cache: Cache) -> None:
    Counted().embed(range(8), cache)
    backbone = toy.backbone()
    with torch.no_grad():
        next(backbone.body.parameters()).mul_(1.01)
    assert computed(backbone, cache) == 8, "retrained in place: same name, same size"
    assert computed(toy.backbone(), cache) == 0


def test_a_checkpoint_of_the_same_size_in_the_same_place_is_another(cache: Cache, tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    weights = Weights(kind="file", location=str(path), bytes=1, present=True)
    found = []
    for scale in (1.0, 2.0, 2.0, 1.0):
        save_file({name: scale * value for name, value in toy.Net().state_dict().items()}, path)
        found.append(computed(build(toy.spec(weights=weights), toy.SIDE), cache))
    assert found == [8, 8, 0, 0]


GUEST = """
import torch
from {package}.parts import Block

def net():
    torch.manual_seed(0)
    return Block()
"""
PARTS = """
import torch

class Block(torch.nn.Conv2d):
    def __init__(self):
        super().__init__(3, 4, 3)

    def forward(self, x):
        return super().forward(x) * {factor}
"""


def test_the_code_of_a_guest_counts(cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    found = []
    for factor in (1, 2, 1):  # the same weights; another forward pass in a module that the builder imports
        folder = tmp_path / "guest_of_embed"
        folder.mkdir(exist_ok=True)
        (folder / "__init__.py").write_text("")
        (folder / "builder.py").write_text(GUEST.format(package="guest_of_embed"))
        (folder / "parts.py").write_text(PARTS.format(factor=factor))
        for name in [name for name in sys.modules if name.startswith("guest_of_embed")]:
            monkeypatch.delitem(sys.modules, name)
        importlib.invalidate_caches()
        shutil.rmtree(folder / "__pycache__", ignore_errors=True)
        source_digest.cache_clear()
        spec = toy.spec(build="guest_of_embed.builder:net")
        found.append(computed(build(spec, toy.SIDE), cache))
    assert found == [8, 8, 0]


def test_the_digest_is_the_same_in_another_process() -> None:
    code = "import toy; print(toy.backbone().digest())"
    paths = os.pathsep.join([str(Path(toy.__file__).parent), *sys.path])
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": "7"},
    )  # fmt: skip
    assert found.stdout.strip() == toy.backbone().digest()


def test_own_modules_are_found_and_hashed() -> None:
    assert all(importlib.util.find_spec(name) for name in identity.OWN)


def computed(backbone: Backbone, cache: Cache) -> int:
    counted = Counted(backbone)
    counted.embed(range(8), cache)
    return counted.images
