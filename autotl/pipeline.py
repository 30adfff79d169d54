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

from autotl import __version__, leaderboard, manifest, metrics, pixels, rank, report, result, search, verdict
from autotl import candidates as candidates_stage
from autotl import dataset as dataset_stage
from autotl import profile as profile_stage
from autotl import split as split_stage
from autotl.budget import Allowance, Budget, Clock, Ledger
from autotl.cache import atomic, atomic_write, cache_folder
from autotl.errors import AutotlError, BudgetError, RunError
from autotl.folds import folds_for
from autotl.plugins import Plugins, load_plugins
from autotl.protocols import Engine, Planner
from autotl.records import (
    BackboneSpec,
    Candidate,
    Dataset,
    Event,
    Finding,
    Goal,
    Interval,
    Metric,
    Prefer,
    Profile,
    Ranking,
    Score,
    Settings,
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
IMBALANCED = 10.0
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

    def say(self, stage: str, message: str, candidate: str | None = None, score: float | None = None) -> None:
        """An event: a line of events.jsonl, and a call to every observer."""
        event = Event(
            time=round(self.budget.spent, 3),
            stage=stage,
            message=message,
            candidate=candidate,
            score=score,
            best=self.best,
            left=round(self.budget.left, 1),
        )
        line = json.dumps({key: value for key, value in asdict(event).items() if value is not None})
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
) -> Path:
    """Runs the whole job and returns the run folder.

    `started` is when the command began, on `clock`; imports before this call then count in the budget.
    `connect` makes the engine (default: a worker process, `autotl.engine.client.connect`).
    Raises `DatasetError`, `BudgetError`, `UnknownNameError`, `RunError`, `EngineError`; on Ctrl-C writes
    what there is, with status "interrupted", and raises `KeyboardInterrupt` again.
    """
    budget = Budget(seconds=options.budget, start=clock() if started is None else started, clock=clock)
    ledger = Ledger(clock=clock)
    plugins = load_plugins()
    with ledger.charge("load"):
        data = dataset_stage.load(options.source, _source_options(options), plugins)
    _refuse_hopeless(options.budget, len(data.files))
    folder = _run_folder(options)
    if connect is None:
        from autotl.engine import client

        connect = client.connect
    journal = Journal(folder=folder, budget=budget, plugins=plugins, observers=observers)
    engine = connect(
        folder=folder,
        cache=cache_folder(),
        device=options.device,
        precision=options.precision,
        seed=options.seed,
        offline=options.offline,
    )
    run = Run(options=options, budget=budget, ledger=ledger, plugins=plugins, journal=journal, engine=engine)
    try:
        run.prepare(data)
        run.screen()
        run.search()
        run.finish("finished")
    except KeyboardInterrupt:
        budget.cancelled.set()
        engine.close()
        run.finish("interrupted")
        raise
    except BaseException:
        engine.close()
        if not any(done.score_val is not None for done in run.results):
            shutil.rmtree(folder, ignore_errors=True)  # nothing was learnt: leave no half-written folder
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
    ranking: Ranking = field(default_factory=lambda: Ranking(ranked=()))
    _named: int = 0  # how many of the plugins' problems were said

    # ------------------------------------------------------------------ load → profile → split → candidates

    def prepare(self, data: Dataset) -> None:
        """Everything before the first forward pass."""
        options, journal = self.options, self.journal
        journal.say("load", f"{len(data.files):,} images in {len(data.classes)} classes")
        split = split_stage.split(data, test_size=options.test_size, seed=options.seed)
        with self.ledger.charge("decode"):
            decoded = self._decode(data, split)
        data, split = _without(data, split, decoded.errors, decoded.present)
        with self.ledger.charge("profile"):
            profile = profile_stage.profile(data, decoded.statistics, decoded.hashes)
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
            offline=options.offline,
            device=options.device,
            licence=options.licence,
            seconds=options.budget,
            wanted=options.backbones,
        )
        found = candidates_stage.gather(self.plugins, profile, settings, self.goal, options.strategies)
        self.specs = {spec.name: spec for spec in found.backbones}
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
            similarity=profile.similarity,
            goal=self.goal,
            metric=metric,
            backbones=found.backbones,
            strategies=found.strategies,
        )
        self._record()
        journal.say("split", split.reason)
        journal.say("candidates", f"{len(self.specs)} backbones, {len(self.strategies)} strategies")
        with self.ledger.charge("start"):
            facts = self.engine.started(self.budget.allowance(reserve=END_SECONDS))
        journal.write(device=facts.device, precision=facts.precision, versions=_versions(facts.versions))
        journal.say("start", f"on {facts.device}, {facts.precision}")

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

    # ------------------------------------------------------------------ rank

    def screen(self) -> None:
        """Embeds growing subsamples with fewer and fewer backbones, and ranks what it saw."""
        self.journal.say("rank", "embedding subsamples")
        rows = self._rows(0)
        scores = list(self.plugins.scores().values())
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
                ask = screening.ask(seconds, self.budget.spent - start)
        self.ranking = screening.ranking(tuple(dict.fromkeys(notes)))
        self.skipped += [
            Skipped(name=arm.backbone, reason=arm.dead)
            for arm in screening.arms.values()
            if arm.dead and arm.input_size == self.specs[arm.backbone].input_size
        ]
        self._record()

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
        )
        default = search.DefaultPlanner(
            ranked=self.ranking.ranked, strategies=list(self.strategies.values()), facts=facts
        )
        planner: Planner = self.plugins.make_planner(
            self.profile, self.ranking, self.budget.left, strategies=self.strategies, otherwise=default
        )
        for done in self.results:
            default.adopt(done)
        self._final_seconds = default.final_seconds
        with self.ledger.charge("search"):
            while (trial := planner.ask(max(0.0, self.budget.left - END_SECONDS))) is not None:
                planner.tell(self._try(trial, END_SECONDS + self._final_reserve(trial)))
        if default.stopped:
            self.notes.append(default.stopped)
        if self._best() is None:
            raise AutotlError(self._why_nothing())

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
        if best is not None:
            plans.append((best.trial.candidate, best.epochs_done))
        return max(self._final_seconds(candidate, epochs) for candidate, epochs in plans)

    def _best(self) -> TrialResult | None:
        scored = [r for r in self.results if r.score_val is not None]
        return max(scored, key=lambda r: r.score_val or 0.0) if scored else None

    def _try(self, trial: Trial, reserve: float) -> TrialResult:
        """Runs a probe, scores it, keeps its model if it is the best so far, and writes the result."""
        name = trial.candidate.id
        what = f"{trial.epochs:g} epochs" if trial.epochs else "closed form"
        self.journal.say("probe", f"{what} started", candidate=name)
        done = self._submit(trial, self.budget.allowance(reserve=reserve))
        rows = verdict.selection(self.split.part, self.split.folds)
        done = verdict.score_trial(
            done, self.journal.folder, rows, self.data.labels, len(self.data.classes), self.goal
        )
        before = self._best()
        self.results.append(done)
        if done.score_val is not None and (before is None or done.score_val > (before.score_val or 0.0)):
            self.journal.best = done.score_val
            if done.model is not None:
                ship(self.journal.folder / done.model, self.journal.folder)
        self._record()
        said = f"{self.goal.metric} {done.score_val:.3f}" if done.score_val is not None else done.status
        self.journal.say("probe", said + (f" ({done.error})" if done.error else ""), name, done.score_val)
        return done

    def _submit(self, trial: Trial, allowance: Allowance) -> TrialResult:
        spec = self.specs[trial.candidate.backbone]
        future = self.engine.submit(trial, spec, self.strategies[trial.candidate.strategy], allowance)
        return future.result()

    # ------------------------------------------------------------------ decide → train → report

    def finish(self, status: str) -> None:
        """Decides, fits the winner on everything it may see, tests it once, and writes the report."""
        if self.journal.state is None:
            return
        decision = self._judge().decision
        fit: TrialResult | None = None
        if status == "finished" and decision.winner is not None:
            with self.ledger.charge("final fit"):
                fit = self._final_fit(decision.winner)
        state = self._record()
        state = self._conclude(state, fit)
        total = round(self.budget.spent, 3)
        left = self.budget.left
        if status == "finished" and left > 0.1 * self.options.budget:
            self.notes.append(f"ended {left:.0f} s before its budget: nothing left was worth the time")
        seconds = {**state.seconds, "total": total}
        self.journal.write(status=status, seconds=seconds, notes=tuple(dict.fromkeys(self.notes)))
        with self.ledger.charge("report"):
            report.render(self.journal.state, self.journal.folder)
        shutil.rmtree(self.journal.folder / ".pixels", ignore_errors=True)
        self._tidy()
        final = self.journal.write(seconds=self._seconds())
        table = leaderboard.write(leaderboard.rows(final), columns=list(leaderboard.COLUMNS), style="csv")
        atomic_write(self.journal.folder / "leaderboard.csv", table)
        report.render(final, self.journal.folder)
        self.journal.say("report", final.summary)

    def _final_fit(self, winner: str) -> TrialResult | None:
        """The winner's recipe on train and select, tested once; where that does not finish, its best probe tested."""
        standing = search.summary(self.results)[winner]
        test = ("test",) if len(self._rows(2)) else ()
        trial = Trial(
            id="final",
            candidate=standing.trial.candidate,
            epochs=standing.epochs_done,
            fit_on=("train", "select"),
            evaluate_on=test,  # type: ignore[arg-type]
            seed=self.options.seed,
            keep_model=True,
        )
        self.journal.say("final fit", "on train and select", candidate=winner)
        done = self._submit(trial, self.budget.allowance(reserve=END_SECONDS / 2))
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
        self.notes.append(
            f"the final fit {done.status} ({done.error or done.note or 'out of time'});"
            f" the model of probe {standing.trial.id} ships instead"
        )
        if standing.model is None:
            return None
        ship(self.journal.folder / standing.model, self.journal.folder)
        return self._tested(replace(standing, trial=replace(standing.trial, id="tested")))

    def _tested(self, probe: TrialResult) -> TrialResult | None:
        """A probe with predictions of its own model on the test part, if there is time for them."""
        rows = self._rows(2)
        if not len(rows):
            return None
        try:
            probabilities, errors = self.engine.predict(
                "model",
                [str(path) for path in self.data.files[rows]],
                self.budget.allowance(reserve=END_SECONDS / 2),
            )
        except AutotlError as error:
            self.notes.append(f"no test score: {error}")
            return None
        if any(errors) or np.isnan(probabilities).any():
            return None
        path = self.journal.folder / "trials" / "tested.npz"
        with atomic(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, rows=rows, proba=probabilities, fold=np.full(len(rows), -1, np.int8))
        return replace(probe, predictions="trials/tested.npz")

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
        decision = state.decision
        row = next((r for r in state.leaderboard if decision and r.candidate == decision.winner), None)
        if decision is None or row is None or decision.score is None:
            words = verdict.words(decision, None, state.metric, False, None, None) if decision else ""
            return self.journal.write(summary=words)
        test = self._test_score(fit)
        again = fit is not None and fit.trial.id == "final"
        shipped = (
            "fitted again on train and select" if again else "the checkpoint of its probe, fitted on train"
        )
        winner = result.Winner(
            candidate=row.candidate,
            backbone=row.backbone,
            strategy=row.strategy,
            unfreeze=row.unfreeze,
            input_size=row.input_size,
            score_val=row.score_val or 0.0,
            ci_low=decision.score.low,
            ci_high=decision.score.high,
            score_test=test.value if test else None,
            test_low=test.low if test else None,
            test_high=test.high if test else None,
            model_is=shipped,
        )
        board = tuple(
            replace(r, score_test=winner.score_test) if r.candidate == winner.candidate else r
            for r in state.leaderboard
        )
        pace = 1.0 / row.pred_time if row.pred_time else None
        words = verdict.words(decision, row, state.metric, bool(self.split.folds), test, pace)
        trials = (*state.trials, fit) if fit else state.trials
        return self.journal.write(winner=winner, leaderboard=board, summary=words, trials=trials)

    def _test_score(self, fit: TrialResult | None) -> Interval | None:
        rows = self._rows(2)
        if fit is None or fit.predictions is None or not len(rows):
            return None
        predicted = verdict.predicted_classes(self.journal.folder / fit.predictions, rows)
        if predicted is None:
            return None
        group = None if self.data.group is None else self.data.group[rows]
        return metrics.interval(
            self.goal.metric, self.data.labels[rows], predicted, len(self.data.classes), group
        )

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
            self.results,
            self.journal.folder,
            self.data.labels,
            self.split.part,
            self.data.group,
            self.split.folds,
            len(self.data.classes),
            self.goal,
            self.skipped,
        )

    def _record(self) -> result.Recommendation:
        judged = self._judge()
        for problem in self.plugins.problems[self._named :]:
            self._named += 1
            self.journal.say("plugins", f"left out: {problem}")
        return self.journal.write(
            decision=judged.decision,
            winners_set=judged.decision.winners_set,
            leaderboard=judged.leaderboard,
            trials=tuple(self.results),
            ranking=self.ranking,
            skipped=tuple(self.skipped),
            problems=tuple(str(problem) for problem in self.plugins.problems),
            notes=tuple(dict.fromkeys(self.notes)),
            seconds=self._seconds(),
        )

    def _seconds(self) -> dict[str, float]:
        stages = {stage: round(spent, 3) for stage, spent in self.ledger.by_stage().items()}
        return {"budget": self.options.budget, "total": round(self.budget.spent, 3), **stages}


def ship(model: Path, folder: Path) -> None:
    """Puts a copy of a model folder in place as ``model/``; there is a whole one at every moment but one rename."""
    fresh, old = folder / ".model.new", folder / ".model.old"
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(model, fresh)
    if (folder / "model").exists():
        os.replace(folder / "model", old)
    os.replace(fresh, folder / "model")
    shutil.rmtree(old, ignore_errors=True)


def _source_options(options: Options) -> dict[str, str]:
    named = {"test": options.test, "group": options.group, "label": options.label}
    return {key: value for key, value in named.items() if value is not None}


def _refuse_hopeless(seconds: float, images: int) -> None:
    least = START_SECONDS + END_SECONDS + IMAGE_SECONDS * min(images, FEWEST_IMAGES)
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
