"""Features are computed once for each image and backbone."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import toy

from autotl.budget import Allowance
from autotl.cache import Cache
from autotl.engine import embed as stage
from autotl.engine.backbone import Backbone, build
from autotl.engine.embed import Features, Store, embed
from autotl.errors import EngineError

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
        build(toy.spec(arguments={}, init="random"), toy.SIDE),
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
    (entry,) = cache.folder.glob("??/*.npz")
    entry.write_bytes(entry.read_bytes()[:100])
    counted.embed(range(8), cache)
    assert counted.images == 8


def test_no_rows_at_all(cache: Cache) -> None:
    assert len(Counted().embed(np.zeros(0, np.int64), cache).rows) == 0
