from __future__ import annotations

import os
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
