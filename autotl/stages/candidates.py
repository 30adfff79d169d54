"""Candidates: the backbones and strategies that the run may choose from; the engine receives the data."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import asdict, replace

from autotl import __version__
from autotl.budget import Allowance
from autotl.candidates import gather
from autotl.errors import BudgetError, RunError
from autotl.options import settings_of
from autotl.plugins import provenance
from autotl.records import (
    PARTS,
    BackboneSpec,
    Kind,
    Machine,
    fact,
)
from autotl.records.result import Data
from autotl.report import wording
from autotl.run_folder import manifest
from autotl.run_folder.resume import Earlier
from autotl.search import time_plan
from autotl.stages.context import RunContext
from autotl.stages.profile import ProfileResult
from autotl.stages.setup import Setup
from autotl.stages.split import STORE, SplitResult
from autotl.stages.trials import scored
from autotl.weights import downloads, hub

WAITED_FOR = ("scipy.stats", "sklearn.metrics")


def candidates(context: RunContext, parts: SplitResult, profiled: ProfileResult) -> Setup:
    """Ask the plugins for backbones and strategies, start the downloads, and give the engine its data."""
    journal, earlier = context.journal, parts.earlier
    # A device that was named may not be there: nothing is downloaded for it before torch has been asked.
    machine = None if context.options.device == "auto" else _machine(context)
    if earlier is not None:
        _compare_plugins(context, earlier)
    setup = _gathered(context, parts, profiled)
    hand_over(context, setup)
    if earlier is not None:
        setup = _taken_over(context, setup, earlier)
    _record(context, setup)
    machine = machine or _machine(context)
    journal.record(
        device=machine.device,
        precision=machine.precision,
        versions={"autotl": __version__, **machine.versions},
    )
    journal.event("start", fact(Kind.STARTED, device=machine.device, precision=machine.precision))
    return _paced(context, setup)


def _gathered(context: RunContext, parts: SplitResult, profiled: ProfileResult) -> Setup:
    """Return the backbones and strategies that may be tried; missing weights are on their way."""
    options, earlier = context.options, parts.earlier
    settings, goal = settings_of(options), profiled.goal
    tried = () if earlier is None else dict.fromkeys(r.trial.candidate.backbone for r in earlier.probes)
    gathered = gather.gather(
        context.plugins,
        profiled.profile,
        settings,
        goal,
        options.strategies,
        (*options.more, *tried),
        weighted=parts.data.weight is not None,
    )
    into = options.distil_into
    student = None if into is None else gather.student(context.plugins, profiled.profile, settings, into)
    away = [spec for spec in gathered.backbones if hub.away(spec) and not settings.offline]
    return Setup(
        parts=parts,
        profile=profiled.profile,
        goal=goal,
        backbones={spec.name: spec for spec in gathered.backbones if spec not in away},
        offered=gathered.backbones,
        strategies={strategy.name: strategy for strategy in gathered.strategies},
        skipped=gathered.skipped,
        downloads=_download(context, away),
        student=student,
    )


def _record(context: RunContext, setup: Setup) -> None:
    """Record what the run is, and tell observers of the parts and of what may be tried."""
    options, journal, goal = context.options, context.journal, setup.goal
    journal.record(
        command=options.command,
        options={key: value for key, value in asdict(options).items() if value not in (None, (), "")},
        seed=options.seed,
        profile=setup.profile,
        goal=goal,
        metric=goal.metric,
        backbones=setup.offered,
        strategies=tuple(setup.strategies.values()),
        skipped=setup.skipped,
        trials=(*setup.probes, *setup.controls, *setup.fits),
        time_plan=time_plan.stages(context.plan),
    )
    for how in setup.parts.split.facts:
        journal.event("split", how)
    journal.event(
        "candidates", fact(Kind.CANDIDATES, backbones=len(setup.backbones), strategies=len(setup.strategies))
    )


def _paced(context: RunContext, setup: Setup) -> Setup:
    """Return the setup with the pace of the machine, by when the worker was ready.

    Raises `BudgetError` when the budget is used up and there is no model of an earlier run.
    """
    spent, budget, plan = context.budget.spent, context.options.budget, context.plan
    if not setup.probes and context.budget.left <= 0:
        raise BudgetError(
            f"the worker process was ready after {spent:.0f} of {budget:g} s, so no time is left to train; expected"
            f" about {plan.start:.0f} s; end other programs, or use a larger --budget"
        )
    hurried = plan.hurries(spent)
    if hurried:
        context.journal.note(fact(Kind.HURRIED, seconds=round(spent, 1), budget=budget))
    return replace(setup, slowness=plan.slowness(spent), hurried=hurried)


def _compare_plugins(context: RunContext, earlier: Earlier) -> None:
    """Note which plugins of the earlier run have another version now. Raises `RunError` for a missing one it needs."""
    recipes = [result.trial.candidate for result in earlier.probes]
    needed = {f"backbone {c.backbone}" for c in recipes} | {f"strategy {c.strategy}" for c in recipes}
    here = context.plugins.names()
    for guest in provenance.missing(earlier.state.plugins, here):
        if needed.intersection(guest.contributed):
            package = f"{guest.package} {guest.version}".strip()
            raise RunError(
                f"the run tried {', '.join(sorted(needed.intersection(guest.contributed)))} of plugin {guest.plugin!r}, "
                f"which is not installed; expected {package}; install it"
            )
    for difference in provenance.differences(earlier.state.plugins, here):
        context.journal.note(difference)
        context.journal.event("plugins", difference)


def _machine(context: RunContext) -> Machine:
    """Return where the engine works, once it has started. Raises `EngineError` for a device that is not there.

    Meanwhile the libraries that deciding and reporting need are imported: a second or two that would come after.
    """
    with context.ledger.charge("start"):
        for name in WAITED_FOR:
            importlib.import_module(name)
        return context.engine.started(context.budget.allowance(reserve=context.plan.report))


def hand_over(context: RunContext, setup: Setup) -> None:
    """Give the engine the data, and write to the folder which row is in which part."""
    parts, journal = setup.parts, context.journal
    data, split = parts.data, parts.split
    reasons = {row: wording.sentence(why) for row, why in parts.contradicted.items()} | parts.decoded.errors
    without = parts.unlabelled
    digests = parts.decoded.digests.tolist()
    unused: dict[str, dict[int, str]] = {}
    for name, beside in ((manifest.UNLABELLED, without), (manifest.RELATED, parts.related)):
        if beside is not None:
            digests += beside.decoded.digests.tolist()
            unused[name] = beside.decoded.errors | {
                number: wording.sentence(fact(Kind.COPY_OF_LABELLED, name=str(data.names[row])))
                for number, row in beside.copies.items()
            }
    manifest.write(journal.folder / "manifest.csv", data, split, reasons, unused)
    context.engine.open(
        journal.folder / STORE,
        setup.columns,
        metric=setup.goal.metric,
        digests=digests,
    )
    counts: dict[str, int] = {name: int((split.part == code).sum()) for code, name in enumerate(PARTS)}
    journal.record(
        data=Data(
            source=data.source,
            fingerprint=data.fingerprint,
            classes=data.classes,
            target=data.targets[0].kind,
            counts={**counts, "left out": len(data.left_out) + int((split.part < 0).sum())},
            unlabelled=None if without is None else len(without.usable),
            related=None if parts.related is None else len(parts.related.usable),
            grouped=split.grouped,
            folds=split.folds,
            select_from=split.select_from,
            test_from=split.test_from,
            split=split.facts,
            findings=data.findings,
            root=data.root,
        )
    )


def _download(context: RunContext, away: Sequence[BackboneSpec]) -> downloads.Downloads:
    """Fetch weights in the background; what they belong to joins the ranking when they are here."""
    budget = context.budget
    seconds = max(0.0, context.plan.downloads - budget.spent)
    allowance = Allowance(deadline=budget.clock() + seconds, clock=budget.clock)
    if away:
        names = [spec.name for spec in away]
        size = downloads.megabytes(away)
        context.journal.event(
            "download", fact(Kind.DOWNLOADING, megabytes=size, seconds=seconds, backbones=names)
        )
    return downloads.Downloads(wanted=away, allowance=allowance, fetch=context.fetch)


def _taken_over(context: RunContext, setup: Setup, earlier: Earlier) -> Setup:
    """Return the setup with the trials of the run that is continued; controls on other data are made again."""
    before, split = earlier.state, setup.parts.split
    counts = {name: int((split.part == code).sum()) for code, name in enumerate(PARTS)}
    same = all(before.data.counts.get(part) == count for part, count in counts.items())
    setup = replace(setup, same_data=same)
    probes = tuple(scored(context, setup, result, ()) for result in earlier.probes)
    controls = tuple(scored(context, setup, result, ()) for result in earlier.controls) if same else ()
    context.journal.note(
        fact(
            Kind.CONTINUED,
            seconds=context.journal.before,
            trials=len(probes),
            budget=context.options.budget,
        )
    )
    context.journal.record(winner=before.winner)
    return replace(setup, probes=probes, controls=controls, fits=earlier.fits)
