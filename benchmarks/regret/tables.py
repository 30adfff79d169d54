"""Write outcomes of a replay as Markdown tables, with the targets beside them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np

from autotl.records import Interval
from benchmarks.regret import collapse, regret
from benchmarks.regret.policies import UNPAID
from benchmarks.regret.replay import UNCOUNTED, Outcome
from benchmarks.regret.space import LEAST_CELLS, STEP, Space

AUTOTL = "autotl"
CHANCES = (0.0, 0.1, 0.2, 0.35, 0.5, 1.01)  # borders of the probabilities that are counted together
BySet = dict[str, list[float]]


def by_set(outcomes: Iterable[Outcome], value: Callable[[Outcome], float | None]) -> BySet:
    """Return a value of the outcomes, by data set; outcomes without one are left out."""
    found: BySet = defaultdict(list)
    for outcome in outcomes:
        number = value(outcome)
        if number is not None:
            found[outcome.name].append(float(number))
    return dict(found)


def counted(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Return those on sets whose test part is large enough to count."""
    return [outcome for outcome in outcomes if outcome.name not in UNCOUNTED]


def table(outcomes: Sequence[Outcome], level: float) -> str:
    """Return the regret and excess of every policy at a level, in points."""
    lines = [
        "| policy | regret | excess over exhaustive | median | worst set | spent |",
        "|---|---|---|---|---|---|",
    ]
    here = [outcome for outcome in counted(outcomes) if outcome.level == level]
    excess = {name: regret.over_sets(by_set(some, lambda o: o.excess)) for name, some in _split(here).items()}
    for name, some in sorted(_split(here).items(), key=lambda item: excess[item[0]].value):
        values = by_set(some, lambda o: o.excess)
        spent = np.mean([outcome.share for outcome in some])
        lost = regret.over_sets(by_set(some, lambda o: o.regret))
        lines.append(
            f"| {name} | {points(lost)} | {points(excess[name])} | {100 * regret.median(values):.1f}"
            f" | {100 * regret.worst(values):.1f} | {'–' if name in UNPAID else f'{spent:.0%}'} |"
        )
    return "\n".join(lines)


def differences(outcomes: Sequence[Outcome], level: float) -> str:
    """Return how much less autotl loses than each other policy on the same set and sub-pool, in points."""
    lines = ["| against | difference (autotl better: positive) | significant |", "|---|---|---|"]
    for name, gap in sorted(gaps(outcomes, level).items(), key=lambda item: item[1].value):
        sure = "yes" if gap.low > 0 else "yes, autotl is worse" if gap.high < 0 else "no"
        lines.append(f"| {name} | {points(gap)} | {sure} |")
    return "\n".join(lines)


def gaps(outcomes: Sequence[Outcome], level: float) -> dict[str, Interval]:
    """Return the same, as intervals by policy."""
    here = _split([outcome for outcome in counted(outcomes) if outcome.level == level])
    own = {(o.name, o.pool): o.regret for o in here[AUTOTL]}
    return {
        name: regret.over_sets(by_set(some, lambda o: o.regret - own[(o.name, o.pool)]))
        for name, some in here.items()
        if name != AUTOTL
    }


def sets_table(outcomes: Sequence[Outcome], level: float) -> str:
    """Return autotl's excess on each set, in points, all sets."""
    own = [outcome for outcome in outcomes if outcome.policy == AUTOTL and outcome.level == level]
    lines = ["| set | mean excess over the sub-pools | largest |", "|---|---|---|"]
    for name, values in by_set(own, lambda o: o.excess).items():
        note = " (not counted)" if name in UNCOUNTED else ""
        lines.append(f"| {name}{note} | {100 * np.mean(values):.1f} | {100 * max(values):.1f} |")
    return "\n".join(lines)


def members_table(outcomes: Sequence[Outcome]) -> str:
    """Return autotl's winner's set, what its cheapest member loses, and the time of the decision itself, by level."""
    lines = [
        "| level | holds the best cell | size / on the finished grid | cheapest member loses | decision logic |",
        "|---|---|---|---|---|",
    ]
    own = [outcome for outcome in counted(outcomes) if outcome.policy == AUTOTL]
    for level in sorted({outcome.level for outcome in own}):
        here = [outcome for outcome in own if outcome.level == level]
        holds = regret.over_sets(by_set(here, lambda o: None if o.holds is None else float(o.holds)))
        size = np.mean([o.size for o in here if o.size is not None])
        cheap = regret.over_sets(by_set(here, lambda o: o.cheapest))
        thinking = np.mean([o.thinking for o in here])
        lines.append(
            f"| {level:.0%} | {holds.value:.0%} [{holds.low:.0%}, {holds.high:.0%}] | {size:.2f}"
            f" | {points(cheap)} | {thinking:.1%} |"
        )
    return "\n".join(lines)


def expected_table(outcomes: Sequence[Outcome]) -> str:
    """Return how often the interval of autotl's expected accuracy covers, by level, all sets."""
    lines = [
        "| level | replays | interval covers | expected minus measured | sets below 90% |",
        "|---|---|---|---|---|",
    ]
    own = [outcome for outcome in outcomes if outcome.covers is not None]
    for level in sorted({outcome.level for outcome in own}):
        here = [outcome for outcome in own if outcome.level == level]
        held = by_set(here, lambda o: o.covers)
        rate, off = regret.over_sets(held), regret.over_sets(by_set(here, lambda o: o.off))
        few = ", ".join(
            f"{name} {np.mean(found):.0%}" for name, found in held.items() if np.mean(found) < 0.9
        )
        lines.append(
            f"| {level:.0%} | {len(here)} | {rate.value:.0%} [{rate.low:.0%}, {rate.high:.0%}] | {points(off)}"
            f" | {few or '–'} |"
        )
    return "\n".join(lines)


def chances_table(outcomes: Sequence[Outcome]) -> str:
    """Return how often the choice was the best cell, by the probability that autotl gave it, and the Brier score."""
    own = [(outcome.chance, outcome.best) for outcome in outcomes if outcome.chance is not None]
    lines = [
        "| probability to be the best | replays | mean probability | was the best |",
        "|---|---|---|---|",
    ]
    for low, high in pairwise(CHANCES):
        here = [(chance, best) for chance, best in own if low <= chance < high]
        if here:
            chance, best = np.mean(here, axis=0)
            lines.append(f"| {low:.0%} to {min(high, 1.0):.0%} | {len(here)} | {chance:.0%} | {best:.0%} |")
    brier = np.mean([(chance - best) ** 2 for chance, best in own])
    rate = np.mean([best for _, best in own])
    lines += ["", f"Brier score {brier:.3f}; {rate * (1 - rate):.3f} for always giving the mean, {rate:.0%}."]
    return "\n".join(lines)


def about(spaces: Mapping[str, Space]) -> str:
    """Return a table of what was recorded: a row a set."""
    lines = [
        "| set | classes | train / select / test | cells | epochs | cost in steps | best cell | over median |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, space in spaces.items():
        scores = space.right.mean(1)
        best = space.cells[int(scores.argmax())].candidate.id
        images = f"{space.about.train} / {len(space.labels)} / {space.right.shape[1]}"
        lengths = ", ".join(f"{length:g}" for length in space.lengths)
        lines.append(
            f"| {name} | {space.about.classes} | {images} | {len(space.cells)} | {lengths}"
            f" | {space.cost / STEP:,.0f} | {best}, {scores.max():.1%}"
            f" | {100 * (scores.max() - np.median(scores)):.1f} |"
        )
    return "\n".join(lines)


def targets(outcomes: Sequence[Outcome], level: float) -> str:
    """Return each target with what was reached, and whether that is enough."""
    own = [o for o in counted(outcomes) if o.policy == AUTOTL and o.level == level]
    excess = by_set(own, lambda o: o.excess)
    apart = [gap.low > 0 for name, gap in gaps(outcomes, level).items() if name not in UNPAID]
    holds = regret.over_sets(by_set(own, lambda o: None if o.holds is None else float(o.holds))).value
    size = float(np.mean([o.size for o in own if o.size is not None]))
    cheap = regret.over_sets(by_set(own, lambda o: o.cheapest)).value
    thinking = float(np.mean([o.thinking for o in own]))
    covers = [outcome for outcome in outcomes if outcome.level == level and outcome.covers is not None]
    rate = regret.over_sets(by_set(covers, lambda o: o.covers)).value
    mean, most = regret.over_sets(excess).value, regret.worst(excess)
    rows = [
        ("mean excess over exhaustive validation", "≤ 0.5 points", f"{100 * mean:.1f}", mean <= 0.005),
        ("excess on the worst set", "≤ 2 points", f"{100 * most:.1f}", most <= 0.02),
        (
            "baselines that autotl beats significantly",
            "all but two",
            f"{sum(apart)} of {len(apart)}",
            sum(apart) >= len(apart) - 2,
        ),
        ("winner's set holds the best cell", "≥ 90%", f"{holds:.0%}", holds >= 0.9),
        ("its size over that on the finished grid", "≤ 1.5", f"{size:.2f}", size <= 1.5),
        ("the cheapest member loses", "≤ 0.3 points", f"{100 * cheap:.1f}", cheap <= 0.003),
        ("95% interval covers, all sets", "90–99%", f"{rate:.0%}", 0.9 <= rate <= 0.99),
        ("decision logic, of a run", "≤ 2%", f"{thinking:.1%}", thinking <= 0.02),
    ]
    lines = ["| figure | target value | reached | |", "|---|---|---|---|"]
    lines += [
        f"| {what} | {want} | {got} | {'met' if enough else 'missed'} |" for what, want, got, enough in rows
    ]
    return "\n".join(lines)


def page(
    spaces: Mapping[str, Space], outcomes: Sequence[Outcome], trained: Sequence[collapse.Seen] = ()
) -> str:
    """Return all tables."""
    parts = ["## The recorded grid", about(spaces)]
    levels = sorted({outcome.level for outcome in outcomes})
    for level in levels:
        title = f"## At {level:.0%} of the grid's cost, and no less than {LEAST_CELLS} mean cells"
        parts += [title, table(outcomes, level)]
    parts += ["## autotl against each policy", differences(outcomes, levels[0])]
    parts += ["## By data set", sets_table(outcomes, levels[0])]
    parts += ["## The winner's set", members_table(outcomes)]
    parts += ["## Does the interval of the expected accuracy cover?", expected_table(outcomes)]
    parts += ["## Is the probability to be the best calibrated?", chances_table(outcomes)]
    if trained:
        parts += ["## Collapsed trainings", collapse.table(trained)]
    parts += ["## Targets", targets(outcomes, levels[0])]
    return "\n\n".join(parts) + "\n"


def points(found: Interval) -> str:
    """Return an interval of fractions in points."""
    return f"{100 * found.value:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def _split(outcomes: Iterable[Outcome]) -> dict[str, list[Outcome]]:
    found: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        found[outcome.policy].append(outcome)
    return dict(found)
