"""A set of images with its features at hand: linear probes as the engine fits them, on parts that are given."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from autotl.budget import Allowance
from autotl.builtin.strategies import STRATEGIES
from autotl.cache import cache_folder
from autotl.data import load
from autotl.decision import evidence
from autotl.modality import image_store
from autotl.plugins.manager import load_plugins
from autotl.protocols import Engine
from autotl.records import PARTS, BackboneSpec, Candidate, Columns, Dataset, Part, Trial
from autotl.stats.folds import stratified_order
from benchmarks.sets import GROUPS

LINEAR = next(strategy for strategy in STRATEGIES if strategy.name == "linear_probe")


def far() -> Allowance:
    """Return an allowance of an hour: more than any of this takes."""
    return Allowance(deadline=time.monotonic() + 3600)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A set that an engine has opened."""

    data: Dataset
    part: np.ndarray  # (n,) int8, index into PARTS
    engine: Engine
    folder: Path

    def rows(self, part: Part) -> np.ndarray:
        """Return the row numbers of a part."""
        return np.flatnonzero(self.part == PARTS.index(part))

    def predict(
        self, spec: BackboneSpec, size: int, fit_on: tuple[Part, ...], on: Part = "test"
    ) -> np.ndarray:
        """Return the classes that a linear probe, fitted on some parts, predicts for the rows of another."""
        candidate = Candidate(backbone=spec.name, input_size=size, strategy=LINEAR.name)
        trial = Trial(id=f"{spec.name}-{spec.init}", candidate=candidate, fit_on=fit_on, evaluate_on=(on,))
        done = self.engine.submit(trial, spec, LINEAR, far()).result()
        if done.predictions is None:
            raise SystemExit(f"{spec.name} on {self.data.source}: {done.error}")
        predicted = evidence.predicted_labels(self.folder / done.predictions, self.rows(on))
        assert predicted is not None
        return predicted

    def accuracy(self, predicted: np.ndarray, on: Part = "test") -> float:
        """Return the accuracy on the rows of a part."""
        return float(np.mean(predicted == self.data.labels[self.rows(on)]))


@contextmanager
def opened(
    sets: Path,
    name: str,
    work: Path,
    part: np.ndarray | None = None,
    *,
    device: str = "auto",
    precision: str = "auto",
) -> Iterator[Opened]:
    """Open the set's train and test folders, decoded, in a worker; `part` replaces the given parts."""
    from autotl.engine.client import connect

    options = {"test": str(sets / name / "test")}
    if name in GROUPS:
        options["group"] = GROUPS[name]
    data = load.load(str(sets / name / "train"), options, load_plugins())
    part = np.where(data.given < 0, 0, data.given).astype(np.int8) if part is None else part
    work.mkdir(parents=True, exist_ok=True)
    image_store.decode(list(data.files), work / ".pixels", side=256, allowance=far())
    with connect(
        folder=work, cache=cache_folder(), device=device, precision=precision, offline=True
    ) as engine:
        columns = Columns(
            labels=data.labels,
            part=part,
            fold=np.full(len(part), -1, np.int8),
            group=data.group,
            order=stratified_order(data.labels, np.random.default_rng(0)),
            classes=data.classes,
        )
        digests = None if data.digests is None else data.digests.tolist()
        engine.open(work / ".pixels", columns, metric="accuracy", digests=digests)
        yield Opened(data=data, part=part, engine=engine, folder=work)
