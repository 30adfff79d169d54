"""Rank: growing subsamples through fewer and fewer backbones, scored on their features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from autotl import hardware
from autotl.candidates import gather
from autotl.errors import AutotlError
from autotl.options import END_SECONDS
from autotl.ranking import history
from autotl.ranking import screening as ranking_screening
from autotl.ranking.learning_curve import grow
from autotl.records import BackboneSpec, Candidate, Growth, Kind, Score, Skipped, Trial, fact
from autotl.stages.context import Job
from autotl.stats.folds import folds_for

SCREEN_SHARE = 0.3
SCORED = 5000  # images that scores are computed on, at most: neighbours cost the square of them
SCORED_A_SECOND = 50.0  # of the budget, at most likewise
GROWN = 3  # arms whose learning curve is drawn
GROWTH_SHARE = 0.01  # of the budget, after which no further curve is begun
GROWTH_LEAST = 20.0  # seconds left, below which there are better uses for one
PATIENCE = 0.05  # of the budget, for the next download when there is nothing else to screen


def screen(job: Job) -> None:
    """Embeds growing subsamples with fewer and fewer backbones, and ranks what it saw."""
    job.journal.say("rank", "embedding subsamples")
    rows = job.rows(0)
    scores = list(job.plugins.scores().values())
    if not job.specs:
        _arrived(job, patience=job.budget.left)
    if not job.specs:
        job.skipped += job.arrivals.close()
        raise AutotlError(job.why_nothing())
    sizes = {name: gather.sizes(spec, job.profile.side) for name, spec in job.specs.items()}
    specs = list(job.specs.values())
    past = history.evidence(job.past, specs, {spec.name: ranking_screening.prior(spec) for spec in specs})
    screening = ranking_screening.Screening(specs, sizes, len(rows), len(job.data.classes), past)
    seconds = SCREEN_SHARE * max(0.0, job.budget.left - END_SECONDS)
    notes = [f"{len(job.past)} past runs told of {len(past)} of these backbones"] if past else []
    start = job.budget.spent
    ask: ranking_screening.Ask | None = screening.start()
    with job.ledger.charge("rank"):
        # A model that is there is not made late for backbones that nobody could train any more.
        while ask is not None and (not job.results or job.budget.left > END_SECONDS):
            had = len(job.results)
            notes += _embed(job, screening, ask, rows, scores, seconds)
            if len(job.results) > had:
                start = job.budget.spent  # the first model is not the screening's to pay for
            _join(job, screening)
            ask = screening.ask(seconds, job.budget.spent - start)
            if ask is None and _join(job, screening, patience=PATIENCE * job.options.budget):
                ask = screening.ask(seconds, job.budget.spent - start)
    job.skipped += job.arrivals.close()
    job.ranking = screening.ranking(tuple(dict.fromkeys(notes)))
    job.skipped += [
        Skipped(name=arm.backbone, reason=fact(Kind.UNUSABLE, message=arm.dead))
        for arm in screening.arms.values()
        if arm.dead and arm.input_size == job.specs[arm.backbone].input_size
    ]
    with job.ledger.charge("rank"):
        job.ranking = replace(job.ranking, growth=tuple(_grow(job, rows)))
    job.record()


def _grow(job: Job, rows: np.ndarray) -> Iterator[Growth]:
    """Learning curves of the first few arms whose features of all rows are at hand, while that takes little."""
    end = job.budget.left - GROWTH_SHARE * job.options.budget
    known = [arm for arm in job.ranking.ranked if arm.rows == len(rows)]
    for arm in known[:GROWN]:
        if job.budget.left < end or job.budget.left < GROWTH_LEAST:
            return
        allowance = job.budget.allowance(reserve=END_SECONDS)
        try:
            embedding = job.engine.embed(job.specs[arm.backbone], arm.input_size, rows, allowance)
        except AutotlError:
            continue  # it had them a moment ago; nothing hangs on its curve
        with np.load(job.journal.folder / embedding.path, allow_pickle=False) as stored:
            have, features = stored["rows"], stored[f"g{embedding.groups - 1}"]
        labels = job.data.labels[have]
        group = None if job.data.group is None else job.data.group[have]
        with hardware.one_thread():
            grown = grow(arm.backbone, arm.input_size, features, labels, folds_for(labels, group))
        if grown is not None:
            yield grown


def _arrived(job: Job, patience: float = 0.0) -> list[BackboneSpec]:
    """Backbones whose weights have come; waits for one so long, but not beyond what downloads may take."""
    job.arrivals.wait(min(patience, job.arrivals.allowance.left))
    came = job.arrivals.take()
    job.specs |= {spec.name: spec for spec in came}
    for spec in came:
        job.journal.say("download", f"{spec.name} has arrived")
    return came


def _join(job: Job, screening: ranking_screening.Screening, patience: float = 0.0) -> bool:
    """Lets backbones whose weights have come take part; whether there were any."""
    came = _arrived(job, patience)
    for spec in came:
        screening.join(spec, gather.sizes(spec, job.profile.side))
    return bool(came)


def _embed(
    job: Job,
    screening: ranking_screening.Screening,
    ask: ranking_screening.Ask,
    rows: np.ndarray,
    scores: Sequence[Score],
    seconds: float,
) -> list[str]:
    spec = job.specs[ask.backbone]
    wanted = rows[: ask.rows]
    try:
        embedding = job.engine.embed(
            spec, ask.input_size, wanted, job.budget.allowance(max(seconds, 5.0), reserve=END_SECONDS)
        )
    except AutotlError as error:
        screening.fail(ask, str(error))
        job.journal.say("rank", f"{spec.name}: {error}")
        return []
    with np.load(job.journal.folder / embedding.path, allow_pickle=False) as stored:
        have = stored["rows"]
        features = stored[f"g{embedding.groups - 1}"]
        logits = stored.get("logits")
    if len(have) < min(len(wanted), 2 * len(job.data.classes)):
        screening.tell(ask, 0, {}, None)
        return []
    screening.tell(ask, len(have), {}, embedding.seconds_per_image or None)
    if not job.results and screening.stands_in_for_floor(ask):
        _floor(job, ask)  # before the scores: a model comes first
    # The order is stratified, so its beginning stands for all.
    most = min(SCORED, int(SCORED_A_SECOND * job.options.budget))
    have, features = have[:most], features[:most]
    logits = None if logits is None else logits[:most]
    labels = job.data.labels[have]
    group = None if job.data.group is None else job.data.group[have]
    values, notes = ranking_screening.score_features(
        scores, features, labels, folds_for(labels, group), logits, job.plugins.compute
    )
    screening.tell(ask, embedding.rows, values, embedding.seconds_per_image or None)
    job.journal.say(
        "rank",
        f"{len(have)} images" + "".join(f", {name} {value:.3f}" for name, value in sorted(values.items())),
        candidate=f"{ask.backbone}@{ask.input_size}",
        score=values.get("linear"),
    )
    return notes


def _floor(job: Job, ask: ranking_screening.Ask) -> None:
    """A model early: a linear probe (or another closed-form head) on the cheapest backbone."""
    closed = [s for s in job.strategies.values() if s.head and not s.phases]
    if not closed:
        return
    candidate = Candidate(backbone=ask.backbone, input_size=ask.input_size, strategy=closed[0].name)
    job.attempt(Trial(id="t000", candidate=candidate, seed=job.options.seed, keep_model=True), END_SECONDS)
