"""Choose the backbones and strategies that a run may try: plugins × profile × limits → Candidates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TypeVar

from autotl.builtin.backbones import unusable
from autotl.builtin.fine_tuning import DISTILLED
from autotl.candidates import declared_limits as limits
from autotl.errors import AutotlError, UnknownNameError
from autotl.plugins.manager import Plugins
from autotl.records import BackboneSpec, Fact, Goal, Kind, Profile, Settings, Skipped, Strategy, fact
from autotl.weights import hub

Named = TypeVar("Named", BackboneSpec, Strategy)

WIDEST_GLOB = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """The backbones and strategies that may be tried, and those that may not, with reasons."""

    backbones: tuple[BackboneSpec, ...]
    strategies: tuple[Strategy, ...]
    skipped: tuple[Skipped, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Extra:
    """Images or labels beside those that every run has, which some strategies learn from."""

    what: str  # they are called
    remedy: str  # to have some
    kind: Kind  # of the reason that there are none
    learns: Callable[[Strategy], bool]
    there: Callable[[Profile], bool]


_EXTRAS = (
    _Extra(
        what="images without a label",
        remedy="name their folder with --unlabelled",
        kind=Kind.NEEDS_UNLABELLED,
        learns=lambda strategy: strategy.learns_unlabelled,
        there=lambda profile: profile.unlabelled is not None and profile.unlabelled.usable > 0,
    ),
    _Extra(
        what="labelled images of another source",
        remedy="name their folder with --source",
        kind=Kind.NEEDS_RELATED,
        learns=lambda strategy: strategy.related is not None,
        there=lambda profile: bool(profile.related),
    ),
    _Extra(
        what="further label columns",
        remedy="name each column with --label",
        kind=Kind.NEEDS_LABEL_COLUMNS,
        learns=lambda strategy: strategy.every_target,
        there=lambda profile: bool(profile.others),
    ),
)


def gather(
    plugins: Plugins,
    profile: Profile,
    settings: Settings,
    goal: Goal,
    strategies: Sequence[str] = (),
    more: Sequence[str] = (),
    *,
    weighted: bool = False,
) -> Candidates:
    """Return the backbones that the user named, or those proposed by default, within the limits of the goal.

    `more` names further backbones. `weighted`: the data give weights to their items, and strategies that take none are
    skipped.

    Raises `UnknownNameError` for a name that does not exist, `AutotlError` when nothing is left.
    """
    backbones, out_of_limits = _backbones(plugins, profile, settings, goal, more)
    able, unable = _strategies(plugins, profile, strategies, weighted=weighted)
    worthy, declined = _worthy(plugins, able, profile, backbones, settings.seconds, bool(strategies))
    if not worthy:
        raise AutotlError(
            f"no strategy is left to try ({'; '.join(f'{d.name}: {_brief(d.reason)}' for d in declined)}); expected at "
            "least one: name another"
        )
    return Candidates(
        backbones=tuple(backbones), strategies=tuple(worthy), skipped=(*out_of_limits, *unable, *declined)
    )


def _backbones(
    plugins: Plugins, profile: Profile, settings: Settings, goal: Goal, more: Sequence[str]
) -> tuple[list[BackboneSpec], list[Skipped]]:
    """Return the backbones that were named or are proposed, and a row for each that limits or lacking weights rule out.

    Raises `AutotlError` where none is left.
    """
    offered = plugins.backbones(profile, settings)
    wanted = (
        choose(offered, settings.wanted, "backbone")
        if settings.wanted
        else [spec for spec in offered.values() if spec.proposed]
    )
    if more:
        others = plugins.backbones(profile, replace(settings, wanted=tuple(more)))
        wanted_names = {spec.name for spec in wanted}
        wanted += [spec for spec in choose(others, more, "backbone") if spec.name not in wanted_names]
    kept: list[BackboneSpec] = []
    skipped = unusable(settings.weights)
    for spec in wanted:
        reason = limits.broken_limit(spec, goal) or _missing(spec, settings)
        if reason is not None:
            skipped.append(Skipped(name=spec.name, reason=reason))
        else:
            kept.append(spec)
    if not kept:
        reasons = [f"{skip.name}: {_brief(skip.reason)}" for skip in skipped[:5]]
        left_out = "; ".join(reasons) or "no plugin proposes any"
        raise AutotlError(
            f"no backbone is left to try ({left_out}); expected at least one: {_way_out(skipped)}"
        )
    return kept, skipped


def _way_out(skipped: Sequence[Skipped]) -> str:
    """Return what to do where every backbone is left out."""
    kinds = {one.reason.kind for one in skipped}
    ways = {
        "leave --offline out": Kind.WEIGHTS_MISSING_OFFLINE in kinds,
        "loosen the limits": bool(kinds - {Kind.WEIGHTS_MISSING_OFFLINE, Kind.UNUSABLE}),
        "name others with --backbones": True,
    }
    return " or ".join(way for way, open_ in ways.items() if open_)


def _strategies(
    plugins: Plugins, profile: Profile, names: Sequence[str], *, weighted: bool
) -> tuple[list[Strategy], list[Skipped]]:
    """Return the strategies that were named or are proposed and can learn from the data; a row for each that cannot.

    Raises `AutotlError` where none is left.
    """
    every = plugins.strategies(profile)
    able = (
        choose(every, names, "strategy")
        if names
        else [strategy for strategy in every.values() if strategy.proposed or _suits(strategy, profile)]
    )
    skipped: list[Skipped] = []
    for extra in _EXTRAS:
        if not extra.there(profile):
            able, declined = _without(able, extra, named=bool(names))
            skipped += declined
    able, declined = for_target(able, profile, named=bool(names))
    skipped += declined
    if weighted:
        able, declined = _for_weights(able)
        skipped += declined
    return able, skipped


def student(plugins: Plugins, profile: Profile, settings: Settings, name: str) -> BackboneSpec:
    """Return the backbone that is to learn from the winner. Raises as `gather` does, and where it cannot learn."""
    if profile.target not in DISTILLED.targets:
        raise AutotlError(
            f"--distil-into {name}: the labels are {profile.target}; expected one class an image; leave it out"
        )
    offered = plugins.backbones(profile, replace(settings, wanted=(name,)))
    chosen = choose(offered, (name,), "backbone")
    if len(chosen) > 1:
        raise AutotlError(
            f"--distil-into {name} names {len(chosen)} backbones; expected one, such as {chosen[0].name}; name it"
        )
    if (reason := _missing(chosen[0], settings)) is not None:
        raise AutotlError(
            f"--distil-into {name}: {_brief(reason)}; expected them here; name another backbone"
        )
    return chosen[0]


def _worthy(
    plugins: Plugins,
    strategies: Sequence[Strategy],
    profile: Profile,
    backbones: Sequence[BackboneSpec],
    seconds: float | None,
    named: bool,
) -> tuple[list[Strategy], list[Skipped]]:
    """Return the strategies, each with the backbones that it is worth trying on, and a row for each that declines.

    One that the user `named` is tried wherever it does not decline.
    """
    worthy: list[Strategy] = []
    declined: list[Skipped] = []
    for strategy in strategies:
        offered = [spec for spec in backbones if strategy.takes(spec.name)]
        names: list[str] = []
        reasons: dict[str, list[str]] = {}
        for spec in offered:
            try:
                if plugins.worth(strategy, profile, spec, seconds) or named:
                    names.append(spec.name)
            except AutotlError as reason:
                reasons.setdefault(str(reason), []).append(spec.name)
        declined += [
            Skipped(
                name=strategy.name,
                reason=fact(Kind.STRATEGY_DECLINED, reason=reason, backbones=of),
            )
            for reason, of in reasons.items()
        ]
        if names:
            all_of_them = len(names) == len(offered)
            worthy.append(strategy if all_of_them else replace(strategy, backbones=tuple(names)))
    return worthy, declined


def _suits(strategy: Strategy, profile: Profile) -> bool:
    """Return whether the data have what a strategy is made for: another source, or several label columns."""
    return bool(
        (strategy.related is not None and profile.related) or (strategy.every_target and profile.others)
    )


def _without(
    strategies: Sequence[Strategy], extra: _Extra, *, named: bool
) -> tuple[list[Strategy], list[Skipped]]:
    """Return the strategies but those that learn from what there is none of; a row for each of these if `named`.

    Raises `AutotlError` where none is left.
    """
    others = [strategy for strategy in strategies if extra.learns(strategy)]
    able = [strategy for strategy in strategies if strategy not in others]
    if not able:
        names = ", ".join(strategy.name for strategy in others)
        raise AutotlError(
            f"{names} learn from {extra.what}, and there are none; expected some; {extra.remedy}, or use another strategy"
        )
    skipped = [Skipped(name=each.name, reason=fact(extra.kind)) for each in others]
    return able, skipped if named else []


def _for_weights(strategies: Sequence[Strategy]) -> tuple[list[Strategy], list[Skipped]]:
    """Return the strategies that fit by the weights of the items, and a row for each of the others.

    Raises `AutotlError` where none is left.
    """
    able = [strategy for strategy in strategies if _takes_weights(strategy)]
    others = [strategy for strategy in strategies if strategy not in able]
    if not able:
        names = ", ".join(strategy.name for strategy in others)
        raise AutotlError(
            f"the strategies {names} take no weights of images; expected one that does, such as linear_probe, because"
            " --weight is given; name another, or leave out --weight"
        )
    return able, [Skipped(name=each.name, reason=fact(Kind.WEIGHTS_NOT_TAKEN)) for each in others]


def _takes_weights(strategy: Strategy) -> bool:
    """Return whether a strategy fits by the weights of the items; a sampler of its own draws by something else."""
    return strategy.takes_weights and all(phase.sampler is None for phase in strategy.phases)


def for_target(
    strategies: Sequence[Strategy], profile: Profile, *, named: bool
) -> tuple[list[Strategy], list[Skipped]]:
    """Return the strategies that can train the kind of target, and a row for each of the others.

    Raises `AutotlError` where none is left.
    """
    able = [strategy for strategy in strategies if profile.target in strategy.targets]
    others = [strategy for strategy in strategies if strategy not in able]
    if not able:
        names = ", ".join(strategy.name for strategy in others)
        raise AutotlError(
            f"no strategy is left for {profile.target} labels ({names} train other kinds); expected one that declares"
            f" them; {'name another with --strategies' if named else 'install a plugin that has one'}"
        )
    declines = fact(Kind.STRATEGY_DECLINES, target=profile.target)
    return able, [Skipped(name=strategy.name, reason=declines) for strategy in others]


def _missing(spec: BackboneSpec, settings: Settings) -> Fact | None:
    """Return that an offline run lacks the weights of a backbone; None where it has or can fetch them."""
    if settings.offline and hub.away(spec):
        return fact(Kind.WEIGHTS_MISSING_OFFLINE, backbone=spec.name)
    return None


def _brief(reason: Fact) -> str:
    """Return a reason for an error message."""
    if reason.kind == Kind.UNUSABLE:
        return str(reason.values["message"])
    if reason.kind == Kind.STRATEGY_DECLINED:
        return str(reason.values["reason"])
    if reason.kind == Kind.WEIGHTS_MISSING_OFFLINE:
        return "its weights are not on this machine and this run is offline"
    return limits.text(reason)


def choose(offered: dict[str, Named], patterns: Iterable[str], kind: str) -> list[Named]:
    """Return what the patterns name: full names, bare names where unique, or globs on either, in their order."""
    chosen: dict[str, Named] = {}
    for pattern in patterns:
        meant = (
            [name for name in offered if name == pattern]
            or [name for name in offered if bare(name) == pattern]
            or [name for name in offered if matches(name, pattern)]
        )
        glob = any(mark in pattern for mark in "*?[")
        if not meant:
            raise UnknownNameError(kind, pattern, offered if ":" in pattern else map(bare, offered))
        if not glob and len(meant) > 1:
            raise UnknownNameError(kind, pattern, meant, "(name one, with its origin)")
        if len(meant) > WIDEST_GLOB:
            raise AutotlError(
                f"{pattern!r} matches {len(meant)} names, expected at most {WIDEST_GLOB}; narrow it"
            )
        chosen.update((name, offered[name]) for name in meant)
    return list(chosen.values())


def matches(name: str, pattern: str) -> bool:
    """Return whether a glob matches a name, with its origin or without."""
    return fnmatchcase(name, pattern) or fnmatchcase(bare(name), pattern)


def bare(name: str) -> str:
    """Return the name without its origin: ``timm:resnet18`` → ``resnet18``."""
    return name.partition(":")[2] or name


def sizes(spec: BackboneSpec, side: int) -> tuple[int, ...]:
    """Return the input sizes to try for images whose shorter side is `side` pixels: native, then smaller ones.

    0.57 of the native side costs a third of the time. Smaller images get one more step down, since enlarging
    them only repeats pixels.
    """
    native = spec.input_size
    if spec.size_step <= 0:
        return (native,)
    shares = (0.57, 0.43) if side < 0.43 * native else (0.57,)
    steps = [round(native * share / spec.size_step) * spec.size_step for share in shares]
    smaller = [size for size in steps if spec.min_size <= size < native and size >= 64]
    return (native, *dict.fromkeys(smaller))
