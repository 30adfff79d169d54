"""A guest's focal loss, L2-SP and adapters, a file each, do what they declare: each fails where the engine ignores it."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from autotl import testing
from autotl.plugins.manager import load_plugins
from autotl.records import Strategy

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
# What each declares, as the checks of it by effect are called.
DECLARED = {
    "own_loss": ("objectives",),
    "own_penalty": ("objectives",),
    "own_adapter": ("prepares", "selectors"),
}


def strategy_of(module: str) -> Strategy:
    plugins = load_plugins({module: importlib.import_module(module)}, installed=False)
    (strategy,) = (s for name, s in plugins.strategies(None).items() if name.startswith("my_"))
    assert not plugins.problems
    return strategy


@pytest.mark.parametrize(
    ("module", "check"), [(module, check) for module, checks in DECLARED.items() for check in checks]
)
def test_what_a_guest_declares_has_its_effect(
    module: str, check: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    getattr(testing, check)(strategy_of(module))


@pytest.mark.parametrize("module", DECLARED)
def test_a_guests_strategy_is_valid_and_can_be_called(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    strategy = strategy_of(module)
    testing.described(strategy)
    testing.resolves(strategy)


def test_the_penalty_holds_the_weights_near_their_start(monkeypatch: pytest.MonkeyPatch) -> None:
    from autotl.engine.check_support import train_toy

    monkeypatch.syspath_prepend(str(EXAMPLES))
    strategy = strategy_of("own_penalty")

    def moved(weight: float) -> float:
        monkeypatch.setattr(importlib.import_module("own_penalty"), "WEIGHT", weight)
        toy = train_toy(strategy, "all", 6.0)
        return sum(float(((toy.after[name] - value) ** 2).sum()) for name, value in toy.before.items())

    assert moved(3.0) < 0.7 * moved(0.0)
