"""Rank: fewer and fewer backbones embed more and more images, and are scored on their features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

import numpy as np

from autotl import hardware
from autotl.builtin import heads
from autotl.candidates import gather
from autotl.errors import AutotlError, SlotLost
from autotl.protocols import Slot
from autotl.ranking import history, screening
from autotl.ranking.learning_curve import learning_curve
from autotl.records import (
    BackboneSpec,
    Candidate,
    DepthProfile,
    Embedding,
    Kind,
    LearningCurve,
    Ranking,
    Skipped,
    Trial,
    TrialResult,
    fact,
)
from autotl.report.wording import ranking as wording
from autotl.stages import trials
from autotl.stages.context import RunContext
from autotl.stages.scoring import LINEAR, scoring, stored
from autotl.stages.setup import Setup
from autotl.stats.folds import folds_for

CURVES = 3  # backbones whose learning curve is drawn
CURVES_LEAST = 20.0  # seconds left, below which there are better uses for one


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RankResult:
    """The order before any training, and the first model."""

    ranking: Ranking
    backbones: Mapping[str, BackboneSpec] = field(default_factory=dict)  # with those that were downloaded
    probes: tuple[TrialResult, ...] = ()  # the first model, and those of a run that is continued
    skipped: tuple[Skipped, ...] = ()
    depth_profiles: tuple[DepthProfile, ...] = ()


def rank(context: RunContext, setup: Setup) -> RankResult:
    """Return the ranking of the backbones. The first trial is made as soon as one backbone has been embedded.

    Raises `AutotlError` when no backbone can be had.
    """
    ranker = _Ranker(context, setup)
    context.journal.event("rank", fact(Kind.RANKING))
    with context.ledger.charge("rank"):
        ranker.screen()
    ranking = ranker.ranking()
    with context.ledger.charge("rank"):
        curves = tuple(_learning_curves(context, setup, ranker.backbones, ranking))
    result = RankResult(
        ranking=replace(ranking, curves=curves),
        backbones=ranker.backbones,
        probes=tuple(ranker.probes),
        skipped=(*setup.downloads.close(), *ranker.failed()),
    )
    context.journal.record(ranking=result.ranking, skipped=(*setup.skipped, *result.skipped))
    return result


class _Ranker:
    """The screening, driven: what it asks for is embedded and scored until its time is used up."""

    def __init__(self, context: RunContext, setup: Setup) -> None:
        self.context, self.setup = context, setup
        self.backbones = dict(setup.backbones)
        self.probes: list[TrialResult] = list(setup.probes)
        self.rows = setup.parts.rows(0)
        self.scoring = scoring(context, setup)
        self.notes = self.scoring.notes
        target = setup.columns.target
        self.past = context.history if target == "multiclass" else ()  # accuracies, which others are none of
        if context.history and not self.past:
            self.notes.append(fact(Kind.NOT_FOR_TARGET, what="history", target=target))
        self.begun = 0.0  # when the ranking's seconds began to count
        self.lost: list[screening.Ask] = []  # to be asked for again
        self.retried: list[screening.Ask] = []
        if not self.backbones:
            self._arrived(patience=context.budget.left)
        if not self.backbones:
            skipped = (*setup.skipped, *setup.downloads.close())
            raise trials.nothing_finished(context, skipped, self.probes)
        specs = list(self.backbones.values())
        self.screening = screening.Screening(
            specs,
            {spec.name: gather.sizes(spec, setup.profile.side) for spec in specs},
            len(self.rows),
            len(setup.columns.classes),
            self._evidence(specs),
            history.usual_weights(self.past, self._guests()),
        )

    def screen(self) -> None:
        """Embed and score what the screening asks for, within the seconds that the plan gives the ranking."""
        budget, plan, engine = self.context.budget, self.context.plan, self.context.engine
        self.begun = budget.spent
        end = plan.end * self.setup.slowness if self.setup.closed_form else plan.first_training
        ask: screening.Ask | None = self.screening.start(hurried=self.setup.hurried)
        running: dict[Future[Embedding], tuple[Slot, screening.Ask]] = {}
        while True:
            # No model is delayed for backbones that there would be no time to train.
            while ask is not None and (self._needs_features() or budget.left > end):
                slot = self._free(running)
                if slot is None:
                    break
                running[self._embed(slot, ask)] = slot, ask
                ask = self._next_ask() if self._free(running) else None
            if not running:
                return
            for future in sorted(engine.wait(running), key=lambda future: running[future][1].backbone):
                _, asked = running.pop(future)
                self._take(asked, future)
            self._join()
            ask = ask or (self.lost.pop(0) if self.lost else self._next_ask())
            if ask is None and not running and self._join(patience=plan.next_download):
                ask = self._next_ask()

    def _free(self, running: Mapping[Future[Embedding], tuple[Slot, screening.Ask]]) -> Slot | None:
        """Return a slot that does nothing, of the first one's kind: seconds of others cannot be compared."""
        slots = self.context.engine.slots
        busy = {id(slot) for slot, _ in running.values()}
        return next((slot for slot in slots if slot.kind == slots[0].kind and id(slot) not in busy), None)

    def _next_ask(self) -> screening.Ask | None:
        return self.screening.ask(self.context.plan.rank, self.context.budget.spent - self.begun)

    def _embed(self, slot: Slot, ask: screening.Ask) -> Future[Embedding]:
        context = self.context
        reserve = -context.plan.late if self.setup.hurried else context.plan.report
        if self.probes:
            reserve = context.plan.end * self.setup.slowness
        allowance = context.budget.allowance(context.plan.embedding, reserve=reserve)
        return slot.embedding(self.backbones[ask.backbone], ask.input_size, self.rows[: ask.rows], allowance)

    def _take(self, ask: screening.Ask, future: Future[Embedding]) -> None:
        """Score an embedding; one whose slot was lost is asked for once more."""
        before = len(self.probes)
        try:
            embedding = future.result()
        except SlotLost as error:
            if ask in self.retried:
                self._fail(ask, str(error))
            else:
                self.retried.append(ask)
                self.lost.append(ask)
        except AutotlError as error:
            self._fail(ask, str(error))
        else:
            self._score(ask, embedding)
        if len(self.probes) > before:
            self.begun = self.context.budget.spent  # the seconds of the first model are not the ranking's

    def _fail(self, ask: screening.Ask, error: str) -> None:
        self.screening.fail(ask, error)
        self.context.plugins.blame("register_backbones", ask.backbone, error)
        self.context.journal.event("rank", fact(Kind.EMBEDDING_FAILED, error=error), candidate=ask.backbone)

    def _needs_features(self) -> bool:
        """Return whether nothing has been embedded yet, or the first model waits for features."""
        waits = bool(self.setup.closed_form) and not self.probes
        return waits or not any(entry.rows for entry in self.screening.entries.values())

    def ranking(self) -> Ranking:
        """Return the ranking as it stands."""
        return self.screening.ranking(
            [note for place, note in enumerate(self.notes) if note not in self.notes[:place]]
        )

    def failed(self) -> list[Skipped]:
        """Return a row for each backbone that could not be embedded."""
        return [
            Skipped(name=entry.backbone, reason=entry.failure)
            for entry in self.screening.entries.values()
            if entry.failure is not None and entry.input_size == self.backbones[entry.backbone].input_size
        ]

    def _evidence(self, specs: Sequence[BackboneSpec]) -> Mapping[str, float]:
        """Return what past runs add to the prior of each backbone."""
        past = self.past
        evidence = history.evidence(past, specs, {spec.name: screening.prior(spec) for spec in specs})
        if past:
            self.notes.append(fact(Kind.PAST_RUNS, runs=len(past), backbones=len(evidence)))
        return evidence

    def _guests(self) -> dict[str, float]:
        """Return the weight that each score of a plugin states."""
        plugins = self.context.plugins
        return {s.name: s.weight for s in self.scoring.scores if plugins.is_guests("register_scores", s.name)}

    def _arrived(self, patience: float = 0.0) -> list[BackboneSpec]:
        """Return the backbones whose weights came; wait `patience` seconds for one, within what downloads may take."""
        downloads = self.setup.downloads
        downloads.wait(min(patience, downloads.allowance.left))
        specs = [self.setup.shaped(spec) for spec in downloads.take()]
        for spec in specs:
            self.backbones[spec.name] = spec
            self.context.journal.event("download", fact(Kind.DOWNLOADED, backbone=spec.name))
        return specs

    def _join(self, patience: float = 0.0) -> bool:
        """Add backbones whose weights came to the screening; return whether there were any."""
        specs = self._arrived(patience)
        for spec in specs:
            self.screening.join(spec, gather.sizes(spec, self.setup.profile.side))
        return bool(specs)

    def _score(self, ask: screening.Ask, embedding: Embedding) -> None:
        context, columns = self.context, self.setup.columns
        rows = self.rows[: ask.rows]
        stored_rows, features, logits = stored(context, embedding)
        self._compare_width(ask.backbone, features.shape[1])
        if len(stored_rows) < min(len(rows), 2 * len(columns.classes)):
            self.screening.update(ask, 0, {}, None)
            return
        seconds = embedding.seconds_per_image or None
        self.screening.update(ask, len(stored_rows), {}, seconds)
        if not self.probes and self.screening.stands_in_for_floor(ask):
            self._first_model(ask)  # before the scores: a model comes first
        judged, values = self.scoring.on(embedding, stored_rows, features, logits)
        self.screening.update(ask, embedding.rows, values, seconds, judged)
        if ask.rows == len(self.rows) and self.screening.stands_in_for_floor(ask):
            self._learn_gain(embedding, stored_rows, features, values.get(LINEAR), judged)
        context.journal.event(
            "rank",
            fact(Kind.SCORED, images=judged, ranking_scores=dict(sorted(values.items()))),
            candidate=f"{ask.backbone}@{ask.input_size}",
        )

    def _learn_gain(
        self,
        embedding: Embedding,
        rows: np.ndarray,
        features: np.ndarray,
        accuracy: float | None,
        judged: int,
    ) -> None:
        """Learn from the first backbone, of which all images are read, what more images than the first few are worth."""
        few = self.screening.first
        if accuracy is None or judged < 2 * few:
            return
        _, values = self.scoring.on(embedding, rows[:few], features[:few], None, only=LINEAR)
        if LINEAR in values:
            self.screening.learn_gain(values[LINEAR], few, accuracy, judged)

    def _compare_width(self, backbone: str, width: int) -> None:
        declared = self.backbones[backbone].feature_dim
        if declared not in {None, width}:
            problem = wording.wrong_width(backbone, declared, width)
            self.context.plugins.blame("register_backbones", backbone, problem)

    def _first_model(self, ask: screening.Ask) -> None:
        """Fit a closed-form head on the cheapest backbone; one that is fitted fast where the run is hurried."""
        fitting = [strategy for strategy in self.setup.closed_form if strategy.takes(ask.backbone)]
        if not fitting:
            return
        context, hurried, strategy = self.context, self.setup.hurried, fitting[0]
        candidate = Candidate(backbone=ask.backbone, input_size=ask.input_size, strategy=strategy.name)
        rows = ask.rows if hurried and ask.rows < len(self.rows) else None
        trial = Trial(id="t000", candidate=candidate, rows=rows, seed=context.options.seed, keep_model=True)
        setup = replace(self.setup, backbones=self.backbones)
        if hurried:
            quick = replace(strategy, head=heads.FAST.get(str(strategy.head), strategy.head))
            setup = replace(setup, strategies={**setup.strategies, strategy.name: quick})
        reserve = -context.plan.late if hurried else context.plan.report
        result = trials.run(context, setup, Ranking(ranked=()), trial, self.probes, reserve)
        self.probes.append(result)


def _learning_curves(
    context: RunContext, setup: Setup, backbones: Mapping[str, BackboneSpec], ranking: Ranking
) -> Iterator[LearningCurve]:
    """Yield the learning curves of the first few backbones whose features of all rows are at hand."""
    budget, plan, columns = context.budget, context.plan, setup.columns
    if columns.target == "multilabel":
        context.journal.note(fact(Kind.NOT_FOR_TARGET, what="learning_curve", target=columns.target))
        return
    rows = setup.parts.rows(0)
    end = budget.left - plan.learning_curves
    embedded = [entry for entry in ranking.ranked if entry.embedded == len(rows)]
    for entry in embedded[:CURVES]:
        if budget.left < max(end, CURVES_LEAST):
            return
        allowance = budget.allowance(reserve=plan.report)
        try:
            embedding = context.engine.embed(backbones[entry.backbone], entry.input_size, rows, allowance)
        except AutotlError:
            continue  # the features were there a moment ago, and nothing depends on the curve
        stored_rows, features, _ = stored(context, embedding)
        labels = columns.labels[stored_rows]
        group = None if columns.group is None else columns.group[stored_rows]
        with hardware.one_thread():
            curve = learning_curve(
                entry.backbone, entry.input_size, features, labels, folds_for(labels, group)
            )
        if curve is not None:
            yield curve
