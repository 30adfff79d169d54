"""recommend(): the stages in order.

load → profile → split → candidates → rank → search → decide → train → report. Each stage is one
function from records to a record; what is here is only their order, the clock and the run folder.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from autotl import (
    __version__,
    arrivals,
    calibration,
    card,
    controls,
    familiar,
    hub,
    leaderboard,
    manifest,
    pixels,
    rank,
    report,
    result,
    resume,
    search,
    similarity,
    verdict,
)
from autotl import candidates as candidates_stage
from autotl import dataset as dataset_stage
from autotl import profile as profile_stage
from autotl import split as split_stage
from autotl.budget import Allowance, Budget, Clock, Ledger
from autotl.cache import atomic, atomic_write, cache_folder
from autotl.decide import over_limit
from autotl.engine import processor
from autotl.errors import AutotlError, BudgetError, RunError
from autotl.folds import folds_for
from autotl.plugins import Plugins, load_plugins
from autotl.protocols import Engine, Planner
from autotl.records import (
    BackboneSpec,
    Candidate,
    Cost,
    Dataset,
    Event,
    Finding,
    Goal,
    Interval,
    Metric,
    Prefer,
    Profile,
    Ranked,
    Ranking,
    Score,
    Settings,
    Similarity,
    Skipped,
    Split,
    Strategy,
    Trial,
    TrialResult,
)

# A packaged forecast of what a run cannot do without, in seconds: enough to refuse a budget before
# torch starts. Start of the worker, reading and one embedding of an image, and the end of a run.
START_SECONDS = 8.0
IMAGE_SECONDS = 0.004
FEWEST_IMAGES = 200  # below a budget for all images, this many make the least run
END_SECONDS = 3.0  # report and last writes, reserved before the first probe

DECODE_SHARE = 0.2  # of the budget, at most
SCREEN_SHARE = 0.3
TIMED = 3  # backbones whose training is timed before the search
TIMING_SHARE = 0.04  # of the budget, at most, for that
LOOKED_AT = 5.0  # images a second of budget, at most, that the similarity is measured on
LOOKING_SHARE = 0.05  # of the budget, at most, for that
FAMILIAR_SHARE = 0.02  # for learning what is far from the training images
IMBALANCED = 10.0
PATIENCE = 0.05  # of the budget, for the next download when there is nothing else to screen
NONE = Allowance(deadline=0.0)
CLEARLY_SLOWER = (
    1.2  # than the latency allowed: the pace of embedding is near that of predicting, not the same
)
ENOUGH = 0.6  # of the planned epochs: a final fit that made fewer is no better than the probe's own model


@dataclass(frozen=True, kw_only=True)
class Options:
    """Everything a run was asked for."""

    source: str
    budget: float = 600.0  # seconds
    out: str | None = None
    test: str | None = None
    test_size: float | None = None
    weights: tuple[str, ...] = ()
    backbones: tuple[str, ...] = ()
    more: tuple[str, ...] = ()  # backbones besides those, or besides the usual ones
    strategies: tuple[str, ...] = ()
    group: str | None = None
    label: str | None = None
    metric: Metric | None = None
    prefer: Prefer = "accuracy"
    max_params: int | None = None
    max_latency: float | None = None  # seconds an image
    max_memory: int | None = None  # bytes
    licence: tuple[str, ...] = ()
    device: str = "auto"
    precision: str = "auto"
    seed: int = 0
    offline: bool = False
    refit: bool = False
    command: str = ""


@dataclass(slots=True)
class Journal:
    """The run folder as it is being written: events, trials, result.json."""

    folder: Path
    budget: Budget
    plugins: Plugins
    observers: Sequence[Callable[[Event], None]]
    state: result.Recommendation | None = None
    best: float | None = None
    before: float = 0.0  # seconds of the run that is continued
    interval: Interval | None = None  # of the best, or what stands for it

    def say(
        self,
        stage: str,
        message: str,
        candidate: str | None = None,
        score: float | None = None,
        forecast: float | None = None,
    ) -> None:
        """An event: a line of events.jsonl, and a call to every observer."""
        memory = processor.held()
        event = Event(
            time=round(self.before + self.budget.spent, 3),
            stage=stage,
            message=message,
            candidate=candidate,
            score=score,
            best=self.best,
            left=round(self.budget.left, 1),
            low=None if self.interval is None else self.interval.low,
            high=None if self.interval is None else self.interval.high,
            forecast=None if forecast is None else round(forecast, 1),
            memory=memory,
            granted=memory + processor.memory(),
            folder=str(self.folder),
        )
        told = {key: value for key, value in asdict(event).items() if value is not None and key != "folder"}
        line = json.dumps(told)
        with open(self.folder / "events.jsonl", "a", encoding="utf-8") as file:
            file.write(line + "\n")
        for observer in self.observers:
            observer(event)
        self.plugins.notify(event)

    def write(self, **changes: object) -> result.Recommendation:
        """Changes the state and writes result.json."""
        assert self.state is not None
        self.state = replace(self.state, **changes)  # type: ignore[arg-type]
        result.write(self.state, self.folder)
        return self.state


def recommend(
    options: Options,
    *,
    observers: Sequence[Callable[[Event], None]] = (),
    started: float | None = None,
    clock: Clock = time.monotonic,
    connect: Callable[..., Engine] | None = None,
    fetch: Callable[..., Path] = hub.fetch,
    earlier: resume.Earlier | None = None,
    recipe: Trial | None = None,
) -> Path:
    """Runs the whole job and returns the run folder. With a `recipe` that is trained, and nothing is searched.

    `earlier` is a run to go on from: its trials are taken over and its folder is written on, for as long
    as `options.budget` says. `started` is when the command began, on `clock`; imports before this call
    then count in the budget.
    `connect` makes the engine (default: a worker process, `autotl.engine.client.connect`), `fetch` brings
    weights to this machine.
    Raises `DatasetError`, `BudgetError`, `UnknownNameError`, `RunError`, `EngineError`; on Ctrl-C writes
    what there is, with status "interrupted", and raises `KeyboardInterrupt` again.
    """
    budget = Budget(seconds=options.budget, start=clock() if started is None else started, clock=clock)
    ledger = Ledger(clock=clock)
    plugins = load_plugins()
    with ledger.charge("load"):
        data = dataset_stage.load(options.source, source_options(options), plugins)
    refuse_hopeless(options.budget, len(data.files))
    if connect is None:
        from autotl.engine import client

        connect = client.connect
    folder = _run_folder(options) if earlier is None else earlier.folder
    try:
        engine = connect(
            folder=folder,
            cache=cache_folder(),
            device=options.device,
            precision=options.precision,
            seed=options.seed,
            offline=options.offline,
        )
    except BaseException:
        if earlier is None:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    journal = Journal(folder=folder, budget=budget, plugins=plugins, observers=observers)
    if earlier is not None:
        journal.before = earlier.state.seconds.get("total", 0.0)
    run = Run(
        options=options,
        budget=budget,
        ledger=ledger,
        plugins=plugins,
        journal=journal,
        engine=engine,
        fetch=fetch,
        earlier=earlier,
    )
    try:
        run.prepare(data)
        if recipe is None:
            run.look()
            run.screen()
            run.search()
            run.control()
        else:
            run.repeat(recipe)
        run.finish("finished")
    except BaseException as error:
        budget.cancelled.set()
        engine.close()
        if isinstance(error, KeyboardInterrupt) or any(done.score_val is not None for done in run.results):
            run.finish("interrupted")  # with what was learnt
        elif earlier is None:
            shutil.rmtree(folder, ignore_errors=True)  # nothing was: leave no half-written folder
        raise
    finally:
        engine.close()
    return folder


@dataclass(slots=True, kw_only=True)
class Run:
    """What the stages of one run share."""

    options: Options
    budget: Budget
    ledger: Ledger
    plugins: Plugins
    journal: Journal
    engine: Engine
    data: Dataset = field(init=False)
    split: Split = field(init=False)
    profile: Profile = field(init=False)
    goal: Goal = field(init=False)
    specs: dict[str, BackboneSpec] = field(default_factory=dict)
    strategies: dict[str, Strategy] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    results: list[TrialResult] = field(default_factory=list)
    controls: list[TrialResult] = field(default_factory=list)
    ranking: Ranking = field(default_factory=lambda: Ranking(ranked=()))
    fetch: Callable[..., Path] = hub.fetch
    arrivals: arrivals.Arrivals = field(default_factory=lambda: arrivals.Arrivals(wanted=(), allowance=NONE))
    earlier: resume.Earlier | None = None  # the run that is continued
    fits: list[TrialResult] = field(default_factory=list)  # its models that were fitted to be shipped
    same_data: bool = True  # as when they were
    memory: dict[tuple[str, int], int] = field(default_factory=dict)  # bytes to predict, by backbone and size
    _named: int = 0  # how many of the plugins' problems were said
    searched: bool = True  # and not one recipe trained that was known

    # ------------------------------------------------------------------ load → profile → split → candidates

    def prepare(self, data: Dataset) -> None:
        """Everything before the first forward pass."""
        options, journal = self.options, self.journal
        journal.say("load", f"{len(data.files):,} images in {len(data.classes)} classes")
        split = split_stage.split(data, test_size=options.test_size, seed=options.seed)
        if self.earlier is not None:
            self.earlier, split = resume.place(self.earlier, data, split)
        with self.ledger.charge("decode"):
            decoded = self._decode(data, split)
        data, split = _without(data, split, decoded.errors, decoded.present)
        with self.ledger.charge("profile"):
            profile = profile_stage.profile(data, decoded.statistics, decoded.thumbnails)
        metric = options.metric or ("balanced_accuracy" if profile.imbalance > IMBALANCED else "accuracy")
        if options.metric is None and metric != "accuracy":
            self.notes.append(
                f"classes are {profile.imbalance:.0f}:1 imbalanced, so candidates are judged by balanced accuracy"
            )
        self.data, self.split, self.profile = data, split, profile
        self.goal = Goal(
            metric=metric,
            prefer=options.prefer,
            max_params=options.max_params,
            max_latency=options.max_latency,
            max_memory=options.max_memory,
            licence=options.licence,
        )
        settings = Settings(
            weights=options.weights,
            offline=options.offline or hub.told_offline(),
            device=options.device,
            licence=options.licence,
            seconds=options.budget,
            wanted=options.backbones,
        )
        tried = dict.fromkeys(r.trial.candidate.backbone for r in self.earlier.probes) if self.earlier else ()
        found = candidates_stage.gather(
            self.plugins, profile, settings, self.goal, options.strategies, (*options.more, *tried)
        )
        self.specs = {spec.name: spec for spec in found.backbones}
        self._send_for([spec for spec in found.backbones if arrivals.away(spec)], settings.offline)
        self.strategies = {strategy.name: strategy for strategy in found.strategies}
        self.skipped += [*found.skipped, *_unreadable(options.weights)]
        manifest.write(self.journal.folder / "manifest.csv", data, split, decoded.errors)
        self.engine.open(
            self.journal.folder / ".pixels",
            labels=data.labels,
            classes=data.classes,
            part=split.part,
            fold=split.fold,
            order=split.order,
            folds=split.folds,
            metric=metric,
            groups=data.group,
            digests=None if data.digests is None else data.digests.tolist(),
        )
        counts = {
            part: int((split.part == code).sum()) for code, part in enumerate(("train", "select", "test"))
        }
        journal.state = result.Recommendation(
            command=options.command,
            options={key: value for key, value in asdict(options).items() if value not in (None, (), "")},
            seed=options.seed,
            data=result.Data(
                source=data.source,
                fingerprint=data.fingerprint,
                classes=data.classes,
                counts={**counts, "left out": len(data.left_out) + int((split.part < 0).sum())},
                grouped=split.grouped,
                folds=split.folds,
                select_from=split.select_from,
                test_from=split.test_from,
                split=split.reason,
                findings=(*data.findings, *split.findings),
            ),
            profile=profile,
            goal=self.goal,
            metric=metric,
            backbones=found.backbones,
            strategies=found.strategies,
        )
        if self.earlier is not None:
            self._take_over(self.earlier, counts)
        self._record()
        journal.say("split", split.reason)
        journal.say("candidates", f"{len(self.specs)} backbones, {len(self.strategies)} strategies")
        with self.ledger.charge("start"):
            facts = self.engine.started(self.budget.allowance(reserve=END_SECONDS))
        journal.write(device=facts.device, precision=facts.precision, versions=_versions(facts.versions))
        journal.say("start", f"on {facts.device}, {facts.precision}")

    def _send_for(self, specs: Sequence[BackboneSpec], offline: bool) -> None:
        """Weights that are not here are fetched in the background, and join when they have come."""
        if offline or not specs:
            return  # offline, the engine says of each what is missing
        seconds = max(0.0, arrivals.SHARE * self.options.budget - self.budget.spent)
        right = Allowance(deadline=self.budget.clock() + seconds, clock=self.budget.clock)
        self.arrivals = arrivals.Arrivals(wanted=specs, allowance=right, fetch=self.fetch)
        for spec in specs:
            del self.specs[spec.name]
        names = ", ".join(spec.name for spec in specs)
        self.journal.say(
            "download",
            f"{arrivals.megabytes(specs):.0f} MB in the background, {seconds:.0f} s at most: {names}",
        )

    def _take_over(self, earlier: resume.Earlier, counts: dict[str, int]) -> None:
        """The trials of the run that is continued stand as if they had been made now."""
        before = earlier.state
        self.results += [self._scored(done) for done in earlier.probes]
        self.fits += earlier.fits
        self.same_data = all(before.data.counts.get(part) == count for part, count in counts.items())
        if self.same_data:  # else they are made anew
            self.controls += [self._scored(done) for done in earlier.controls]
        best = self._best()
        self.journal.best = best.score_val if best else None
        self.notes.append(
            f"continued after {self.journal.before:.0f} s with {len(self.results)} trials, for another"
            f" {self.options.budget:.0f} s"
        )
        self.journal.write(winner=before.winner, summary=before.summary)

    def _decode(self, data: Dataset, split: Split) -> pixels.Decoded:
        largest = 256
        side = pixels.choose_side(len(data.files), largest)
        order = np.concatenate(
            [split.order[split.part[split.order] != 2], split.order[split.part[split.order] == 2]]
        )
        allowance = self.budget.allowance(max(5.0, DECODE_SHARE * self.options.budget))
        return pixels.decode(
            list(data.files), self.journal.folder / ".pixels", side=side, allowance=allowance, order=order
        )

    # ------------------------------------------------------------------ similarity

    def look(self) -> None:
        """How far the images lie inside the source domains, by the reference backbone on a stratified sample."""
        assert self.journal.state is not None
        domains = {spec.domain for spec in self.journal.state.backbones}
        rows = self._rows(0)[: min(similarity.MOST_IMAGES, int(LOOKED_AT * self.options.budget))]
        offered = self.plugins.backbones(None, Settings(offline=True))
        found: list[Similarity] = []
        with self.ledger.charge("similarity"):
            for reference in similarity.references():
                spec = offered.get(f"autotl:{reference.backbone}")
                if spec is None or reference.domain not in domains:
                    continue
                allowance = self.budget.allowance(LOOKING_SHARE * self.options.budget, reserve=END_SECONDS)
                try:
                    embedding = self.engine.embed(spec, reference.input_size, rows, allowance)
                    with np.load(self.journal.folder / embedding.path, allow_pickle=False) as stored:
                        groups = [stored[f"g{depth}"] for depth in range(embedding.groups)]
                    found.append(similarity.similarity(groups, reference))
                except (AutotlError, ValueError) as error:
                    self.notes.append(f"similarity to {reference.domain} was not measured: {error}")
        self.profile = replace(self.profile, similarity=tuple(found))
        for near in found:
            self.journal.say("similarity", near.sentence)
        self.journal.write(profile=self.profile, similarity=self.profile.similarity)

    # ------------------------------------------------------------------ rank

    def screen(self) -> None:
        """Embeds growing subsamples with fewer and fewer backbones, and ranks what it saw."""
        self.journal.say("rank", "embedding subsamples")
        rows = self._rows(0)
        scores = list(self.plugins.scores().values())
        if not self.specs:
            self._arrived(patience=self.budget.left)
        if not self.specs:
            self.skipped += self.arrivals.close()
            raise AutotlError(self._why_nothing())
        sizes = {name: candidates_stage.sizes(spec, self.profile.side) for name, spec in self.specs.items()}
        screening = rank.Screening(list(self.specs.values()), sizes, len(rows), len(self.data.classes))
        seconds = SCREEN_SHARE * max(0.0, self.budget.left - END_SECONDS)
        notes: list[str] = []
        start = self.budget.spent
        ask: rank.Ask | None = screening.start()
        with self.ledger.charge("rank"):
            while ask is not None:
                notes += self._embed(screening, ask, rows, scores, seconds)
                if not self.results and screening.stands_in_for_floor(ask):
                    self._floor(ask)
                    start = self.budget.spent  # the first model is not the screening's to pay for
                self._join(screening)
                ask = screening.ask(seconds, self.budget.spent - start)
                if ask is None and self._join(screening, patience=PATIENCE * self.options.budget):
                    ask = screening.ask(seconds, self.budget.spent - start)
        self.skipped += self.arrivals.close()
        self.ranking = screening.ranking(tuple(dict.fromkeys(notes)))
        self.skipped += [
            Skipped(name=arm.backbone, reason=arm.dead)
            for arm in screening.arms.values()
            if arm.dead and arm.input_size == self.specs[arm.backbone].input_size
        ]
        self._record()

    def _arrived(self, patience: float = 0.0) -> list[BackboneSpec]:
        """Backbones whose weights have come; waits for one so long, but not beyond what downloads may take."""
        self.arrivals.wait(min(patience, self.arrivals.allowance.left))
        came = self.arrivals.take()
        self.specs |= {spec.name: spec for spec in came}
        for spec in came:
            self.journal.say("download", f"{spec.name} has arrived")
        return came

    def _join(self, screening: rank.Screening, patience: float = 0.0) -> bool:
        """Lets backbones whose weights have come take part; whether there were any."""
        came = self._arrived(patience)
        for spec in came:
            screening.join(spec, candidates_stage.sizes(spec, self.profile.side))
        return bool(came)

    def _embed(
        self,
        screening: rank.Screening,
        ask: rank.Ask,
        rows: np.ndarray,
        scores: Sequence[Score],
        seconds: float,
    ) -> list[str]:
        spec = self.specs[ask.backbone]
        wanted = rows[: ask.rows]
        try:
            embedding = self.engine.embed(
                spec, ask.input_size, wanted, self.budget.allowance(max(seconds, 5.0), reserve=END_SECONDS)
            )
        except AutotlError as error:
            screening.fail(ask, str(error))
            self.journal.say("rank", f"{spec.name}: {error}")
            return []
        with np.load(self.journal.folder / embedding.path, allow_pickle=False) as stored:
            have = stored["rows"]
            features = stored[f"g{embedding.groups - 1}"]
            logits = stored.get("logits")
        if len(have) < min(len(wanted), 2 * len(self.data.classes)):
            screening.tell(ask, 0, {}, None)
            return []
        labels = self.data.labels[have]
        group = None if self.data.group is None else self.data.group[have]
        values, notes = rank.score_features(
            scores, features, labels, folds_for(labels, group), logits, self.plugins.compute
        )
        screening.tell(ask, len(have), values, embedding.seconds_per_image or None)
        self.journal.say(
            "rank",
            f"{len(have)} images"
            + "".join(f", {name} {value:.3f}" for name, value in sorted(values.items())),
            candidate=f"{ask.backbone}@{ask.input_size}",
            score=values.get("linear"),
        )
        return notes

    def _floor(self, ask: rank.Ask) -> None:
        """A model early: a linear probe (or another closed-form head) on the cheapest backbone."""
        closed = [s for s in self.strategies.values() if s.head and not s.phases]
        if not closed:
            return
        candidate = Candidate(backbone=ask.backbone, input_size=ask.input_size, strategy=closed[0].name)
        self._try(Trial(id="t000", candidate=candidate, seed=self.options.seed, keep_model=True), END_SECONDS)

    # ------------------------------------------------------------------ a recipe that is known

    def repeat(self, recipe: Trial) -> None:
        """Trains one recipe to be judged, in no more than half of the time: the final fit is the longer one."""
        self.searched = False
        with self.ledger.charge("search"):
            self._try(recipe, END_SECONDS + 0.55 * max(0.0, self.budget.left - END_SECONDS))
        if self._best() is None:
            raise AutotlError(self._why_nothing())

    # ------------------------------------------------------------------ search

    def search(self) -> None:
        """Probes what the planner asks for, as long as the final fit still fits."""
        facts = search.Facts(
            rows=len(self._rows(0)),
            rows_final=len(self._rows(0)) + len(self._rows(1)),
            rows_select=len(verdict.selection(self.split.part, self.split.folds)),
            rows_test=len(self._rows(2)),
            folds=self.split.folds,
            refit=self.options.refit,
            seed=self.options.seed,
            timed=self._time(),
        )
        default = search.DefaultPlanner(
            ranked=self._quick_enough(self._with_earlier(self.ranking.ranked)),
            strategies=list(self.strategies.values()),
            facts=facts,
            counter=len(self.results) if self.earlier else 0,
        )
        planner: Planner = self.plugins.make_planner(
            self.profile, self.ranking, self.budget.left, strategies=self.strategies, otherwise=default
        )
        for done in self.results:
            planner.tell(done)
        self._final_seconds = default.final_seconds
        with self.ledger.charge("search"):
            kept = END_SECONDS + controls.SHARE * self.options.budget
            while (trial := planner.ask(max(0.0, self.budget.left - kept))) is not None:
                planner.tell(self._try(trial, kept + self._final_reserve(trial)))
        if default.stopped:
            self.notes.append(default.stopped)
        if not any(done.score_val is not None for done in self.results):
            raise AutotlError(self._why_nothing())

    def _time(self) -> dict[tuple[str, int], float]:
        """Seconds a training image of the first few backbones, three batches each: what training costs here."""
        tuned = [strategy for strategy in self.strategies.values() if strategy.phases]
        timed: dict[tuple[str, int], float] = {}
        latencies: dict[tuple[str, int], float] = {}
        if not tuned:
            return timed
        end = self.budget.left - TIMING_SHARE * self.options.budget
        with self.ledger.charge("timing"):
            for arm in self.ranking.ranked[:TIMED]:
                if self.budget.left < end:
                    continue
                candidate = Candidate(
                    backbone=arm.backbone,
                    input_size=arm.input_size,
                    strategy=tuned[0].name,
                    unfreeze="all",
                )
                allowance = self.budget.allowance(reserve=END_SECONDS)
                try:
                    found = self.engine.measure(candidate, self.specs[arm.backbone], tuned[0], allowance)
                except AutotlError as error:
                    self.notes.append(f"{candidate.backbone} was not timed: {error}")
                    continue
                timed[(arm.backbone, arm.input_size)] = found.seconds_per_image
                latencies[(arm.backbone, arm.input_size)] = found.latency
        # Where all features came from the cache, nothing had been timed before.
        ranked = tuple(
            arm
            if arm.seconds_per_image is not None
            else replace(arm, seconds_per_image=latencies.get((arm.backbone, arm.input_size)))
            for arm in self.ranking.ranked
        )
        self.ranking = replace(self.ranking, ranked=ranked)
        return timed

    def _with_earlier(self, ranked: Sequence[Ranked]) -> Sequence[Ranked]:
        """And what was tried before and is not ranked now, so that its trials can be looked up."""
        known = {(arm.backbone, arm.input_size) for arm in ranked}
        missing: dict[tuple[str, int], Ranked] = {}
        for done in self.results:
            key = (done.trial.candidate.backbone, done.trial.candidate.input_size)
            if key not in known:
                score = done.score_val or 0.0
                missing[key] = Ranked(
                    backbone=key[0], input_size=key[1], expected=score, seconds_per_image=done.latency
                )
        return (*ranked, *missing.values())

    def _quick_enough(self, ranked: Sequence[Ranked]) -> Sequence[Ranked]:
        """What is clearly slower than --max-latency is not tried; the fastest is, to say what there is."""
        limit = self.goal.max_latency
        if limit is None:
            return ranked
        slow = [a for a in ranked if (a.seconds_per_image or 0.0) > CLEARLY_SLOWER * limit]
        if len(slow) == len(ranked):
            slow.remove(min(slow, key=lambda a: a.seconds_per_image or 0.0))
        for arm in slow:
            pace = (arm.seconds_per_image or 0.0) * 1e3
            reason = f"{pace:.1f} ms an image, more than the {limit * 1e3:.1f} ms allowed"
            self.skipped.append(Skipped(name=f"{arm.backbone}@{arm.input_size}", reason=reason))
        # Without a pace and rows an arm is not asked for; trials made on it can still be looked up.
        return [replace(a, rows=0, seconds_per_image=None) if a in slow else a for a in ranked]

    def _why_nothing(self) -> str:
        reasons = dict.fromkeys(
            [f"{s.name}: {s.reason}" for s in self.skipped]
            + [f"{r.trial.candidate.id}: {r.error or r.note or r.status}" for r in self.results]
        )
        return (
            f"no candidate finished in {self.budget.spent:.0f} of {self.options.budget:.0f} s;"
            f" {'; '.join(list(reasons)[:5]) or 'there was no time for one'}; expected at least one: give more"
            " --budget or other --backbones"
        )

    _final_seconds: Callable[[Candidate, float], float] = field(default=lambda candidate, epochs: 5.0)

    def _final_reserve(self, trial: Trial) -> float:
        """Seconds the final fit needs, of the best so far or of the recipe that is about to be probed."""
        best = self._best()
        plans = [(trial.candidate, trial.epochs)]
        plans += [
            (done.trial.candidate, done.epochs_done)
            for done in self.results
            if best is not None and (done.score_val or 0.0) >= (best.score_val or 0.0) - search.CLOSE
        ]
        return max(self._final_seconds(candidate, epochs) for candidate, epochs in plans)

    def _best(self) -> TrialResult | None:
        scored = [r for r in self.results if r.score_val is not None and not over_limit(r, self.goal)]
        return max(scored, key=lambda r: r.score_val or 0.0) if scored else None

    def _try(self, trial: Trial, reserve: float) -> TrialResult:
        """Runs a probe, scores it, keeps its model if it is the best so far, and writes the result."""
        name = trial.candidate.id
        what = f"{trial.epochs:g} epochs" if trial.epochs else "closed form"
        self.journal.say("probe", f"{what} started", candidate=name, forecast=trial.forecast or None)
        done = self._scored(self._submit(trial, self.budget.allowance(reserve=reserve)))
        self.results.append(done)
        if self._best() is done:
            self.journal.best = done.score_val
            if done.model is not None:
                ship(self.journal.folder / done.model, self.journal.folder)
        self._record()
        said = f"{self.goal.metric} {done.score_val:.3f}" if done.score_val is not None else done.status
        self.journal.say("probe", said + (f" ({done.error})" if done.error else ""), name, done.score_val)
        return done

    def _scored(self, done: TrialResult) -> TrialResult:
        rows = verdict.selection(self.split.part, self.split.folds)
        return verdict.score_trial(
            self._weighed(done),
            self.journal.folder,
            rows,
            self.data.labels,
            len(self.data.classes),
            self.goal,
        )

    def _weighed(self, done: TrialResult) -> TrialResult:
        """With the memory that predicting takes, where a limit asks for it; measured once for each input size."""
        if self.goal.max_memory is None or done.predictions is None or done.trial.control:
            return done
        candidate = done.trial.candidate
        spec, strategy = self.specs[candidate.backbone], self.strategies[candidate.strategy]
        key = (candidate.backbone, candidate.input_size)
        if key not in self.memory:
            allowance = self.budget.allowance(reserve=END_SECONDS)
            try:
                self.memory[key] = self.engine.measure(candidate, spec, strategy, allowance).bytes
            except AutotlError as error:
                return replace(done, note=f"its memory could not be measured: {error}")
        return replace(done, memory=self.memory[key])

    def _submit(self, trial: Trial, allowance: Allowance) -> TrialResult:
        spec = self.specs[trial.candidate.backbone]
        future = self.engine.submit(trial, spec, self.strategies[trial.candidate.strategy], allowance)
        return future.result()

    # ------------------------------------------------------------------ controls

    def control(self) -> None:
        """Holds the best against no pretraining, no network and shuffled labels, in what time can be spared."""
        winner = self._judge().decision.winner
        if winner is None:
            return
        best = search.summary(self.results)[winner]
        spare = self.budget.left - END_SECONDS - self._final_seconds(best.trial.candidate, best.epochs_done)
        end = self.budget.left - min(controls.SHARE * self.options.budget, spare)
        if self.budget.left <= end:
            self.notes.append(
                "the controls (no pretraining, pixels alone, shuffled labels) gave way: no time left"
            )
            return
        with self.ledger.charge("controls"):
            shuffled = controls.shuffled(
                self.ranking.ranked, list(self.strategies.values()), len(self._rows(0)), self.options.seed
            )
            known = {done.trial.control: done.trial.candidate for done in self.controls}
            if shuffled is not None and "shuffled" not in known:
                self._control(shuffled, self.specs[shuffled.candidate.backbone], None, end)
            if "pixels" not in known and self.budget.left - end > controls.FOREST_SECONDS:
                self._forest()
            candidate = best.trial.candidate
            spec = self.specs[candidate.backbone]
            if self.budget.left - end < controls.LEAST_SECONDS or spec.init == "random":
                self.notes.append(
                    "whether pretraining helps was not measured: no time for a training from scratch"
                )
            else:
                # The smallest input: the most steps in the seconds there are.
                size = candidates_stage.sizes(spec, self.profile.side)[-1]
                trial, fresh = controls.scratch(
                    best, spec, min(size, candidate.input_size), self.options.seed
                )
                if trial.candidate != known.get("scratch"):
                    self._control(trial, fresh, controls.SCRATCH, end)
        self._record()

    def _control(self, trial: Trial, spec: BackboneSpec, strategy: Strategy | None, end: float) -> None:
        self.journal.say("control", verdict.CONTROLS[trial.control], candidate=trial.candidate.id)
        strategy = strategy or self.strategies[trial.candidate.strategy]
        future = self.engine.submit(trial, spec, strategy, self.budget.allowance(reserve=end))
        self._keep_control(future.result())

    def _forest(self) -> None:
        """The control without a network: its predictions are made here, from the decoded images."""
        begun = self.budget.spent
        trial = Trial(id="c-pixels", candidate=controls.PIXELS, seed=self.options.seed, control="pixels")
        store = pixels.Pixels.open(self.journal.folder / ".pixels")
        judged = verdict.selection(self.split.part, self.split.folds)
        train = self._rows(0)
        labels, classes = self.data.labels, len(self.data.classes)
        tables = np.zeros((len(judged), classes), np.float32)
        fold = self.split.fold[judged] if self.split.folds else np.full(len(judged), -1, np.int8)
        for number in np.unique(fold):
            inside = train if number < 0 else train[self.split.fold[train] != number]
            inside = inside[: controls.FOREST_ROWS]
            out = fold == number
            tables[out] = controls.forest(
                controls.by_hand(store, inside),
                labels[inside],
                controls.by_hand(store, judged[out]),
                classes,
                self.options.seed,
            )
        path = self.journal.folder / "trials" / "pixels.npz"
        with atomic(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, rows=judged, proba=tables, fold=fold)
        cost = Cost(other=round(self.budget.spent - begun, 4))
        self._keep_control(
            TrialResult(trial=trial, status="finished", predictions="trials/pixels.npz", cost=cost)
        )

    def _keep_control(self, done: TrialResult) -> None:
        done = self._scored(done)
        others = [other for other in self.controls if other.trial.control != done.trial.control]
        self.controls = [*others, done]
        said = f"{self.goal.metric} {done.score_val:.3f}" if done.score_val is not None else done.status
        self.journal.say("control", said, done.trial.candidate.id, done.score_val)

    # ------------------------------------------------------------------ decide → train → report

    def finish(self, status: str) -> None:
        """Decides, fits the winner on everything it may see, tests it once, and writes the report."""
        if self.journal.state is None:
            if self.earlier is None:
                shutil.rmtree(self.journal.folder, ignore_errors=True)  # nothing is known yet: leave nothing
            return
        decision = self._judge().decision
        fit: TrialResult | None = None
        if decision.winner is not None and status == "finished":
            with self.ledger.charge("final fit"):
                fit = self._final_fit(decision.winner)
                self._familiarise(fit)
        elif decision.winner is not None:
            fit = self._fitted(decision.winner)
            if fit is None:
                self._ship_probe(decision.winner)
        state = self._record()
        state = self._conclude(state, fit)
        total = round(self.budget.spent, 3)
        left = self.budget.left
        if status == "finished" and self.searched and left > 0.1 * self.options.budget:
            self.notes.append(f"ended {left:.0f} s before its budget: nothing left was worth the time")
        seconds = {**state.seconds, "total": round(self.journal.before + total, 3)}
        self.journal.write(status=status, seconds=seconds, notes=tuple(dict.fromkeys(self.notes)))
        with self.ledger.charge("report"):
            material = report.gather(self.journal.state, self.journal.folder)
        shutil.rmtree(self.journal.folder / ".pixels", ignore_errors=True)
        self._tidy()
        final = self.journal.write(seconds=self._seconds())
        table = leaderboard.write(leaderboard.rows(final), columns=list(leaderboard.COLUMNS), style="csv")
        atomic_write(self.journal.folder / "leaderboard.csv", table)
        report.render(final, self.journal.folder, material)
        card.write(final, self.journal.folder)
        self.journal.say("report", final.summary)

    def _ship_probe(self, winner: str) -> None:
        """The winner's own checkpoint: the one of the highest score, which lies there so far, may be another's."""
        model = search.summary(self.results)[winner].model
        if model is not None and (self.journal.folder / model).is_dir():
            ship(self.journal.folder / model, self.journal.folder)

    def _final_fit(self, winner: str) -> TrialResult | None:
        """The winner's recipe on train and select, tested once; where that does not finish, its best probe tested."""
        standing = search.summary(self.results)[winner]
        known = self._fitted(winner)
        again = (
            known is not None
            and "select" in known.trial.fit_on
            and known.trial.epochs == standing.epochs_done
        )
        if again and self.same_data:
            return known
        test = ("test",) if len(self._rows(2)) else ()
        trial = Trial(
            id=f"final{len(self.fits) + 1}" if self.fits else "final",
            candidate=standing.trial.candidate,
            epochs=standing.epochs_done,
            fit_on=("train", "select"),
            evaluate_on=test,  # type: ignore[arg-type]
            seed=self.options.seed,
            keep_model=True,
            forecast=self._final_seconds(standing.trial.candidate, standing.epochs_done),
        )
        self.journal.say("final fit", "on train and select", candidate=winner, forecast=trial.forecast)
        reserve = END_SECONDS / 2 + FAMILIAR_SHARE * self.options.budget
        done = self._submit(trial, self.budget.allowance(reserve=reserve))
        trained = done.status in ("finished", "stopped") and done.epochs_done >= ENOUGH * trial.epochs
        if trained and done.model is not None:
            if done.epochs_done < trial.epochs:
                self.notes.append(
                    f"the final fit made {done.epochs_done:.1f} of {trial.epochs:g} epochs in its time"
                )
            ship(self.journal.folder / done.model, self.journal.folder)
            if self.options.refit and test:
                self._refit(replace(trial, id="refit", fit_on=("train", "select", "test"), evaluate_on=()))
            return done
        failed = f"the final fit {done.status} ({done.error or done.note or 'out of time'})"
        if standing.model is None:
            self.notes.append(failed)
            return known
        self.notes.append(f"{failed}; the model of probe {standing.trial.id} ships instead")
        ship(self.journal.folder / standing.model, self.journal.folder)
        return self._tested(standing)

    def _fitted(self, winner: str) -> TrialResult | None:
        """The last fit of a candidate in the run that is continued; its model is put in place."""
        fits = [done for done in self.fits if done.trial.candidate.id == winner and done.model is not None]
        if not fits:
            return None
        ship(self.journal.folder / str(fits[-1].model), self.journal.folder)
        return fits[-1]

    def _tested(self, probe: TrialResult) -> TrialResult | None:
        """A probe with predictions of its own model on the test part, if there is time for them."""
        rows = self._rows(2)
        if not len(rows):
            return None
        try:
            answers = self.engine.predict(
                "model",
                [str(path) for path in self.data.files[rows]],
                self.budget.allowance(reserve=END_SECONDS / 2),
            )
        except AutotlError as error:
            self.notes.append(f"no test score: {error}")
            return None
        if any(answers.errors) or np.isnan(answers.probabilities).any():
            return None
        path = self.journal.folder / "trials" / "tested.npz"
        with atomic(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, rows=rows, proba=answers.probabilities, fold=np.full(len(rows), -1, np.int8))
        trial = replace(probe.trial, id="tested", evaluate_on=("test",))
        return replace(probe, trial=trial, predictions="trials/tested.npz")

    def _refit(self, trial: Trial) -> None:
        again = self._submit(trial, self.budget.allowance(reserve=END_SECONDS / 2))
        if again.status == "finished" and again.model is not None:
            ship(self.journal.folder / again.model, self.journal.folder)
            self.notes.append(
                "the model that ships was fitted on the test images too; its figures are its twin's"
            )
        else:
            self.notes.append(f"the fit on the test images too {again.status}; the model without them ships")

    def _conclude(self, state: result.Recommendation, fit: TrialResult | None) -> result.Recommendation:
        fit = None if fit is None else verdict.sealed(fit, self.journal.folder)
        if fit is not None and fit not in state.trials:
            state = replace(state, trials=(*state.trials, fit))
        folder, split = self.journal.folder, self.split
        found = verdict.conclude(state, fit, folder, self.data.labels, split.part, self.data.group)
        if found.calibration is not None and found.winner and found.winner.model_is != verdict.UNFITTED:
            calibration.write(found.calibration, folder / "model")
        return self.journal.write(
            winner=found.winner,
            leaderboard=found.leaderboard,
            calibration=found.calibration,
            summary=found.summary,
            trials=found.trials,
        )

    def _familiarise(self, fit: TrialResult | None) -> None:
        """Teaches the model that ships which images are far from its own, in what time the fit left."""
        again = fit is not None and "select" in fit.trial.fit_on
        fitted = np.concatenate([self._rows(0), self._rows(1)]) if again else self._rows(0)
        others = self._rows(2) if again else np.concatenate([self._rows(1), self._rows(2)])
        seconds = max(FAMILIAR_SHARE * self.options.budget, self.budget.left - END_SECONDS / 2)
        allowance = self.budget.allowance(seconds)
        held_out = others[:0] if self.options.refit else others
        try:
            known = self.engine.familiarise("model", fitted, held_out, allowance)
        except AutotlError as error:
            self.notes.append(f"the model cannot warn of images far from its own: {error}")
            return
        if (
            known and again and fit is not None and fit.model is not None
        ):  # it may ship again from its own folder
            shutil.copy(self.journal.folder / "model" / familiar.FILE, self.journal.folder / fit.model)

    def _tidy(self) -> None:
        """Trial models go once the folder has its own; curves and predictions stay."""
        for trained in self.results:
            if trained.model is not None:
                shutil.rmtree(self.journal.folder / trained.model, ignore_errors=True)

    # ------------------------------------------------------------------ shared

    def _rows(self, code: int) -> np.ndarray:
        order = self.split.order
        return np.asarray(order[self.split.part[order] == code])

    def _judge(self) -> verdict.Verdict:
        return verdict.judge(
            [*self.results, *self.controls],
            self.journal.folder,
            self.data.labels,
            self.split.part,
            self.data.group,
            self.split.folds,
            len(self.data.classes),
            self.goal,
            self.skipped,
            self.ranking,
        )

    def _record(self) -> result.Recommendation:
        judged = self._judge()
        self.journal.interval = judged.decision.score
        for problem in self.plugins.problems[self._named :]:
            self._named += 1
            self.journal.say("plugins", f"left out: {problem}")
        return self.journal.write(
            decision=judged.decision,
            winners_set=judged.decision.winners_set,
            leaderboard=judged.leaderboard,
            transfer=judged.decision.transfer,
            trials=(*self.results, *self.controls, *self.fits),
            ranking=self.ranking,
            skipped=tuple(self.skipped),
            problems=tuple(str(problem) for problem in self.plugins.problems),
            notes=tuple(dict.fromkeys(self.notes)),
            seconds=self._seconds(),
        )

    def _seconds(self) -> dict[str, float]:
        stages = {stage: round(spent, 3) for stage, spent in self.ledger.by_stage().items()}
        now = {"budget": self.options.budget, "total": round(self.budget.spent, 3), **stages}
        before = self.earlier.state.seconds if self.earlier else {}
        return {name: round(before.get(name, 0.0) + now.get(name, 0.0), 3) for name in {**before, **now}}


def ship(model: Path, folder: Path) -> None:
    """Puts a copy of a model folder in place as ``model/``; between two renames the old one is ``.model.old``."""
    fresh, old = folder / ".model.new", folder / ".model.old"
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(model, fresh)
    if (folder / "model").exists():
        shutil.rmtree(old, ignore_errors=True)
        os.replace(folder / "model", old)
    os.replace(fresh, folder / "model")
    shutil.rmtree(old, ignore_errors=True)


def source_options(options: Options) -> dict[str, str]:
    """What whoever reads the source is told of it."""
    named = {"test": options.test, "group": options.group, "label": options.label}
    return {key: value for key, value in named.items() if value is not None}


def least_seconds(images: int) -> float:
    """Forecast of what a run cannot do without."""
    return START_SECONDS + END_SECONDS + IMAGE_SECONDS * min(images, FEWEST_IMAGES)


def refuse_hopeless(seconds: float, images: int) -> None:
    """Raises `BudgetError` for a budget that holds no run at all."""
    least = least_seconds(images)
    if seconds < least:
        raise BudgetError(
            f"a budget of {seconds:g} s cannot hold a file list and one linear probe on these {images:,} images;"
            f" that takes about {least:.0f} s; give --budget {int(least) + 1}s or more"
        )


def _run_folder(options: Options) -> Path:
    if options.out is None:
        name = Path(options.source).resolve().name or "data"
        stem = f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
        folder = Path("runs") / stem
        number = 1
        while folder.exists():
            number += 1
            folder = Path("runs") / f"{stem}-{number}"
    else:
        folder = Path(options.out)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise RunError(f"{folder} is not empty; expected a new or empty folder; choose another --out")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


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


def _unreadable(folders: Sequence[str]) -> list[Skipped]:
    from autotl.builtin.backbones import discover

    return [skip for folder in folders for skip in discover(folder)[1]]


def _versions(worker: dict[str, str]) -> dict[str, str]:
    return {"autotl": __version__, **worker}
