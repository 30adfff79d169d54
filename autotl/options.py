"""Everything a run was asked for."""

from __future__ import annotations

from dataclasses import dataclass

from autotl.records import Goal, Metric, Prefer, Settings
from autotl.weights.hub import told_offline


@dataclass(frozen=True, kw_only=True)
class Options:
    """Everything a run was asked for."""

    source: str
    budget: float = 600.0  # seconds
    out: str | None = None
    test: str | None = None
    test_size: float | None = None
    weights: tuple[str, ...] = ()
    backbones: tuple[str, ...] = ()
    more: tuple[str, ...] = ()  # backbones besides those, or besides the usual ones
    strategies: tuple[str, ...] = ()
    group: str | None = None
    label: str | None = None
    metric: Metric | None = None
    prefer: Prefer = "accuracy"
    max_params: int | None = None
    max_latency: float | None = None  # seconds an image
    max_memory: int | None = None  # bytes
    licence: tuple[str, ...] = ()
    device: str = "auto"
    precision: str = "auto"
    seed: int = 0
    offline: bool = False
    refit: bool = False
    memory: str | None = None  # file with records of past runs
    command: str = ""


def source_options(options: Options) -> dict[str, str]:
    """What whoever reads the source is told of it."""
    named = {"test": options.test, "group": options.group, "label": options.label}
    return {key: value for key, value in named.items() if value is not None}


def goal_of(options: Options, metric: Metric = "accuracy") -> Goal:
    """What the choice is made for: the metric, the preference and the limits."""
    return Goal(
        metric=metric,
        prefer=options.prefer,
        max_params=options.max_params,
        max_latency=options.max_latency,
        max_memory=options.max_memory,
        licence=options.licence,
    )


def settings_of(options: Options) -> Settings:
    """What plugins are told when they are asked for backbones."""
    return Settings(
        weights=options.weights,
        offline=options.offline or told_offline(),
        device=options.device,
        licence=options.licence,
        seconds=options.budget,
        wanted=options.backbones,
    )
