"""Published and measured facts about the pretrained models of timm and torchvision, without importing either.

tools/facts.py writes the tables; their first line names the version that it used. Accuracies are ImageNet-1k
top-1 as published, at the native size; `top1_source` names the source. `macs` are multiply-accumulates of one
image at the native size, `parameters` those of the body without classifier.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import msgspec

from autotl.records import Geometry

__all__ = [
    "COLUMNS",
    "FOLDER",
    "TIMM_TABLE",
    "TORCHVISION_TABLE",
    "PublishedModel",
    "made_with",
    "timm",
    "torchvision",
]

FOLDER = Path(str(files("autotl.builtin")))
TIMM_TABLE = "timm_facts.csv"
TORCHVISION_TABLE = "torchvision_facts.csv"

COLUMNS = (
    "name",
    "default",
    "parameters",
    "macs",
    "input_size",
    "size_step",
    "min_size",
    "mean",
    "std",
    "interpolation",
    "crop",
    "geometry",
    "feature_dim",
    "classes",
    "licence",
    "domain",
    "top1",
    "top1_source",
    "imagenet_r",
    "sketch",
    "weights",
    "file",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedModel:
    """One pretrained model."""

    name: str
    default: bool  # the one that timm loads for the name without a tag
    parameters: int
    macs: float
    input_size: int
    size_step: int
    min_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str
    crop: float
    geometry: Geometry  # that it was evaluated with
    feature_dim: int
    classes: int  # of the pretrained classifier; 0: none
    licence: str | None  # SPDX expression
    domain: str | None
    top1: float | None
    top1_source: str
    imagenet_r: float | None  # top-1 on ImageNet-R (renditions), 200 classes
    sketch: float | None  # top-1 on ImageNet-Sketch
    weights: str  # hub repository, or torchvision's weights name
    file: str  # torchvision: the file's name in torch's hub folder


@cache
def timm() -> Mapping[str, PublishedModel]:
    """Return the pretrained models of timm, by name with tag."""
    return _table(TIMM_TABLE)


@cache
def torchvision() -> Mapping[str, PublishedModel]:
    """Return the networks of torchvision, by name."""
    return _table(TORCHVISION_TABLE)


def made_with(table: str) -> str:
    """Return the library and version that a table was made with, such as ``timm 1.0.31``."""
    with (FOLDER / table).open() as stream:
        return stream.readline().rpartition(" with ")[2].strip()


def _table(file: str) -> dict[str, PublishedModel]:
    with (FOLDER / file).open(newline="") as stream:
        stream.readline()
        return {row["name"]: _model(row) for row in csv.DictReader(stream)}


def _model(row: dict[str, str]) -> PublishedModel:
    return PublishedModel(
        name=row["name"],
        default=row["default"] == "1",
        parameters=int(row["parameters"]),
        macs=float(row["macs"]),
        input_size=int(row["input_size"]),
        size_step=int(row["size_step"]),
        min_size=int(row["min_size"]),
        mean=_triple(row["mean"]),
        std=_triple(row["std"]),
        interpolation=row["interpolation"],
        crop=float(row["crop"]),
        geometry=msgspec.convert(row["geometry"], Geometry),
        feature_dim=int(row["feature_dim"]),
        classes=int(row["classes"]),
        licence=row["licence"] or None,
        domain=row["domain"] or None,
        top1=_fraction(row["top1"]),
        top1_source=row["top1_source"],
        imagenet_r=_fraction(row["imagenet_r"]),
        sketch=_fraction(row["sketch"]),
        weights=row["weights"],
        file=row["file"],
    )


def _triple(text: str) -> tuple[float, float, float]:
    first, second, third = (float(part) for part in text.split())
    return first, second, third


def _fraction(text: str) -> float | None:
    return float(text) if text else None
