from __future__ import annotations

import pytest
import torch
from torch import nn

from autotl.engine.groups import capture, find_groups, labels_by_matcher, partition, pool, run, split_evenly


def test_pooling_knows_maps_tokens_and_vectors() -> None:
    maps = torch.arange(2 * 3 * 4 * 4, dtype=torch.float32).reshape(2, 3, 4, 4)
    assert torch.equal(pool(maps), maps.mean((2, 3)))
    assert torch.equal(pool(maps.permute(0, 2, 3, 1)), maps.mean((2, 3)))
    tokens = torch.randn(2, 5, 3)
    assert torch.equal(pool(tokens), tokens.mean(1))
    assert torch.equal(pool((tokens, None)), tokens.mean(1))
    assert torch.equal(pool(torch.ones(2, 3)), torch.ones(2, 3))
    assert pool({"a": tokens}) is None
    assert pool(torch.zeros(2, dtype=torch.long)) is None


def test_equal_costs_give_equal_groups() -> None:
    assert partition([1.0] * 12) == [(0, 2), (2, 4), (4, 6), (6, 8), (8, 10), (10, 12)]
    assert partition([1.0, 1.0]) == [(0, 1), (1, 2)]
    assert partition([5.0]) == [(0, 1)]


def test_negligible_groups_join_a_neighbour() -> None:
    assert partition([0.01, 1.0, 1.0, 1.0]) == [(0, 2), (2, 3), (3, 4)]
    assert partition([0.0, 0.0]) == [(0, 1), (1, 2)]


def test_a_split_is_the_best_of_all() -> None:
    costs = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0]
    best = min(
        sum(costs[:a]) ** 2 + sum(costs[a:b]) ** 2 + sum(costs[b:]) ** 2
        for a in range(1, len(costs) - 1)
        for b in range(a + 1, len(costs))
    )
    assert sum(sum(costs[a:b]) ** 2 for a, b in split_evenly(costs, 3)) == best


def test_timms_ways_of_naming_groups() -> None:
    names = ["stem.w", "blocks.0.w", "blocks.1.w", "norm.w", "neck.w"]
    spec = {"stem": r"^stem", "blocks": [(r"^blocks\.(\d+)", None), (r"^norm", (99999,))]}
    assert list(labels_by_matcher(spec, names).values()) == [(0,), (1, "0"), (1, "1"), None, None]
    assert labels_by_matcher(lambda name: float("inf") if name == "neck.w" else 1, names)["neck.w"] is None


class Shuffled(nn.Module):
    """Defined in another order than it runs, with a layer that never runs."""

    def __init__(self) -> None:
        super().__init__()
        self.third = nn.Conv2d(8, 8, 3)
        self.never = nn.Linear(4, 4)
        self.first = nn.Conv2d(3, 8, 3)
        self.second = nn.Conv2d(8, 8, 3)
        self.drop = nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.third(self.drop(self.second(self.first(x)))).mean((2, 3))


def test_groups_follow_the_order_of_running() -> None:
    net = Shuffled()
    groups = find_groups(net, run(net, torch.randn(2, 3, 16, 16)))
    order = [name.partition(".")[0] for group in groups.parameters for name in group]
    assert [name for name in dict.fromkeys(order) if name != "never"] == ["first", "second", "third"]
    assert order.count("never") == 2
    assert groups.ends[:2] == ("first", "drop")
    dropout = next(i for i, names in enumerate(groups.modules) if "drop" in names)
    assert "second.weight" in groups.parameters[dropout]


class Interleaved(nn.Module):
    """Two branches that call each other in turn: no cut runs between them."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))
        self.right = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))
        self.end = nn.Linear(8, 8)

    layer_pattern = r"(left|right|end)"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.mean((2, 3))[:, :1].expand(-1, 8)
        for left, right in zip(self.left, self.right, strict=True):
            x = right(left(x))
        return self.end(x)


def test_stages_that_run_in_turns_are_one() -> None:
    net = Interleaved()
    groups = find_groups(net, run(net, torch.randn(2, 3, 4, 4)))
    assert [len(names) for names in groups.parameters] == [12, 2]


def test_shares_and_counts_are_the_same_each_time() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
    one, two = (find_groups(net, run(net, torch.randn(2, 3, 16, 16))) for _ in range(2))
    assert one == two
    assert one.macs == 14 * 14 * 8 * 27 + 12 * 12 * 8 * 72 + 10 * 10 * 4 * 72


def test_running_changes_nothing() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    run(net, torch.randn(2, 3, 8, 8))
    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


def test_captured_outputs_are_taken_before_they_are_overwritten() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True))
    images = torch.randn(2, 3, 8, 8)
    with torch.no_grad(), capture(net, ["0"]) as found:
        net(images)
        assert torch.equal(found["0"], pool(net[0](images)))


def test_hooks_are_removed_when_the_network_fails() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3))
    with pytest.raises(RuntimeError), capture(net, ["0"]):
        net(torch.zeros(2, 5, 8, 8))
    assert not net[0]._forward_hooks
