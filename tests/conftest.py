from __future__ import annotations

import importlib.abc
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import simulated_run
from made_images import pictures

from autotl import pipeline
from autotl.hookspecs import hookimpl
from autotl.plugins import manager

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything reads it: no test opens a connection

# Tests that need torch, in this process or in the worker. The fast lane does not import these files.
TORCH = ("engine", "shared", "whole", "testing/test_checks.py")
HERE = Path(__file__).resolve().parent


FINDER = pytest.StashKey["NoTorch"]()


class NoTorch(importlib.abc.MetaPathFinder):
    """Refuse torch in the fast lane, and keep who asked for it: code under test may catch the ImportError."""

    def __init__(self) -> None:
        self.refused: list[str] = []

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname in {"torch", "torchvision", "timm"}:
            self.refused.append(fullname)
            message = (
                f"{fullname} is imported by a test of the fast lane; mark the test with pytest.mark.torch"
            )
            raise ImportError(message, name=fullname)


def _without_torch(config: pytest.Config) -> bool:
    return "not torch" in config.option.markexpr


def _needs_torch(path: Path) -> bool:
    name = path.resolve().relative_to(HERE).as_posix() if path.resolve().is_relative_to(HERE) else ""
    return any(name == start or name.startswith(f"{start}/") for start in TORCH)


def pytest_configure(config: pytest.Config) -> None:
    if _without_torch(config):
        assert "torch" not in sys.modules, "a pytest plugin imports torch"
        finder = NoTorch()
        config.stash[FINDER] = finder
        sys.meta_path.insert(0, finder)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return True if _without_torch(config) and _needs_torch(collection_path) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _needs_torch(item.path):
            item.add_marker("torch")


@pytest.fixture(autouse=True)
def _no_torch_in_the_fast_lane(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test of the fast lane that imports torch, or tries to."""
    yield
    finder = request.config.stash.get(FINDER, None)
    if finder is not None:
        refused, finder.refused = finder.refused, []
        assert not refused, f"{refused[0]} is imported; mark the test with pytest.mark.torch"
        assert "torch" not in sys.modules


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache that is the session's own, for fixtures of every scope: nothing of the user's is read or written."""
    folder = tmp_path_factory.getbasetemp() / "cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOTL_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 240 images in four classes."""
    return pictures(tmp_path_factory.mktemp("data") / "photos")


@pytest.fixture
def guest(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin that offers the backbones of the simulated engine, in every run of the test."""
    offering = SimpleNamespace(
        __name__="guest", register_backbones=hookimpl(lambda profile, settings: simulated_run.SPECS)
    )
    original = manager.load_plugins
    monkeypatch.setattr(pipeline, "load_plugins", lambda: original([offering]))
