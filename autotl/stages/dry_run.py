"""What a run would try, what it would fetch, and what that would cost: ``autotl run --dry-run``. Trains nothing."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from PIL import Image

from autotl import hardware
from autotl.candidates import gather
from autotl.data import load
from autotl.options import (
    Options,
    goal_of,
    settings_of,
    source_options,
)
from autotl.plugins.manager import load_plugins
from autotl.records import Dataset, Profile, Skipped, StagePlan
from autotl.search.time_plan import least_seconds, refuse_hopeless, stages, time_plan
from autotl.weights import downloads as candidates_downloads
from autotl.weights import hub

__all__ = ["Plan", "Planned", "plan"]

EPOCHS = 6.0  # of the fine-tuning whose price is shown
SAMPLE = 64  # images whose size is looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A backbone that would be tried, at its native input size."""

    backbone: str
    input_size: int
    parameters: int | None
    licence: str | None
    download: float  # megabytes; 0: it is here
    embed: float  # seconds, all images
    tune: float  # seconds, a fine-tuning of all its layers of `EPOCHS` epochs


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run would begin with. Seconds are forecasts, right within a factor of two or so."""

    images: int
    classes: int
    budget: float
    planned: tuple[Planned, ...]  # cheapest first
    strategies: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    downloads: float  # megabytes
    time_plan: tuple[StagePlan, ...]  # how the budget is divided
    floor: float  # seconds to the first model: start, reading, the cheapest backbone on all images
    epochs: float = EPOCHS


def plan(options: Options) -> Plan:
    """Lists the data and asks the plugins, as a run would; nothing is decoded, fetched or written.

    Raises what `autotl.recommend` raises before torch starts.
    """
    plugins = load_plugins()
    data = load.load(options.source, source_options(options), plugins)
    refuse_hopeless(options.budget, len(data.files))
    goal, settings = goal_of(options), settings_of(options)
    found = gather.gather(plugins, _glance(data), settings, goal, options.strategies, options.more)
    gpu, images = hardware.has_gpu(options.device), len(data.files)
    planned = []
    for spec in found.backbones:
        pace = hardware.seconds_per_image(spec, gpu=gpu)
        planned.append(
            Planned(
                backbone=spec.name,
                input_size=spec.input_size,
                parameters=spec.parameters,
                licence=spec.licence,
                download=candidates_downloads.megabytes([spec]) if hub.away(spec) else 0.0,
                embed=pace * images,
                tune=pace * hardware.TRAIN_FACTOR * EPOCHS * images,
            )
        )
    planned.sort(key=lambda one: (one.embed, one.backbone))
    return Plan(
        images=images,
        classes=len(data.classes),
        budget=options.budget,
        planned=tuple(planned),
        strategies=tuple(strategy.name for strategy in found.strategies),
        skipped=found.skipped,
        downloads=sum(one.download for one in planned),
        time_plan=stages(time_plan(options.budget)),
        floor=least_seconds(images) + (planned[0].embed if planned else 0.0),
    )


def _glance(data: Dataset) -> Profile:
    """A profile from labels and the headers of some images."""
    counts = np.bincount(data.labels, minlength=len(data.classes))
    sides = []
    for file in data.files[:: max(1, len(data.files) // SAMPLE)]:
        with suppress(Exception), Image.open(file) as image:  # a run says what is wrong with a file
            sides.append(min(image.size))
    low, middle, high = np.quantile(sides or [224], (0.05, 0.5, 0.95)).astype(int).tolist()
    return Profile(
        images=len(data.files),
        classes=data.classes,
        counts=tuple(counts.tolist()),
        imbalance=float(counts.max() / max(counts.min(), 1)),
        side=middle,
        sides=(low, high),
        gray=0.0,
        alpha=0.0,
        bytes=0,
    )
