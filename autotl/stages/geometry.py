"""Geometry: whether long images are cropped, squashed or padded to squares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

import numpy as np

from autotl import hardware
from autotl.errors import AutotlError
from autotl.ranking import geometry as ranking_geometry
from autotl.ranking import similarity as ranking_similarity
from autotl.records import Finding, Geometry, Kind, Settings, fact
from autotl.stages.context import RunContext
from autotl.stages.setup import Setup
from autotl.stats.folds import folds_for

_METRICS = {"regression": "r2", "multilabel": "mean_average_precision"}  # that a linear probe is judged by
GEOMETRIES: tuple[Geometry, ...] = get_args(Geometry)


def geometry(context: RunContext, setup: Setup) -> Setup:
    """Return the setup whose backbones take images as a linear probe recognises them best, or as the user asks.

    Where few images are long each backbone keeps the geometry that it declares. A run that is continued keeps its own.
    """
    earlier, journal, asked = setup.parts.earlier, context.journal, context.options.geometry
    if asked is not None:
        return _shaped(context, setup, asked)
    if earlier is not None:
        kept = [f for f in earlier.state.profile.findings if f.kind is Kind.GEOMETRY]
        setup = _with_findings(setup, kept)
        found = ranking_geometry.measured_geometry(kept)
        return setup if found is None else _shaped(context, setup, found)
    if setup.profile.elongated < ranking_geometry.SHARE:
        return setup
    finding = None
    if not setup.hurried:
        with context.ledger.charge("geometry"):
            finding = _measured(context, setup)
    if finding is None:
        journal.note(fact(Kind.GEOMETRY_NOT_MEASURED, elongated=setup.profile.elongated))
        return setup
    journal.event("geometry", fact(finding.kind, **finding.values, count=finding.count))
    return _shaped(context, _with_findings(setup, [finding]), finding.values["geometry"])


def _measured(context: RunContext, setup: Setup) -> Finding | None:
    """Return how well the first reference backbone's features tell the classes apart in each geometry."""
    plan, columns = context.plan, setup.columns
    reference = next(iter(ranking_similarity.references()), None)
    embedded = context.plugins.backbones(None, Settings(offline=True))
    spec = None if reference is None else embedded.get(f"autotl:{reference.backbone}")
    rows = setup.parts.rows(0)[: min(ranking_geometry.IMAGES, plan.similarity_images)]
    if reference is None or spec is None:
        return None
    embedded_in: dict[Geometry, tuple[np.ndarray, np.ndarray]] = {}
    for name in GEOMETRIES:
        allowance = context.budget.allowance(plan.similarity, reserve=plan.report)
        try:
            shaped = replace(setup, geometry=name).shaped(spec)
            embedding = context.engine.embed(shaped, reference.input_size, rows, allowance)
        except AutotlError:
            return None  # what is wrong with it the ranking says
        with np.load(context.journal.folder / embedding.path, allow_pickle=False) as stored:
            embedded_in[name] = stored["rows"], stored[f"g{embedding.groups - 1}"]
    for some, _ in embedded_in.values():
        rows = rows[np.isin(rows, some)]  # that there was time for in every geometry
    if len(rows) < max(ranking_geometry.FEWEST, 2 * len(columns.classes)):
        return None
    labels, group = columns.labels[rows], None if columns.group is None else columns.group[rows]
    folds = folds_for(labels, group)
    with hardware.one_thread():
        recognised = {
            name: ranking_geometry.recognised(features[np.isin(some, rows)], labels, folds)
            for name, (some, features) in embedded_in.items()
        }
    return Finding(
        kind=Kind.GEOMETRY,
        values={
            "geometry": ranking_geometry.choose(recognised),
            "recognised": {name: round(float(right.mean()), 6) for name, right in recognised.items()},
            "images": len(rows),
            "elongated": setup.profile.elongated,
            **({} if columns.target == "multiclass" else {"metric": _METRICS[columns.target]}),
        },
    )


def _shaped(context: RunContext, setup: Setup, name: Geometry) -> Setup:
    """Return the setup with all backbones in one geometry, those that are being downloaded too."""
    setup = replace(setup, geometry=name)
    setup = replace(
        setup,
        backbones={key: setup.shaped(spec) for key, spec in setup.backbones.items()},
        offered=tuple(map(setup.shaped, setup.offered)),
    )
    context.journal.record(backbones=setup.offered, profile=setup.profile)
    return setup


def _with_findings(setup: Setup, findings: Sequence[Finding]) -> Setup:
    profile = setup.profile
    return replace(setup, profile=replace(profile, findings=(*profile.findings, *findings)))
