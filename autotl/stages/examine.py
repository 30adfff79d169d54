"""Examine: the profile of data without a run. Reads every image once and trains nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace

from autotl import modality
from autotl.budget import Allowance
from autotl.data import copies, doctor, load, profile, unlabelled
from autotl.plugins.manager import load_plugins
from autotl.records import Profile

SIDE = 64  # pixels: what is measured of an image is measured before it is made smaller


def examine(source: str, reading: Mapping[str, str]) -> Profile:
    """Return the profile of a source, with all findings that need no features.

    `reading` holds the options on reading the data, by name. Raises `DatasetError`.
    """
    data = load.load(source, dict(reading), load_plugins())
    files = list(data.files) + ([] if data.unlabelled is None else list(data.unlabelled.files))
    with tempfile.TemporaryDirectory(prefix="autotl-") as work:
        unlimited = Allowance(deadline=float("inf"))
        both = modality.get(data.modality).decode(files, work, side=SIDE, allowance=unlimited)
    decoded = both.between(0, len(data.files))
    measured = profile.profile(data, decoded.statistics)
    if data.unlabelled is not None:
        found = unlabelled.copies_of_labelled(data, data.unlabelled, both.inner, both.present)
        behind = both.between(len(data.files), len(files))
        measured = unlabelled.profiled(measured, data, behind, found, data.given)
    findings = (
        *data.findings,
        *profile.unread(data.names, decoded.present, decoded.errors),
        *measured.findings,
        *copies.findings(data, copies.copies(data, decoded)),
        *doctor.of_metadata(data, decoded.metadata, decoded.present, data.group),
    )
    return replace(measured, findings=findings, reading=data.reading)
