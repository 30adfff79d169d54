"""More images than the budget can hold: a stratified sample of them goes on, and the run says so."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from autotl.errors import AutotlError
from autotl.options import END_SECONDS
from autotl.records import Finding, Kind, Split
from autotl.report import wording
from autotl.stages.context import Job
from autotl.stages.load import hand_over
from autotl.stats.folds import stratified_order

# One pass of all images through the cheapest backbone may take this share of the budget: the least that
# a candidate needs. What does not fit there fits nowhere.
SHARE = 0.2
ALWAYS = 500  # images that are never too many
LEAST = 100  # of a part that are kept, if it has so many
PACED = 64  # images whose embedding tells the pace; the last ones, which are the least likely to be cached


def thin(job: Job) -> None:
    """Leaves out rows, of every class in proportion, until a pass over the rest fits."""
    parts = [job.rows(code) for code in range(3)]
    images = sum(map(len, parts))
    if images <= ALWAYS:
        return
    pace = _pace(job, parts[0][-PACED:])
    able = int(SHARE * job.options.budget / pace) if pace > 0 else images
    if able >= images:
        return
    split = _cut(job, parts, able / images)
    left = int((job.split.part >= 0).sum() - (split.part >= 0).sum())
    if not left:
        return
    job.split = split
    finding = Finding(
        kind=Kind.NO_TIME,
        values={"images": images, "seconds_per_image": round(pace, 6)},
        count=left,
        action="left_out",
    )
    said = wording.sentence(finding)
    job.data = replace(job.data, findings=(*job.data.findings, finding))
    job.notes.append(said)
    hand_over(job)
    job.record()
    job.journal.say("sample", said)


def _pace(job: Job, rows: np.ndarray) -> float:
    """Seconds an image of the cheapest backbone that can be had; 0 where none says it."""
    for spec in sorted(job.specs.values(), key=lambda s: (s.macs or (s.parameters or 5e6) * 100.0, s.name)):
        try:
            found = job.engine.embed(spec, spec.input_size, rows, job.budget.allowance(reserve=END_SECONDS))
        except AutotlError:
            continue  # the ranking asks again, and says why
        return found.seconds_per_image
    return 0.0


def _cut(job: Job, parts: list[np.ndarray], share: float) -> Split:
    """The split with this share of each part. What a continued run was judged on stays."""
    part, fold = job.split.part.copy(), job.split.fold.copy()
    for code, rows in enumerate(parts):
        if job.earlier is not None and code > 0:
            continue
        keep = max(math.ceil(share * len(rows)), min(LEAST, len(rows)))
        by_class = stratified_order(job.data.labels[rows], np.random.default_rng(job.options.seed))
        out = rows[by_class[keep:]]
        part[out], fold[out] = -1, -1
    return replace(job.split, part=part, fold=fold)
