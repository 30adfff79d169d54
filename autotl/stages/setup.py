"""Setup: everything that is settled before the first forward pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from autotl.records import (
    BackboneSpec,
    Columns,
    DepthProfile,
    Geometry,
    Goal,
    Profile,
    Ranking,
    Similarity,
    Skipped,
    Strategy,
    TrialResult,
)
from autotl.records.result import Case
from autotl.stages.split import SplitResult
from autotl.weights import downloads


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Setup:
    """The candidates of a run, its data and its goal."""

    parts: SplitResult
    profile: Profile
    goal: Goal
    backbones: Mapping[str, BackboneSpec]  # whose weights are on this machine, by name
    offered: tuple[BackboneSpec, ...]  # those and what is being downloaded
    strategies: Mapping[str, Strategy]
    skipped: tuple[Skipped, ...]
    downloads: downloads.Downloads
    student: BackboneSpec | None = None  # the backbone that is to learn from the winner
    geometry: Geometry | None = None  # of all backbones; None: each as it declares
    similarity: tuple[Similarity, ...] = ()
    depth_profiles: tuple[DepthProfile, ...] = ()
    probes: tuple[TrialResult, ...] = ()  # of the run that is continued, scored by today's goal
    controls: tuple[TrialResult, ...] = ()
    fits: tuple[TrialResult, ...] = ()
    same_data: bool = True  # as in the run that is continued
    slowness: float = 1.0  # of the machine: how many times more than usual the start took
    hurried: bool = False  # the start took so much that the first model comes before all else

    @property
    def columns(self) -> Columns:
        """Return the columns of the data."""
        return self.parts.columns

    @property
    def closed_form(self) -> list[Strategy]:
        """Return the strategies that fit a head to features and train nothing."""
        return [strategy for strategy in self.strategies.values() if strategy.head and not strategy.phases]

    def shaped(self, spec: BackboneSpec) -> BackboneSpec:
        """Return a backbone that takes images in the geometry of the run."""
        if self.geometry is None:
            return spec
        return replace(spec, preprocess=replace(spec.preprocess, geometry=self.geometry))

    def case(self, ranking: Ranking, skipped: Sequence[Skipped]) -> Case:
        """Return everything but the trials that the decision is derived from."""
        return Case(
            columns=self.columns,
            goal=self.goal,
            ranking=ranking,
            similarity=self.similarity,
            strategies=tuple(self.strategies.values()),
            depth_profiles=self.depth_profiles,
            skipped=(*self.skipped, *skipped),
        )
