"""plugins × profile × limits → Candidates: which backbones and strategies are worth a look at all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TypeVar

from autotl.builtin.backbones import unusable
from autotl.errors import AutotlError, UnknownNameError
from autotl.plugins.manager import Plugins
from autotl.records import BackboneSpec, Goal, Profile, Settings, Skipped, Strategy
from autotl.weights import hub, licences

Named = TypeVar("Named", BackboneSpec, Strategy)

WIDEST_GLOB = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """What may be tried, and what may not and why."""

    backbones: tuple[BackboneSpec, ...]
    strategies: tuple[Strategy, ...]
    skipped: tuple[Skipped, ...] = ()


def gather(
    plugins: Plugins,
    profile: Profile,
    settings: Settings,
    goal: Goal,
    strategies: Sequence[str] = (),
    more: Sequence[str] = (),
) -> Candidates:
    """Asks the plugins, keeps what was asked for (or is proposed by default) and obeys the limits.

    `more` names backbones besides those.

    Raises `UnknownNameError` for a name nothing answers to, `AutotlError` when nothing is left.
    """
    offered = plugins.backbones(profile, settings)
    wanted = (
        choose(offered, settings.wanted, "backbone")
        if settings.wanted
        else [spec for spec in offered.values() if spec.proposed]
    )
    if more:
        others = plugins.backbones(profile, replace(settings, wanted=tuple(more)))
        known = {spec.name for spec in wanted}
        wanted += [spec for spec in choose(others, more, "backbone") if spec.name not in known]
    kept: list[BackboneSpec] = []
    skipped = unusable(settings.weights)
    for spec in wanted:
        reason = refused(spec, goal) or _missing(spec, settings)
        if reason:
            skipped.append(Skipped(name=spec.name, reason=reason))
        else:
            kept.append(spec)
    ways = (
        choose(plugins.strategies(profile), strategies, "strategy")
        if strategies
        else list(plugins.strategies(profile).values())
    )
    if not kept:
        why = "; ".join(f"{skip.name}: {skip.reason}" for skip in skipped[:5]) or "no plugin proposes any"
        raise AutotlError(
            f"no backbone is left to try ({why}); expected at least one: loosen the limits or name one"
        )
    return Candidates(backbones=tuple(kept), strategies=tuple(ways), skipped=tuple(skipped))


def _missing(spec: BackboneSpec, settings: Settings) -> str:
    """What an offline run lacks of a backbone; empty if nothing, or if there is a connection to fetch it by."""
    if not (settings.offline and hub.away(spec)):
        return ""
    return (
        "its weights are not here, and this run is offline;"
        f" `autotl backbones --fetch {spec.name}` brings them where there is a connection"
    )


def choose(offered: dict[str, Named], patterns: Iterable[str], kind: str) -> list[Named]:
    """What the patterns name: full names, bare names where unique, or globs on either, in given order."""
    found: dict[str, Named] = {}
    for pattern in patterns:
        matches = (
            [name for name in offered if name == pattern]
            or [name for name in offered if bare(name) == pattern]
            or [name for name in offered if fnmatchcase(name, pattern) or fnmatchcase(bare(name), pattern)]
        )
        glob = any(mark in pattern for mark in "*?[")
        if not matches:
            raise UnknownNameError(kind, pattern, offered if ":" in pattern else map(bare, offered))
        if not glob and len(matches) > 1:
            raise UnknownNameError(kind, pattern, matches, "(say which, with its origin)")
        if len(matches) > WIDEST_GLOB:
            raise AutotlError(
                f"{pattern!r} matches {len(matches)} names, expected at most {WIDEST_GLOB}; narrow it"
            )
        found.update((name, offered[name]) for name in matches)
    return list(found.values())


def bare(name: str) -> str:
    """The name without its origin: ``timm:resnet18`` → ``resnet18``."""
    return name.partition(":")[2] or name


def sizes(spec: BackboneSpec, side: int) -> tuple[int, ...]:
    """Input sizes worth a try for images whose shorter side is `side` pixels: native, then smaller ones.

    About 0.57 of the native side costs a third of the time; images that are smaller still get one
    more step down, since enlarging them only repeats pixels.
    """
    native = spec.input_size
    if spec.size_step <= 0:
        return (native,)
    shares = (0.57, 0.43) if side < 0.43 * native else (0.57,)
    steps = [round(native * share / spec.size_step) * spec.size_step for share in shares]
    smaller = [size for size in steps if spec.min_size <= size < native and size >= 64]
    return (native, *dict.fromkeys(smaller))


def refused(spec: BackboneSpec, goal: Goal) -> str:
    """Why a backbone need not be tried, by what is declared of it; empty if it may be.

    What can only be measured (latency, memory, a model with its head) is decided on when it was.
    """
    if goal.max_params is not None and spec.parameters is not None and spec.parameters > goal.max_params:
        return f"{spec.parameters:,} parameters, more than the {goal.max_params:,} allowed"
    weights = 4 * (spec.parameters or 0)  # float32: a model cannot predict in less than it weighs
    if goal.max_memory is not None and weights > goal.max_memory:
        return f"its weights alone take {weights / 1e6:,.0f} MB, more than the {goal.max_memory / 1e6:,.0f} MB allowed"
    if not licences.allowed(spec.licence, goal.licence):
        return f"licence {spec.licence or 'unknown'} is not among {', '.join(goal.licence)}"
    return ""
