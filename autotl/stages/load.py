"""Load, split, profile and candidates: everything before the first forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np

from autotl import __version__
from autotl.budget import Allowance
from autotl.candidates import gather
from autotl.data import image_store
from autotl.data import profile as data_profile
from autotl.data import split as data_split
from autotl.options import END_SECONDS, goal_of, settings_of
from autotl.records import PARTS, BackboneSpec, Dataset, Finding, Split, result
from autotl.run_folder import manifest, resume
from autotl.stages.context import Job
from autotl.weights import downloads, hub

DECODE_SHARE = 0.2  # of the budget, at most
IMBALANCED = 10.0


def prepare(job: Job, data: Dataset) -> None:
    """Everything before the first forward pass."""
    options, journal = job.options, job.journal
    journal.say("load", f"{len(data.files):,} images in {len(data.classes)} classes")
    split = data_split.split(data, test_size=options.test_size, seed=options.seed)
    if job.earlier is not None:
        job.earlier, split = resume.place(job.earlier, data, split)
    with job.ledger.charge("decode"):
        decoded = _decode(job, data, split)
    data, split = _without(data, split, decoded.errors, decoded.present)
    with job.ledger.charge("profile"):
        profile = data_profile.profile(data, decoded.statistics, decoded.thumbnails)
    metric = options.metric or ("balanced_accuracy" if profile.imbalance > IMBALANCED else "accuracy")
    if options.metric is None and metric != "accuracy":
        job.notes.append(
            f"classes are {profile.imbalance:.0f}:1 imbalanced, so candidates are judged by balanced accuracy"
        )
    job.data, job.split, job.profile = data, split, profile
    job.goal, settings = goal_of(options, metric), settings_of(options)
    tried = dict.fromkeys(r.trial.candidate.backbone for r in job.earlier.probes) if job.earlier else ()
    found = gather.gather(
        job.plugins, profile, settings, job.goal, options.strategies, (*options.more, *tried)
    )
    job.specs = {spec.name: spec for spec in found.backbones}
    _send_for(job, [spec for spec in found.backbones if hub.away(spec)], settings.offline)
    job.strategies = {strategy.name: strategy for strategy in found.strategies}
    job.skipped += found.skipped
    job.unread = decoded.errors
    journal.state = result.Recommendation(
        command=options.command,
        options={key: value for key, value in asdict(options).items() if value not in (None, (), "")},
        seed=options.seed,
        data=result.Data(source=data.source, fingerprint=data.fingerprint, classes=data.classes, counts={}),
        profile=profile,
        goal=job.goal,
        metric=metric,
        backbones=found.backbones,
        strategies=found.strategies,
    )
    counts = hand_over(job)
    if job.earlier is not None:
        _take_over(job, job.earlier, counts)
    job.record()
    journal.say("split", split.reason)
    journal.say("candidates", f"{len(job.specs)} backbones, {len(job.strategies)} strategies")
    with job.ledger.charge("start"):
        facts = job.engine.started(job.budget.allowance(reserve=END_SECONDS))
    journal.write(device=facts.device, precision=facts.precision, versions=_versions(facts.versions))
    journal.say("start", f"on {facts.device}, {facts.precision}")


def hand_over(job: Job) -> dict[str, int]:
    """Tells the engine and the folder which rows are in which part; how many there are of each."""
    data, split, journal = job.data, job.split, job.journal
    assert journal.state is not None
    manifest.write(journal.folder / "manifest.csv", data, split, job.unread)
    job.engine.open(
        journal.folder / ".pixels",
        labels=data.labels,
        classes=data.classes,
        part=split.part,
        fold=split.fold,
        order=split.order,
        folds=split.folds,
        metric=job.goal.metric,
        groups=data.group,
        digests=None if data.digests is None else data.digests.tolist(),
    )
    counts: dict[str, int] = {name: int((split.part == code).sum()) for code, name in enumerate(PARTS)}
    told = replace(
        journal.state.data,
        counts={**counts, "left out": len(data.left_out) + int((split.part < 0).sum())},
        grouped=split.grouped,
        folds=split.folds,
        select_from=split.select_from,
        test_from=split.test_from,
        split=split.reason,
        findings=(*data.findings, *split.findings),
    )
    journal.state = replace(journal.state, data=told)
    return counts


def _send_for(job: Job, specs: Sequence[BackboneSpec], offline: bool) -> None:
    """Weights that are not here are fetched in the background, and join when they have come."""
    if offline or not specs:
        return  # offline, the engine says of each what is missing
    seconds = max(0.0, downloads.SHARE * job.options.budget - job.budget.spent)
    right = Allowance(deadline=job.budget.clock() + seconds, clock=job.budget.clock)
    job.arrivals = downloads.Arrivals(wanted=specs, allowance=right, fetch=job.fetch)
    for spec in specs:
        del job.specs[spec.name]
    names = ", ".join(spec.name for spec in specs)
    job.journal.say(
        "download",
        f"{downloads.megabytes(specs):.0f} MB in the background, {seconds:.0f} s at most: {names}",
    )


def _take_over(job: Job, earlier: resume.Earlier, counts: dict[str, int]) -> None:
    """The trials of the run that is continued stand as if they had been made now."""
    before = earlier.state
    job.results += [job.scored(done) for done in earlier.probes]
    job.fits += earlier.fits
    job.same_data = all(before.data.counts.get(part) == count for part, count in counts.items())
    if job.same_data:  # else they are made anew
        job.controls += [job.scored(done) for done in earlier.controls]
    best = job.best()
    job.journal.best = best.score_val if best else None
    job.notes.append(
        f"continued after {job.journal.before:.0f} s with {len(job.results)} trials, for another"
        f" {job.options.budget:.0f} s"
    )
    job.journal.write(winner=before.winner)


def _decode(job: Job, data: Dataset, split: Split) -> image_store.Decoded:
    largest = 256
    side = image_store.choose_side(len(data.files), largest)
    order = np.concatenate(
        [split.order[split.part[split.order] != 2], split.order[split.part[split.order] == 2]]
    )
    allowance = job.budget.allowance(max(5.0, DECODE_SHARE * job.options.budget))
    return image_store.decode(
        list(data.files), job.journal.folder / ".pixels", side=side, allowance=allowance, order=order
    )


def _without(
    data: Dataset, split: Split, errors: dict[int, str], present: np.ndarray
) -> tuple[Dataset, Split]:
    """Rows that could not be decoded, or not in time, take no part; they stay rows of the manifest."""
    if present.all():
        return data, split
    part, fold = split.part.copy(), split.fold.copy()
    part[~present] = -1
    fold[~present] = -1
    late = int((~present).sum()) - len(errors)
    findings = list(data.findings)
    if errors:
        names = tuple(str(data.names[row]) for row in list(errors)[:20])
        findings.append(
            Finding(
                kind="broken",
                what=f"{len(errors)} images could not be decoded",
                count=len(errors),
                where=names,
                action="left out",
            )
        )
    if late:
        findings.append(
            Finding(
                kind="no_time",
                what=f"{late:,} images were not read in the time there is; the others are a stratified sample",
                count=late,
                action="left out",
            )
        )
    return replace(data, findings=tuple(findings)), replace(split, part=part, fold=fold)


def _versions(worker: dict[str, str]) -> dict[str, str]:
    return {"autotl": __version__, **worker}
