"""A run on the simulated engine: its backbones, what they score."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from autotl import load, pipeline
from autotl.hookspecs import hookimpl
from autotl.plugins import manager
from autotl.records import (
    BackboneSpec,
    Event,
    Trial,
)
from autotl.testing.simulated_engine import Cell, TableClock, TableEngine

SPECS = [
    BackboneSpec(
        name="mine:small", build="m:b", input_size=64, size_step=0, parameters=10**5, macs=1e7, published=0.4
    ),
    BackboneSpec(name="mine:good", build="m:b", input_size=128, parameters=10**6, macs=1e8, published=0.7),
    BackboneSpec(name="mine:broken", build="m:b", input_size=64, size_step=0, parameters=10**6, macs=1e8),
]
TABLE = {
    ("mine:small", 64): Cell(seconds=0.001, linear=0.6, tuned={"all": 0.75, 2: 0.7, 1: 0.65}),
    ("mine:good", 128): Cell(seconds=0.004, linear=0.8, tuned={"all": 0.9, 2: 0.87, 1: 0.84}),
    ("mine:good", 64): Cell(seconds=0.001, linear=0.75, tuned={"all": 0.87, 2: 0.8, 1: 0.78}),
    ("mine:broken", 64): Cell(fails="no such file: mine.safetensors"),
}


@contextmanager
def offered() -> Iterator[None]:
    """Offer the backbones in every run."""
    offering = SimpleNamespace(
        __name__="simulated_run", register_backbones=hookimpl(lambda profile, settings: SPECS)
    )
    original = manager.load_plugins
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pipeline, "load_plugins", lambda: original([offering]))
        yield


class World:
    """A run on a table: which engine was made, which events came."""

    def __init__(self, table: dict[tuple[str, int], Cell] | None = None) -> None:
        self.table = TABLE if table is None else table
        self.clock = TableClock()
        self.events: list[Event] = []
        self.engine: TableEngine | None = None

    @property
    def tools(self) -> pipeline.Tools:
        return pipeline.Tools(clock=self.clock, connect=self.connect, observers=[self.events.append])

    def connect(self, *, folder: Path, **_: Any) -> TableEngine:
        self.engine = TableEngine(folder, self.table, self.clock)
        return self.engine

    def run(self, source: Path, out: Path, **options: Any) -> Path:
        options = {"budget": 120.0, "backbones": ("mine:*",)} | options
        return pipeline.recommend(
            pipeline.Options(source=str(source), out=str(out), **options),
            tools=self.tools,
            started=0.0,
        )


class Again(World):
    """The second stretch of a run, on a clock that goes on."""

    def extend(self, folder: Path, monkeypatch: pytest.MonkeyPatch, *given: Any, **more: Any) -> list[Trial]:
        original = pipeline.recommend

        def recommend(options: pipeline.Options, **kept: Any) -> Path:
            kept.update(started=0.0, tools=self.tools)
            return original(options, **kept)

        with monkeypatch.context() as patch:
            patch.setattr(pipeline, "recommend", recommend)
            load(folder).extend(*given, **more)
        assert self.engine is not None
        return self.engine.trials
