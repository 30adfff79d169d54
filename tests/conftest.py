from __future__ import annotations

import importlib.abc
import os
import signal
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

# Before numpy is imported: the tests of two processes share the cores, and threads on small matrices only wait.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
import simulated_run
from cheap import leave_out_drawings, quicken
from made_images import pictures

os.environ["HF_HUB_OFFLINE"] = "1"  # before anything reads it: no test opens a connection

HERE = Path(__file__).resolve().parent
# Markers of whole folders and files; single tests have theirs beside them. The fast lane (`make test-fast`) leaves
# all of them out, and does not even import those that need torch, in this process or in the worker.
MARKED = {
    "torch": (
        "builtin/test_in_context.py",
        "engine",
        "faults/test_altered_models.py",
        "plugins/test_packages.py",
        "plugins/test_zoo.py",
        "shared",
        "stages/test_interruptions.py",
        "test_examples.py",
        "testing/test_checks.py",
        "testing/test_new_package.py",
        "whole",
    ),
    "process": (
        "cli/test_check.py",
        "cli/test_standard_output.py",
        "test_imports.py",
        "test_setup.py",
        "test_site.py",
        "test_wheel.py",
    ),
    "slow": (  # whole runs on the simulated engine, a second or more each
        "faults/test_busy_machine.py",
        "faults/test_mutants.py",
        "plugins/test_in_runs.py",
        "report/test_model_card.py",
        "run_folder/test_fit.py",
        "run_folder/test_redecide.py",
        "run_folder/test_replay.py",
        "run_folder/test_resume.py",
        "stages/test_distil.py",
        "stages/test_label_columns.py",
        "stages/test_pipeline.py",
        "stages/test_related.py",
        "stages/test_targets.py",
        "test_docs_run.py",
        "weights/test_downloads.py",
    ),
}


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


@cache
def _has(marker: str, path: Path) -> bool:
    """Return whether a file is marked as a whole: asked for each of its tests, of which there are thousands."""
    resolved = path.resolve()
    return any(resolved.is_relative_to(HERE / start) for start in MARKED[marker])


def pytest_configure(config: pytest.Config) -> None:
    if _without_torch(config):
        assert "torch" not in sys.modules, "a pytest plugin imports torch"
        finder = NoTorch()
        config.stash[FINDER] = finder
        sys.meta_path.insert(0, finder)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return True if _without_torch(config) and _has("torch", collection_path) else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        for marker in MARKED:
            if _has(marker, item.path):
                item.add_marker(marker)
        if config.pluginmanager.hasplugin("xdist"):
            # With --dist loadgroup a file's tests share its fixtures, and what uses all cores runs one at a time.
            alone = item.get_closest_marker("torch") or item.get_closest_marker("process")
            item.add_marker(pytest.mark.xdist_group("one at a time" if alone else item.path.stem))


@pytest.fixture(autouse=True)
def _own_signals() -> Iterator[None]:
    """Undo what the command line does with Ctrl-C and SIGTERM: both end the tests, whatever ran before."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


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


@pytest.fixture(autouse=True, scope="session")
def _quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        quicken(patch)
        yield


@pytest.fixture(scope="module")
def no_drawings() -> Iterator[None]:
    """Simulated runs whose charts nobody looks at: a third of their time."""
    with pytest.MonkeyPatch.context() as patch:
        leave_out_drawings(patch)
        yield


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 240 images in four classes."""
    return pictures(tmp_path_factory.mktemp("data") / "photos")


@pytest.fixture
def guest() -> Iterator[None]:
    """A plugin that offers the backbones of the simulated engine, in every run of the test."""
    with simulated_run.offered():
        yield
