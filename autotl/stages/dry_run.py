"""List what a run would try, fetch and cost: ``autotl run --dry-run``. Trains nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autotl import hardware, modality
from autotl.candidates import gather
from autotl.data import load
from autotl.options import (
    Options,
    goal_of,
    settings_of,
    source_options,
)
from autotl.plugins.manager import load_plugins
from autotl.records import (
    Dataset,
    Fact,
    ModalityName,
    Profile,
    Skipped,
    StagePlan,
    Unlabelled,
    UnlabelledProfile,
)
from autotl.search.time_plan import least_seconds, plan_of, refuse_hopeless, stages
from autotl.stages.load import refuse_metric
from autotl.stats import values
from autotl.weights import downloads as candidates_downloads
from autotl.weights import hub

__all__ = ["Plan", "Planned", "plan"]

EPOCHS = 6.0  # of the fine-tuning whose price is shown


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
    """The plan of a run. Seconds are forecasts, right within a factor of about two."""

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
    reading: tuple[Fact, ...] = ()  # how the source was read, where it could have been read in another way


def plan(options: Options) -> Plan:
    """List the data and ask the plugins, as a run would; nothing is decoded, fetched or written.

    Raises what `autotl.recommend` raises before torch starts.
    """
    plugins = load_plugins()
    data = load.load(options.source, source_options(options), plugins)
    refuse_hopeless(options.budget, len(data.files))
    refuse_metric(options, data)
    goal, settings = goal_of(options), settings_of(options)
    offered = gather.gather(
        plugins,
        _glance(data),
        settings,
        goal,
        options.strategies,
        options.more,
        weighted=data.weight is not None,
    )
    gpu, images = hardware.has_gpu(options.device), len(data.files)
    planned = []
    for spec in offered.backbones:
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
        strategies=tuple(strategy.name for strategy in offered.strategies),
        skipped=offered.skipped,
        downloads=sum(one.download for one in planned),
        time_plan=stages(plan_of(options, data)),
        floor=least_seconds(images) + (planned[0].embed if planned else 0.0),
        reading=data.reading,
    )


def _glance(data: Dataset) -> Profile:
    """Return a profile from labels and the headers of some images."""
    labels = values.of(data.labels).strata(data.labels)
    counts = np.bincount(labels, minlength=len(data.classes))
    low, middle, high = modality.get(data.modality).glance(list(data.files))
    return Profile(
        images=len(data.files),
        classes=data.classes,
        counts=tuple(counts.tolist()),
        target=data.targets[0].kind,
        others=tuple(target.name for target in data.targets[1:]),
        imbalance=float(counts.max() / max(counts.min(), 1)),
        side=middle,
        sides=(low, high),
        gray=0.0,
        alpha=0.0,
        bytes=0,
        unlabelled=None if data.unlabelled is None else _glance_without(data.unlabelled, data.modality),
    )


def _glance_without(items: Unlabelled, kind: ModalityName) -> UnlabelledProfile:
    """Return the profile of the images without a label from the headers of some; no copy is known yet."""
    low, middle, high = modality.get(kind).glance(list(items.files))
    return UnlabelledProfile(
        images=len(items.files),
        usable=len(items.files),
        side=middle,
        sides=(low, high),
        gray=0.0,
        bytes=0,
        left_out=len(items.left_out),
    )
