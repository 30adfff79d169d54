"""Everything a run was asked for, and whether its budget can hold a run at all."""

from __future__ import annotations

from dataclasses import dataclass

from autotl.errors import BudgetError
from autotl.records import Goal, Metric, Prefer, Settings
from autotl.weights.hub import told_offline

# A packaged forecast of what a run cannot do without, in seconds: enough to refuse a budget before
# torch starts. Start of the worker, reading and one embedding of an image, and the end of a run.
START_SECONDS = 8.0
IMAGE_SECONDS = 0.004
FEWEST_IMAGES = 200  # below a budget for all images, this many make the least run
END_SECONDS = 3.0  # report and last writes, reserved before the first probe


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


def least_seconds(images: int) -> float:
    """Forecast of what a run cannot do without."""
    return START_SECONDS + END_SECONDS + IMAGE_SECONDS * min(images, FEWEST_IMAGES)


def refuse_hopeless(seconds: float, images: int) -> None:
    """Raises `BudgetError` for a budget that holds no run at all."""
    least = least_seconds(images)
    if seconds < least:
        raise BudgetError(
            f"a budget of {seconds:g} s cannot hold a file list and one linear probe on these {images:,} images;"
            f" that takes about {least:.0f} s; give --budget {int(least) + 1}s or more"
        )
