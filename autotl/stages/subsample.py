"""Subsample: of more images than the budget can hold, a stratified sample takes part."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from autotl.errors import AutotlError
from autotl.records import Finding, Kind, Split, fact
from autotl.stages.candidates import hand_over
from autotl.stages.context import RunContext
from autotl.stages.setup import Setup
from autotl.stages.split import SplitResult
from autotl.stats.folds import stratified_order

ALWAYS = 500  # images that are never too many
LEAST = 100  # of a part that are kept, if it has so many
TIMED = 64  # images that the pace is measured on; the last ones, which are the least likely to be cached


def subsample(context: RunContext, setup: Setup) -> SplitResult:
    """Return the parts, with so many rows that one pass of the cheapest backbone fits its share of the budget."""
    parts = setup.parts
    rows = [parts.rows(code) for code in range(3)]
    images = sum(map(len, rows))
    if images <= ALWAYS:
        return parts
    pace = _seconds_per_image(context, setup, rows[0][-TIMED:])
    seconds = context.plan.pass_over_images
    if setup.hurried:
        seconds = min(seconds, context.plan.hurried_pass * context.budget.left)
    able = int(seconds / pace) if pace > 0 else images
    if able >= images:
        return parts
    split = _cut(parts, rows, able / images, context.options.seed)
    left_out = int((parts.split.part >= 0).sum() - (split.part >= 0).sum())
    if not left_out:
        return parts
    sampled = fact(Kind.SUBSAMPLED, left_out=left_out, images=images, seconds_per_image=pace)
    finding = Finding(
        kind=Kind.NO_TIME,
        values={"images": images, "seconds_per_image": round(pace, 6)},
        count=left_out,
        action="left_out",
    )
    data = replace(parts.data, findings=(*parts.data.findings, finding))
    before = parts.split.part
    cut = np.flatnonzero((split.part < 0) & ((before == 0) | (before == 1)))
    smaller = replace(parts, data=data, split=split, left_out=cut)
    context.journal.note(sampled)
    hand_over(context, replace(setup, parts=smaller))
    context.journal.event("sample", sampled)
    return smaller


def _seconds_per_image(context: RunContext, setup: Setup, rows: np.ndarray) -> float:
    """Return the seconds an image of the cheapest backbone that works; 0 where none does."""
    reserve = -context.plan.late if setup.hurried else context.plan.report
    cheapest_first = sorted(
        setup.backbones.values(), key=lambda s: (s.macs or (s.parameters or 5e6) * 100.0, s.name)
    )
    for spec in cheapest_first:
        allowance = context.budget.allowance(reserve=reserve)
        try:
            embedding = context.engine.embed(spec, spec.input_size, rows, allowance)
        except AutotlError:
            continue  # the ranking asks again, and reports why
        return embedding.seconds_per_image
    return 0.0


def _cut(parts: SplitResult, rows: Sequence[np.ndarray], share: float, seed: int) -> Split:
    """Return the split with this share of each part. The parts that judged a continued run stay."""
    part, fold = parts.split.part.copy(), parts.split.fold.copy()
    for code, of_part in enumerate(rows):
        if parts.earlier is not None and code > 0:
            continue
        keep = max(math.ceil(share * len(of_part)), min(LEAST, len(of_part)))
        order = stratified_order(parts.data.labels[of_part], np.random.default_rng(seed))
        left_out = of_part[order[keep:]]
        part[left_out], fold[left_out] = -1, -1
    return replace(parts.split, part=part, fold=fold)
